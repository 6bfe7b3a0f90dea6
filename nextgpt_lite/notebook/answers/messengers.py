"""Judges of the exercises in 15_messengers_since_2023."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from nextgpt_lite.notebook.exercises import Function, normal


def _conditions(random: np.random.Generator) -> tuple[Tensor]:
    """Those of a picture's captions."""
    return (normal(random, 5, 4, 3),)


best = Function(
    right=lambda conditions: conditions.mean(0),
    draw=_conditions,
    mistakes={
        "that is least for the distance itself: the squared one is asked for": (
            lambda conditions: conditions.median(0).values
        ),
        "the mean over captions is asked for: this one keeps them apart": (
            lambda conditions: conditions.mean(1)
        ),
        "that is the first caption's: the others pull as well": lambda conditions: conditions[0],
        "a sum is as many times too long as there are captions": (
            lambda conditions: conditions.sum(0)
        ),
    },
)
