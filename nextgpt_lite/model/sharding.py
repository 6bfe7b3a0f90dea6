"""One model cut over several processes (FSDP2), and its tensors made whole again.

Knows: which modules are cut, and both ways between a cut tensor and a whole one. Leaves to others:
what is saved (`model`, `training.checkpoint`) and every step (`training.loop`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from nextgpt_lite.model.llm import LanguageModel


def shard(model: nn.Module, llm: LanguageModel) -> None:
    """Cuts a model's LLM, layer by layer, and projections over all processes, in place.

    Encoder and decoders stay whole: they are frozen and work outside of the wrapped call.
    """
    processes = torch.distributed.get_world_size()
    mesh = init_device_mesh(llm.device.type, (processes,))
    whole = {
        p for name, p in model.named_parameters() if name.startswith(("encoder.", "decoders."))
    }
    _ = llm.ways  # may be tried out, which a model in parts no longer allows
    for layer in llm.family.blocks:
        fully_shard(layer, mesh=mesh)
    fully_shard(model, mesh=mesh, ignored_params=whole)


def gathered(tensor: Tensor) -> Tensor:
    """The whole of a tensor; every process must ask when it is cut."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def cut_like(tensor: Tensor, model: Tensor) -> Tensor:
    """A whole tensor cut in the way `model` is."""
    if not isinstance(model, DTensor):
        return tensor
    return distribute_tensor(tensor.to(model.device), model.device_mesh, model.placements)
