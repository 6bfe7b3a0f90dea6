"""Judges of the exercises in 08_editing."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nextgpt_lite.notebook.exercises import Function, normal


def _latents(random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    size, height, width = (int(n) for n in random.integers(2, 5, 3))
    latents, kept = (normal(random, size, 4, height, width) for _ in range(2))
    return latents, kept, (normal(random, size, 1, height, width) > 0).float()


blend = Function(
    right=lambda latents, kept, mask: torch.where(mask == 1, latents, kept),
    draw=_latents,
    mistakes={
        "it is the other way round: ones in the mask are where the edit may change things": (
            lambda latents, kept, mask: torch.where(mask == 1, kept, latents)
        ),
        "outside of the mask it is zero: the kept latents belong there": (
            lambda latents, kept, mask: mask * latents
        ),
        "the kept latents are added everywhere: outside of the mask only": (
            lambda latents, kept, mask: mask * latents + kept
        ),
    },
)
