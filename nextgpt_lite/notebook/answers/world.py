"""Judges of the exercises in 01_the_lite_world."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from nextgpt_lite.notebook.exercises import Function
from nextgpt_lite.world.scene import COLOURS, KINDS, PLACES, SIZES, Group, Picture
from nextgpt_lite.world.see import PictureReading, Thing
from nextgpt_lite.world.verify import compare_picture

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


JUDGED = ("kind", "colour", "size", "count", "place")


def _shown(random: np.random.Generator) -> tuple[Picture, PictureReading]:
    """A picture of one kind, and a reading that is often a little wrong."""

    def one(of: Sequence[str]) -> str:
        return of[int(random.integers(len(of)))]

    count = int(random.integers(1, 4))
    group = Group(one(KINDS), one(COLOURS), one(SIZES), count)
    place, damage = one(PLACES), random.random()
    things = []
    for index in range(max(0, count + int(random.choice([-1, 0, 0, 1])))):
        kind, colour, size = (
            one(of) if random.random() < 0.4 * damage else now
            for of, now in ((KINDS, group.kind), (COLOURS, group.colour), (SIZES, group.size))
        )
        diameter = 16 if size == "large" else 10
        things.append(Thing(kind, colour, diameter, 10.0 + 20 * index, 30.0, 1.0))
    seen = place if random.random() < 0.8 else one(PLACES)
    return Picture((group,), None, place), PictureReading(seen, tuple(things), True)


def _compared(picture: Picture, reading: PictureReading) -> dict[str, bool]:
    return compare_picture(picture, reading).attributes


Chosen = Callable[[Group, tuple[Thing, ...]], Sequence[Thing]]


def _fitting(group: Group, things: tuple[Thing, ...]) -> Sequence[Thing]:
    def unlike(t: Thing) -> tuple[bool, bool, bool]:
        return t.kind != group.kind, t.colour != group.colour, t.size != group.size

    return sorted(things, key=unlike)[: group.count]


def _verified(
    chosen: Chosen = _fitting, among: bool = False, kinds: bool = True, none: bool = False
) -> Callable[[Picture, PictureReading], dict[str, bool]]:
    """A verifier like the package's, or with a flaw."""

    def verified(picture: Picture, reading: PictureReading) -> dict[str, bool]:
        (group,) = picture.groups
        pairs, found = chosen(group, reading.things), {t.kind for t in reading.things}
        counted = [t for t in reading.things if t.kind == group.kind] if among else reading.things
        return {
            "kind": found == {group.kind} if kinds else group.kind in found,
            "colour": (none or bool(pairs)) and all(t.colour == group.colour for t in pairs),
            "size": (none or bool(pairs)) and all(t.size == group.size for t in pairs),
            "count": len(counted) == group.count,
            "place": reading.place == picture.place,
        }

    return verified


verifier = Function(
    right=_compared,
    draw=_shown,
    mistakes={
        "a thing of another kind is there too: kind asks that all are of the one asked for": (
            _verified(kinds=False)
        ),
        "count all things that are there, whatever their kind": _verified(among=True),
        "nothing is there, so nothing has the right colour: all() of nothing is True": (
            _verified(none=True)
        ),
        "colour and size are asked of the things that fit best, as many as were wanted": (
            _verified(lambda group, things: things)
        ),
        "take the things that fit best, not the first ones": (
            _verified(lambda group, things: things[: group.count])
        ),
        "things of another kind have a colour too: they only fit less": (
            _verified(lambda group, things: [t for t in things if t.kind == group.kind])
        ),
    },
    read=lambda verdict: [verdict[name] for name in JUDGED],
    trials=300,
)


def _blame(
    answer: Any, truth: set[str], missing: dict[str, str], extra: dict[str, str]
) -> str | None:
    if not isinstance(answer, Iterable) or isinstance(answer, str):
        return f"a set of names is asked for, not {type(answer).__name__}"
    given = set(map(str, answer))
    if unknown := given - NAMES:
        return f'there is no attribute "{sorted(unknown)[0]}": use {", ".join(sorted(NAMES))}'
    for name in sorted(given - truth):
        return f"{name} is not blamed: {extra[name]}"
    for name in sorted(truth - given):
        return f"one is missing: {missing[name]}"
    return None
