"""Judges of the exercises in 09_evaluation."""

from __future__ import annotations

import math
from collections.abc import Callable

from nextgpt_lite.notebook.exercises import expect


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
