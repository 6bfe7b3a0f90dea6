"""Judges of the exercises in 03_stage1_encoding_alignment."""

from __future__ import annotations

import numpy as np

from nextgpt_lite.model.losses import IGNORE
from nextgpt_lite.notebook.exercises import Function


def _widened(labels: list[int], places: list[int], K: int) -> list[int]:
    return [x for i, label in enumerate(labels) for x in ([IGNORE] * K if i in places else [label])]


def _behind(labels: list[int], places: list[int], K: int) -> list[int]:
    return labels + [IGNORE] * (K - 1) * len(places)


def _labelled(random: np.random.Generator) -> tuple[list[int], list[int], int]:
    length = int(random.integers(3, 9))
    places = sorted(int(p) for p in random.choice(length, int(random.integers(1, 3)), False))
    trained = random.random(length) < 0.6
    labels = [
        int(random.integers(5, 99)) if trained[i] and i not in places else IGNORE
        for i in range(length)
    ]
    return labels, places, int(random.integers(1, 5))


widen = Function(
    right=_widened,
    draw=_labelled,
    mistakes={
        "room must be made where the item stands, not behind": _behind,
        "nothing became wider": lambda labels, places, K: labels,
        "one placeholder becomes K positions in all, yours become K + 1": (
            lambda labels, places, K: _widened(labels, places, K + 1)
        ),
        "each item makes room for itself: yours widens the first only": (
            lambda labels, places, K: _widened(labels, places[:1], K)
        ),
        "a label of -100 need not be an item: look at places": (
            lambda labels, places, K: _widened(
                labels, [i for i, label in enumerate(labels) if label == IGNORE], K
            )
        ),
    },
)
