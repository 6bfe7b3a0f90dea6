"""Judges of the exercises in 09_evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable

from nextgpt_lite.notebook.exercises import expect


def mme(answer: float) -> str | None:
    """The score of ten images, 16 of 20 questions right, 7 images with both right."""
    hints = {
        80.0: "that is the accuracy alone: acc+ is added to it",
        70.0: "that is acc+ alone: the accuracy is added to it",
        75.0: "the two are added, not averaged: the scale ends at 200",
        1.5: "MME's scale is per cent: 0 to 200",
    }
    return expect(answer, 150.0, hints)


def frechet(answer: Callable[[float, float, float, float], float]) -> str | None:
    """The squared Frechet distance of two one-dimensional Gaussians."""
    if not callable(answer):
        return f"a function is asked for, not {type(answer).__name__}"
    if not math.isclose(answer(0.0, 4.0, 0.0, 4.0), 0.0, abs_tol=1e-9):
        return "two equal Gaussians are 0 apart"
    if not math.isclose(answer(1.0, 1.0, 4.0, 1.0), 9.0, abs_tol=1e-9):
        return "of equal variances only the squared distance of the means is left: (4 - 1)^2"
    value = answer(0.0, 1.0, 0.0, 9.0)
    if math.isclose(value, 64.0):
        return "compare standard deviations, not variances: (3 - 1)^2"
    return expect(value, 4.0)


def coin(answer: float) -> str | None:
    """What guessing gets on MME, two questions an image."""
    hints = {
        100.0: "half of the questions, yes; but of the images only a quarter has both right",
        50.0: "that is the accuracy; acc+ of guessing is not zero",
    }
    return expect(answer, 75.0, hints)
