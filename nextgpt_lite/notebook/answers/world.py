"""Judges of the exercises in 01_the_lite_world."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

NAMES = {"kind", "colour", "size", "count", "place", "relation"}


def blame(answer: set[str]) -> str | None:
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


def half(answer: set[str]) -> str | None:
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


def all_in_a_row(answer: Callable[[Any], bool]) -> str | None:
    """A rule on an image reading: two things or more, all at one height, all clear."""
    from nextgpt_lite.world.see import PictureReading, Thing

    def reading(heights: list[float], clear: bool = True) -> PictureReading:
        things = tuple(
            Thing("cat", "red", 16, 10.0 + 20 * i, y, 1.0) for i, y in enumerate(heights)
        )
        return PictureReading("plain", things, clear)

    if not callable(answer):
        return f"a function is asked for, not {type(answer).__name__}"
    cases = [
        ([10, 11, 12], True, True, "three things within 2 pixels are in a row"),
        ([10, 14], True, True, "4 pixels apart still counts"),
        ([10, 15], True, False, "5 pixels apart is too much"),
        ([10, 13, 16], True, False, "compare the highest with the lowest, not neighbours only"),
        ([16, 10, 13], True, False, "the things come in no order: use max and min"),
        ([10], True, False, "one thing alone is no row"),
        ([], True, False, "an empty image has no row (and max of nothing is an error)"),
        ([10, 10], False, False, "an image that is not clear must be refused"),
    ]
    for heights, clear, wanted, hint in cases:
        if bool(answer(reading([float(y) for y in heights], clear))) != wanted:
            return hint
    return None


def _blame(
    answer: set[str], truth: set[str], missing: dict[str, str], extra: dict[str, str]
) -> str | None:
    if not isinstance(answer, set | frozenset | list | tuple):
        return f"a set of names is asked for, not {type(answer).__name__}"
    given = set(answer)
    if unknown := given - NAMES:
        return f'there is no attribute "{sorted(unknown)[0]}": use {", ".join(sorted(NAMES))}'
    for name in sorted(given - truth):
        return f"{name} is not blamed: {extra[name]}"
    for name in sorted(truth - given):
        return f"one is missing: {missing[name]}"
    return None
