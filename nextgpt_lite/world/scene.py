"""What there is in the lite world, before anything is drawn, heard or said.

Knows: the words of the world (kinds, colours, sizes, places, relations, motions, pitches), the
three scene dataclasses, how to sample them, and which combinations are held out from training.
Leaves to others: pixels (`sprites`, `render`), samples (`sounds`), words (`describe`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import Literal, TypeAlias

from nextgpt_lite.errors import ConfigError

KINDS = ("apple", "car", "dog", "cat", "bird", "bell", "drum", "train", "man", "woman")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black")
SIZES = ("small", "large")
PLACES = ("plain", "garden", "street", "table", "sky")
RELATIONS = ("left of", "right of", "above", "below")
MOTIONS = ("left", "right", "up", "down", "grows", "shrinks")
PITCHES = ("low", "high")
MAX_COUNT = 7
MAX_TIMES = 4

OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}

HELD_OUT_COLOURS = frozenset(
    {("apple", "blue"), ("car", "pink"), ("dog", "green"), ("cat", "purple"), ("bird", "orange"),
     ("bell", "black"), ("drum", "yellow"), ("train", "red"), ("man", "pink"), ("woman", "green")}
)  # fmt: skip
HELD_OUT_COUNTS = frozenset(
    {("apple", 5), ("car", 4), ("dog", 3), ("cat", 6), ("bird", 2),
     ("bell", 3), ("drum", 6), ("train", 2), ("man", 4), ("woman", 5)}
)  # fmt: skip

# What may occur: "train" leaves the held-out pairs (and wordings) out; "held_out" has one in each
# scene; "any" knows no difference, as a language model reads of green dogs before it sees any.
Split = Literal["train", "held_out", "any"]


@dataclass(frozen=True)
class Group:
    """`count` things that look alike."""

    kind: str
    colour: str
    size: str = "large"
    count: int = 1


@dataclass(frozen=True)
class Picture:
    """A still scene: one to three groups, and where the first stands to the second.

    `relation` is read "first group is <relation> the second group"; both are then single things.
    """

    groups: tuple[Group, ...]
    relation: str | None = None
    place: str = "plain"


@dataclass(frozen=True)
class Sound:
    """A thing heard `times` times, in its low or its high voice."""

    kind: str
    times: int = 1
    pitch: str = "low"


@dataclass(frozen=True)
class Clip:
    """One thing that moves, grows or shrinks over eight frames."""

    kind: str
    colour: str
    motion: str
    size: str = "large"
    place: str = "plain"


Scene: TypeAlias = Picture | Sound | Clip

MODALITY_OF: dict[type, str] = {Picture: "image", Sound: "audio", Clip: "video"}
MODALITIES = tuple(MODALITY_OF.values())  # all that this world can make


def check_modality(modality: str) -> None:
    """Refuses what this world cannot make.

    Raises:
        ConfigError: naming it.
    """
    if modality not in MODALITIES:
        raise ConfigError(
            f"The lite world makes {', '.join(MODALITIES)}, but no {modality!r}: train on a folder "
            "of data, or on a source of your own."
        )


def swapped(picture: Picture) -> Picture:
    """The same picture of two related things, told beginning with the other."""
    first, second, *others = picture.groups
    relation = OPPOSITE[picture.relation or ""]
    return replace(picture, groups=(second, first, *others), relation=relation)


def in_order(picture: Picture) -> Picture:
    """The same picture with its things in the order of KINDS.

    Things beside each other look the same whichever is told first: whoever describes a picture
    needs an order of his own.
    """
    told = sorted(picture.groups, key=lambda group: KINDS.index(group.kind))
    if picture.relation is None:
        return replace(picture, groups=tuple(told))
    first, second = picture.groups[:2]
    return picture if told.index(first) < told.index(second) else swapped(picture)


def is_held_out(scene: Scene) -> bool:
    """True when the scene contains a (kind, colour) or (kind, count) pair kept out of training."""
    match scene:
        case Picture():
            return any(
                (g.kind, g.colour) in HELD_OUT_COLOURS or (g.kind, g.count) in HELD_OUT_COUNTS
                for g in scene.groups
            )
        case Clip():
            return (scene.kind, scene.colour) in HELD_OUT_COLOURS
        case Sound():
            return False  # every (kind, times, pitch) is needed for the ear to learn at all


def fits(scene: Scene, split: Split) -> bool:
    """True when a scene drawn for the split may be this one."""
    return split == "any" or is_held_out(scene) == (split == "held_out")


def wordings_of(split: Split) -> Literal["train", "held_out"]:
    """The split whose wordings are used: only "held_out" has its own."""
    return "held_out" if split == "held_out" else "train"


def sample_picture(rng: Random, split: Split = "train", groups: int | None = None) -> Picture:
    """Draws a picture: about half one thing, a quarter several alike, a quarter two or three kinds.

    Args:
        rng: the only source of randomness.
        split: "train" never contains a held-out pair, "held_out" always does, "any" may.
        groups: forces the number of groups (1, 2 or 3).
    """
    while True:
        picture = _any_picture(rng, groups)
        if fits(picture, split):
            return picture


def _any_picture(rng: Random, groups: int | None) -> Picture:
    place = rng.choice(PLACES)
    number = groups or rng.choices((1, 2, 3), (70, 25, 5))[0]
    if number == 1:
        count = 1 if rng.random() < 0.6 else rng.randint(2, MAX_COUNT)
        return Picture((_any_group(rng, count),), None, place)
    kinds = rng.sample(KINDS, number)
    parts = tuple(
        Group(kind, rng.choice(COLOURS), rng.choice(SIZES)) for kind in kinds
    )  # different kinds, so that a caption names each thing without doubt
    relation = rng.choice(RELATIONS) if number == 3 or rng.random() < 0.8 else None
    if relation is None:
        first, second = rng.randint(1, 3), rng.randint(1, 3)
        parts = (
            Group(parts[0].kind, parts[0].colour, parts[0].size, first),
            Group(parts[1].kind, parts[1].colour, parts[1].size, second),
        )
    return Picture(parts, relation, place)


def _any_group(rng: Random, count: int = 1) -> Group:
    return Group(rng.choice(KINDS), rng.choice(COLOURS), rng.choice(SIZES), count)


def sample_sound(rng: Random) -> Sound:
    """Draws a sound; no sound is held out (see `is_held_out`)."""
    return Sound(rng.choice(KINDS), rng.randint(1, MAX_TIMES), rng.choice(PITCHES))


def sample_clip(rng: Random, split: Split = "train") -> Clip:
    """Draws a clip; `split` as in `sample_picture`."""
    while True:
        clip = Clip(
            rng.choice(KINDS), rng.choice(COLOURS), rng.choice(MOTIONS), rng.choice(SIZES),
            rng.choice(PLACES),
        )  # fmt: skip
        if fits(clip, split):
            return clip


def sample_scene(
    modality: str, rng: Random, split: Split = "train", groups: int | None = 1
) -> Scene:
    """Draws what a modality shows; `split` and `groups` as in `sample_picture`.

    Raises:
        ConfigError: the world makes no such media.
    """
    check_modality(modality)
    if modality == "image":
        return sample_picture(rng, split, groups)
    return sample_clip(rng, split) if modality == "video" else sample_sound(rng)
