"""What the examinations ask for: scenes drawn at random, each kind with its own trap.

Knows: which prompts are of what kind. Leaves to others: how many and from which seeds
(`examination`), what came of them.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from nextgpt_lite.world.scene import (
    COLOURS,
    HELD_OUT_COLOURS,
    HELD_OUT_COUNTS,
    KINDS,
    MAX_COUNT,
    PLACES,
    SIZES,
    Group,
    Picture,
    Scene,
    Split,
    is_held_out,
    sample_picture,
    sample_scene,
)

HELD_OUT_ORDERED = sorted(HELD_OUT_COLOURS), sorted(HELD_OUT_COUNTS)
NAMES = {"image": "picture", "audio": "sound", "video": "clip"}


def one_thing(rng: Random) -> Picture:
    """A picture of a single thing."""
    return _alike(rng, 1)


def several(rng: Random) -> Picture:
    """A picture of two to seven things alike."""
    return _alike(rng, rng.randint(2, MAX_COUNT))


def counted(rng: Random) -> Picture:
    """A picture of one to seven things alike, every number as often."""
    return _alike(rng, rng.randint(1, MAX_COUNT))


def related(rng: Random) -> Picture:
    """A picture of two things, one beside or above the other."""
    while True:
        picture = sample_picture(rng, groups=2)
        if picture.relation is not None:
            return picture


def unseen_colour(rng: Random) -> Picture:
    """One thing in the colour in which training never showed it."""
    kind, colour = rng.choice(HELD_OUT_ORDERED[0])
    return Picture((Group(kind, colour, rng.choice(SIZES)),), None, rng.choice(PLACES))


def unseen_count(rng: Random) -> Picture:
    """As many of a thing as training never showed, in a colour in which it did."""
    kind, count = rng.choice(HELD_OUT_ORDERED[1])
    colours = [colour for colour in COLOURS if (kind, colour) not in HELD_OUT_COLOURS]
    group = Group(kind, rng.choice(colours), rng.choice(SIZES), count)
    return Picture((group,), None, rng.choice(PLACES))


def _alike(rng: Random, count: int) -> Picture:
    while True:
        group = Group(rng.choice(KINDS), rng.choice(COLOURS), rng.choice(SIZES), count)
        picture = Picture((group,), None, rng.choice(PLACES))
        if not is_held_out(picture):
            return picture


def any_scene(modality: str, split: Split = "train") -> Callable[[Random], Scene]:
    """Draws what the modality shows, in the world's own mixture."""
    return lambda rng: sample_scene(modality, rng, split, None)
