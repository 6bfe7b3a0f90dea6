"""Judges of the exercises in 08_editing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def blend(answer: Callable[[Tensor, Tensor, Tensor], Tensor]) -> str | None:
    """Latents inside a mask, kept ones outside."""
    if not callable(answer):
        return f"a function is asked for, not {type(answer).__name__}"
    latents, kept = torch.ones(2, 4, 3, 3), torch.zeros(2, 4, 3, 3)
    mask = torch.zeros(2, 1, 3, 3)
    mask[0, 0, 1, 1] = 1
    result = answer(latents, kept, mask)
    if not isinstance(result, Tensor) or result.shape != latents.shape:
        return "it must return latents of the shape it was given"
    if result[0, :, 1, 1].eq(0).all() and result[0, :, 0, 0].eq(1).all():
        return "it is the other way round: ones in the mask are where the edit may change things"
    if not torch.equal(result, (mask * latents).expand_as(latents)):
        return "inside the mask it must be the new latents, outside the kept ones"
    return None
