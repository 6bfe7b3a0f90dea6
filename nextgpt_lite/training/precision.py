"""Faster arithmetic: the format that a device computes fastest in; torch.compile without trust.

Knows: what to ask torch. Leaves to others: using it (`loop`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.errors import RunError
from nextgpt_lite.model.batch import Batch
from nextgpt_lite.model.device import bf16_is_fast

TOLERANCE = 0.1  # of a gradient's norm; kernels round in another order, in bfloat16 not finely


def mixed_precision(name: str, device: torch.device) -> str:
    """accelerate's name: "auto" becomes bf16 where there are instructions for it, on older GPUs
    fp16 with a scaler, and else no mixed precision."""
    if name != "auto":
        return name
    return "bf16" if bf16_is_fast(device) else "fp16" if device.type == "cuda" else "no"


def compile_checked(
    model: NextGPT, batch: Batch, autocast: Callable[[], AbstractContextManager[None]]
) -> None:
    """Compiles the LLM and the output projections in place, and compares one batch's gradients.

    torch.compile has been seen to give exactly zero gradients to the inner levels of a small UNet
    on a CPU while its loss fell, so what it computes is compared with eager mode, tensor by tensor.

    Args:
        model: what learns is open already; dropout is off for the comparison.
        batch: one that the run will see.
        autocast: of the run.

    Raises:
        RunError: naming the first parameter whose gradient is another one.
    """
    parts = [model.llm.causal_lm.get_decoder(), *model.output_projections.values()]
    training = model.training
    model.eval()
    expected = _gradients(model, batch, autocast)
    for part in parts:
        part.compile(dynamic=True)
    found = _gradients(model, batch, autocast)
    model.train(training)
    for name, gradient in expected.items():
        size = gradient.norm()
        error = (found[name] - gradient).norm() if name in found else size
        if error > TOLERANCE * size:
            raise RunError(
                f"torch.compile gives {name} another gradient (off by {error / size:.0%} of its "
                "size): train without compile."
            )


def _gradients(
    model: NextGPT, batch: Batch, autocast: Callable[[], AbstractContextManager[None]]
) -> dict[str, Tensor]:
    model.zero_grad(set_to_none=True)
    with autocast():
        losses = model.loss(batch)
    losses.total.backward()
    found = {n: p.grad.float() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return found
