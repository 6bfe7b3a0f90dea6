"""Judges of the exercises in 01_the_lite_world."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from nextgpt_lite.notebook.exercises import Function
from nextgpt_lite.world.see import PictureReading, Thing

NAMES = {"kind", "colour", "size", "count", "place", "relation"}


def blame(answer: Any) -> str | None:
    """Asked for two small red cars on the street, shown one in the garden."""
    return _blame(
        answer,
        {"count", "place"},
        missing={
            "count": "two were asked for and one is there",
            "place": "street and garden differ",
        },
        extra={
            "kind": "it is a car, as asked for",
            "colour": "the car that is there is red; the missing one has no colour",
            "size": "the car that is there is small; the missing one has no size",
            "relation": "this scene has no relation",
        },
    )


def half(answer: Any) -> str | None:
    """A related pair of which only the first thing is there."""
    return _blame(
        answer,
        {"kind", "count", "relation"},
        missing={
            "kind": "all kinds asked for must be there, and no others: the man is missing",
            "count": "two things were asked for",
            "relation": "right of whom? A relation needs both",
        },
        extra={
            "colour": "colours are judged on the things that were found",
            "size": "sizes are judged on the things that were found",
            "place": "nothing is said about the place: the ground is plain in both",
        },
    )


def _reading(random: np.random.Generator) -> tuple[PictureReading]:
    """Things in no order, often as far apart as is just allowed, or just not."""
    heights = 10 + random.choice([0, 2, 3, 4, 5, 6], int(random.integers(0, 4)))
    things = tuple(
        Thing("cat", "red", 16, 10.0 + 20 * i, float(y), 1.0) for i, y in enumerate(heights)
    )
    return (PictureReading("plain", things, bool(random.random() < 0.8)),)


def _in_a_row(reading: PictureReading, most: float = 4, least: int = 2, clear: bool = True) -> bool:
    heights = [thing.y for thing in reading.things]
    if len(heights) < least or (clear and not reading.clear):
        return False
    return max(heights, default=0) - min(heights, default=0) <= most


def _neighbours(reading: PictureReading) -> bool:
    heights = [thing.y for thing in reading.things]
    near = all(abs(a - b) <= 4 for a, b in pairwise(heights))
    return reading.clear and len(heights) > 1 and near


all_in_a_row = Function(
    right=_in_a_row,
    draw=_reading,
    mistakes={
        "4 pixels apart still counts": lambda reading: _in_a_row(reading, most=3.5),
        "5 pixels apart is too much": lambda reading: _in_a_row(reading, most=5),
        "compare the highest with the lowest, not neighbours only": _neighbours,
        "one thing alone is no row": lambda reading: _in_a_row(reading, least=1),
        "an empty image has no row": lambda reading: _in_a_row(reading, least=0),
        "an image that is not clear must be refused": (
            lambda reading: _in_a_row(reading, clear=False)
        ),
    },
    read=bool,
    trials=200,
)


def _blame(
    answer: Any, truth: set[str], missing: dict[str, str], extra: dict[str, str]
) -> str | None:
    if not isinstance(answer, set | frozenset | list | tuple | dict):
        return f"a set of names is asked for, not {type(answer).__name__}"
    given = set(answer)
    if unknown := given - NAMES:
        return f'there is no attribute "{sorted(unknown)[0]}": use {", ".join(sorted(NAMES))}'
    for name in sorted(given - truth):
        return f"{name} is not blamed: {extra[name]}"
    for name in sorted(truth - given):
        return f"one is missing: {missing[name]}"
    return None
