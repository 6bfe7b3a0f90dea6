"""Judges of the exercises in 08_editing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nextgpt_lite.notebook.exercises import expect

STEPS, STRENGTH = 50, 0.3


def steps(answer: int) -> str | None:
    """The denoising steps that an edit takes."""
    hints = {
        STEPS: "all steps would be taken from pure noise: an edit skips the first ones",
        35: "that is how many it skips",
    }
    return expect(answer, round(STEPS * STRENGTH), hints)


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


def unchanged(answer: float) -> str | None:
    """The masked FID of an edit that changes nothing."""
    hints = {1.0: "it is a distance between two sets of features: what if both are the same?"}
    return expect(answer, 0.0, hints)
