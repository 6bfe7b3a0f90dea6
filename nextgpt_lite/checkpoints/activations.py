"""How much memory a preset's work takes besides its weights, from configurations alone.

Knows: the LLM's training pass and the denoiser's step, run on the meta device, where tensors have
sizes and no numbers. Leaves to others: weights, gradients and the cache (`doctor`).

There a step of attention is written out, as by a card without a fused kernel for it: what a real
one needs is this or less.
"""

from __future__ import annotations

import weakref
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nextgpt_lite.checkpoints.parameters import build
from nextgpt_lite.model.config import NextGPTConfig

TOKENS = 512  # of the record


class Activations(NamedTuple):
    """Bytes, at most.

    Attributes:
        record: that the LLM keeps of one record of `TOKENS` tokens for its gradients, in stage 3.
        image: while the denoiser makes one image, with guidance.
    """

    record: int
    image: int


class Peak(TorchDispatchMode):
    """The most bytes that lived at once of what is made under it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self.live: set[int] = set()

    def __torch_dispatch__(
        self, operation: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        made = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if not isinstance(tensor, torch.Tensor):
                continue
            storage = tensor.untyped_storage()
            key, size = storage._cdata, storage.nbytes()
            if key not in self.live:
                self.live.add(key)
                self.now += size
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self._gone, key, size)
        return made

    def _gone(self, key: int, size: int) -> None:
        self.live.discard(key)
        self.now -= size


def activations(config: NextGPTConfig, dtype: torch.dtype) -> Activations:
    """What the preset's LLM and image decoder need in this number format."""
    from nextgpt_lite.training.stages import STAGES, open_for

    model = build(config)
    open_for(model, STAGES[3])
    model.to(dtype)
    with torch.device("meta"):
        embeddings = torch.empty(1, TOKENS, model.llm.width, dtype=dtype)
        mask = torch.empty(1, 1, TOKENS, TOKENS, dtype=dtype)
        with Peak() as record:
            kept = model.llm.hidden(embeddings, mask)
        unet: Any = model.decoders["image"]["unet"]  # type: ignore[index]
        side, channels = unet.config.sample_size, unet.config.in_channels
        noisy = torch.empty(2, channels, side, side, dtype=dtype)  # with and without words
        words = torch.empty(2, *config.conditions["image"], dtype=dtype)
        with torch.no_grad(), Peak() as image:
            unet(noisy, torch.ones(2), encoder_hidden_states=words)
    del kept
    return Activations(record.most, image.most)
