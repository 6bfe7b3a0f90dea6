"""Judges of the exercises in 07_pipeline_vs_end_to_end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nextgpt_lite.evaluation.statistics import interval


def blame(answer: str) -> str | None:
    """Which part lost the answer: gold caption right, pipeline wrong."""
    if not isinstance(answer, str):
        return 'one of "words", "decoder", "verifier" is asked for'
    said = answer.strip().lower()
    if said == "decoder":
        return "the same decoder gave the right image when it was told the right words"
    if said == "verifier":
        return "the same verifier accepted the image of the gold caption"
    return None if said == "words" else 'choose one of "words", "decoder", "verifier"'


def bootstrap(answer: Callable[..., Any]) -> str | None:
    """A function (values, random, rounds) that gives the ends of a 95 % interval."""
    if not callable(answer):
        return f"a function is asked for, not {type(answer).__name__}"
    values = np.random.default_rng(5).exponential(10.0, 60)
    kept = values.copy()
    low, high = map(float, answer(values, np.random.default_rng(0), 4000))
    if not np.array_equal(values, kept):
        return "it changed the values that were given"
    truth = interval(values[None], rounds=4000)
    if low > high:
        return "the lower end comes first"
    width, wanted = high - low, truth.high - truth.low
    spread = float(np.subtract(*np.percentile(values, [97.5, 2.5])))
    if abs(width - spread) < 0.1 * spread:
        return "that is where single prompts lie; asked for is where their mean could lie"
    if width < 0.05 * wanted:
        return "every round gives the same mean: draw with replacement, as many as there are"
    if abs(low - truth.low) > 0.12 * wanted or abs(high - truth.high) > 0.12 * wanted:
        return (
            f"expected about [{truth.low:.2f}, {truth.high:.2f}], found [{low:.2f}, {high:.2f}]: "
            "take the 2.5th and the 97.5th percentile of the drawn means"
        )
    return None
