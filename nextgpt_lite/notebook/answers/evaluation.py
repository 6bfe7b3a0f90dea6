"""Judges of the exercises in 09_evaluation."""

from __future__ import annotations

import torch
from torch import Tensor

from nextgpt_lite.evaluation.metrics.distances import frechet_distance
from nextgpt_lite.notebook.exercises import Function


def _two_items(mean: float, variance: float) -> Tensor:
    """(2, 1) features of just this mean and variance."""
    return mean + (variance / 2) ** 0.5 * torch.tensor([[-1.0], [1.0]], dtype=torch.float64)


frechet = Function(
    right=lambda m1, v1, m2, v2: frechet_distance(_two_items(m1, v1), _two_items(m2, v2)),
    draw=lambda random: tuple(
        round(float(x), 2) for x in random.uniform((-5, 0.1, -5, 0.1), (5, 9, 5, 9))
    ),
    mistakes={
        "compare standard deviations, not variances: their roots": (
            lambda m1, v1, m2, v2: (m1 - m2) ** 2 + (v1 - v2) ** 2
        ),
        "the distance of the means is squared": (
            lambda m1, v1, m2, v2: abs(m1 - m2) + (v1**0.5 - v2**0.5) ** 2
        ),
        "the spreads count, too: equal means do not make equal Gaussians": (
            lambda m1, v1, m2, v2: (m1 - m2) ** 2
        ),
        "that is its root: asked for is the squared distance, as in the text": (
            lambda m1, v1, m2, v2: ((m1 - m2) ** 2 + (v1**0.5 - v2**0.5) ** 2) ** 0.5
        ),
    },
)
