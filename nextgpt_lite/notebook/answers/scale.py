"""Judges of the exercises in 12_training_at_scale."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

import numpy as np

from nextgpt_lite.model.batch import first_fit
from nextgpt_lite.notebook.exercises import Function


def _sum(means: Sequence[float], counts: Sequence[int]) -> float:
    return sum(m * c for m, c in zip(means, counts, strict=True))


def _devices(random: np.random.Generator) -> tuple[list[float], list[int]]:
    number = int(random.integers(2, 6))
    means = [round(float(m), 2) for m in random.uniform(0.5, 5, number)]
    return means, [int(c) for c in random.integers(1, 100, number)]


whole = Function(
    right=lambda means, counts: _sum(means, counts) / sum(counts),
    draw=_devices,
    mistakes={
        "a device with few positions counts as much as one with many: weigh them": (
            lambda means, counts: sum(means) / len(means)
        ),
        "that is the sum of all errors: divide by the number of positions": _sum,
        "divide by the number of positions, not of devices": (
            lambda means, counts: _sum(means, counts) / len(means)
        ),
        "means do not add up: turn each into a sum first": (lambda means, counts: sum(means)),
    },
)


def _in_order(lengths: Sequence[int], room: int) -> int:
    free: list[int] = []
    for length in lengths:
        row = next((r for r, left in enumerate(free) if left >= length), len(free))
        free += [room] * (row == len(free))
        free[row] -= length
    return len(free)


def _next_fit(lengths: Sequence[int], room: int) -> int:
    rows, left = 0, 0
    for length in sorted(lengths, reverse=True):
        rows, left = (rows, left) if left >= length else (rows + 1, room)
        left -= length
    return rows


def _conversations(random: np.random.Generator) -> tuple[list[int], int]:
    return [int(n) for n in random.integers(1, 61, random.integers(1, 40))], 64


rows = Function(
    right=lambda lengths, room: 1 + max(row for row, _ in first_fit(lengths, room)),
    draw=_conversations,
    mistakes={
        "take the longest first: the order in which they come needs more rows": _in_order,
        "a row that was left may still have space: look through all of them": _next_fit,
        "that is what would be needed if conversations could be cut": (
            lambda lengths, room: ceil(sum(lengths) / room)
        ),
        "each conversation has a row of its own: lay several into one": (
            lambda lengths, room: len(lengths)
        ),
    },
    trials=40,
)
