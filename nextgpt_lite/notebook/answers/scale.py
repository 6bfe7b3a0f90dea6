"""Judges of the exercises in 12_training_at_scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from nextgpt_lite.model.batch import first_fit
from nextgpt_lite.notebook.exercises import expect


def whole(answer: Callable[[Sequence[float], Sequence[int]], float]) -> str | None:
    """The mean weighted by counts."""
    means, counts = [4.0, 1.0, 2.0], [10, 80, 30]
    sums = sum(m * c for m, c in zip(means, counts, strict=True))
    hints = {
        sum(means) / 3: "a device with few positions counts as much as one with many: weigh them",
        sums: "that is the sum of all errors: divide by the number of positions",
        sums / 3: "divide by the number of positions, not of devices",
        sum(means): "means do not add up: turn each into a sum first",
    }
    return expect(answer(means, counts), sums / sum(counts), hints)


def rows(answer: Callable[[Sequence[int], int], int]) -> str | None:
    """First fit, the longest first."""
    for seed in range(30):
        draw = Random(seed)
        lengths = [draw.randint(1, 60) for _ in range(draw.randint(1, 40))]
        before = list(lengths)
        given = answer(lengths, 64)
        if lengths != before:
            return "your function changed the list it was given: work on a sorted copy"
        right = 1 + max(row for row, _ in first_fit(before, 64))
        if given != right:
            return f"{before} need {right} rows of 64, not {given}"
    return None
