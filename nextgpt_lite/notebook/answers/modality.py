"""Judges of the exercises in 11_a_modality_of_your_own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nextgpt_lite.notebook.exercises import Function, normal


def _cosines(query: Tensor, kept: Tensor) -> Tensor:
    return F.cosine_similarity(query[None], kept)


fetch = Function(
    right=lambda query, kept: _cosines(query, kept).argmax(),
    draw=lambda random: (
        normal(random, 4),
        normal(random, 9, 4) * torch.tensor(random.uniform(0.2, 9, (9, 1))).float(),
    ),
    mistakes={
        "that is the farthest: the cosine should be large": (
            lambda query, kept: _cosines(query, kept).argmin()
        ),
        "the sign is lost: the opposite direction is not near": (
            lambda query, kept: _cosines(query, kept).abs().argmax()
        ),
        "the longest vector won: divide by the lengths first": (
            lambda query, kept: (kept @ query).argmax()
        ),
        "that is the cosine itself: its index is asked for": (
            lambda query, kept: _cosines(query, kept).max()
        ),
    },
)
