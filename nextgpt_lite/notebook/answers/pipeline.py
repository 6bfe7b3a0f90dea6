"""Judges of the exercises in 07_pipeline_vs_end_to_end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nextgpt_lite.evaluation.statistics import interval
from nextgpt_lite.notebook.exercises import Function


def blame(answer: Any) -> str | None:
    """Which part lost the answer: gold caption right, pipeline wrong."""
    if not isinstance(answer, str):
        return 'one of "words", "decoder", "verifier" is asked for'
    said = answer.strip().lower()
    if said == "decoder":
        return "the same decoder gave the right image when it was told the right words"
    if said == "verifier":
        return "the same verifier accepted the image of the gold caption"
    return None if said == "words" else 'choose one of "words", "decoder", "verifier"'


def _ends(low: float, high: float) -> Callable[..., Any]:
    def ends(values: Any, random: np.random.Generator, rounds: int) -> Any:
        return np.percentile(random.choice(values, (rounds, len(values))).mean(1), (low, high))

    return ends


def _single(values: Any, random: np.random.Generator, rounds: int) -> Any:
    return np.percentile(values, (2.5, 97.5))


def _scores(random: np.random.Generator) -> tuple[Any, ...]:
    values = 10 * random.lognormal(0, 1, 25)
    return values - values.mean(), np.random.default_rng(0), 40_000


bootstrap = Function(
    right=lambda values, random, rounds: interval(values[None], rounds)[1:],
    draw=_scores,
    mistakes={
        "that is where single prompts lie; asked for is where their mean could lie": _single,
        "every round gives the same mean: draw with replacement, as many as there are": (
            lambda values, random, rounds: [values.mean()] * 2
        ),
        "the lower end comes first": _ends(97.5, 2.5),
        "5 per cent at each end leave 90 between: 95 leave 2.5": _ends(5, 95),
        "that is an interval of 98 or 99 per cent: 95 leave 2.5 at each end": _ends(1, 99),
    },
    near=0.016,  # twice of half the width: several times what chance does in so many rounds
    trials=2,
)
