"""Is the scene that was asked for the scene that is there?

Knows: how a reading of a medium is compared with a scene, attribute by attribute.
Leaves to others: reading pixels (`see`) and samples (`hear`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image
from scipy.optimize import linear_sum_assignment

from nextgpt_lite.media import Audio, Video
from nextgpt_lite.world.hear import read_sound
from nextgpt_lite.world.scene import Clip, Group, Picture, Scene, Sound
from nextgpt_lite.world.see import PictureReading, Thing, read_clip, read_picture

__all__ = ["Verdict", "read_clip", "read_picture", "verify"]


@dataclass(frozen=True)
class Verdict:
    """Whether a medium shows the scene asked for, attribute by attribute.

    Attributes:
        correct: every attribute holds and nothing else is in the way.
        attributes: one entry per attribute of the scene, e.g. kind, colour, size, count.
        found: what was read from the medium, for people and for evaluation records.
    """

    correct: bool
    attributes: dict[str, bool]
    found: Any = None


def verify(scene: Scene, media: Image.Image | Audio | Video) -> Verdict:
    """Compares a picture, sound or clip with the scene it should show.

    Raises:
        TypeError: when the medium is not of the scene's sort.
    """
    match scene, media:
        case Picture(), Image.Image():
            return _verify_picture(scene, media)
        case Sound(), Audio():
            heard = read_sound(media)
            same = _same(scene, heard, "kind", "times", "pitch")
            return Verdict(all(same.values()), same, heard)
        case Clip(), Video():
            seen = read_clip(media)
            same = _same(scene, seen, "kind", "colour", "size", "motion", "place")
            return Verdict(seen.clear and all(same.values()), same, seen)
    raise TypeError(
        f"A {type(scene).__name__} scene cannot be verified against {type(media).__name__}; "
        "give a PIL image for a Picture, Audio for a Sound and Video for a Clip."
    )


def _same(scene: Sound | Clip, read: object, *names: str) -> dict[str, bool]:
    return {name: getattr(read, name) == getattr(scene, name) for name in names}


def _verify_picture(picture: Picture, image: Image.Image) -> Verdict:
    """Judges kind, colour, size, count, place, and relation where the picture has one."""
    return compare_picture(picture, read_picture(image))


def compare_picture(picture: Picture, reading: PictureReading) -> Verdict:
    """The verdict on an image that reads so."""
    slots = [group for group in picture.groups for _ in range(group.count)]
    found = _pair(slots, reading.things)
    pairs = [(slots[index], thing) for index, thing in found.items()]
    kinds = {thing.kind for thing in reading.things}
    attributes = {
        "kind": bool(pairs) and kinds == {group.kind for group in picture.groups},
        "colour": bool(pairs) and all(slot.colour == thing.colour for slot, thing in pairs),
        "size": bool(pairs) and all(slot.size == thing.size for slot, thing in pairs),
        "count": len(reading.things) == len(slots),
        "place": reading.place == picture.place,
    }
    if picture.relation is not None:
        attributes["relation"] = _related(picture, found)
    same = all(slot.kind == thing.kind for slot, thing in pairs)
    return Verdict(reading.clear and same and all(attributes.values()), attributes, reading)


def _pair(slots: list[Group], things: tuple[Thing, ...]) -> dict[int, Thing]:
    """For each thing asked for the thing found that fits it best: by kind, colour, then size."""
    cost = np.array(
        [
            [
                4 * (slot.kind != thing.kind)
                + 2 * (slot.colour != thing.colour)
                + (slot.size != thing.size)
                for thing in things
            ]
            for slot in slots
        ]
    ).reshape(len(slots), len(things))
    return {
        int(slot): things[column] for slot, column in zip(*linear_sum_assignment(cost), strict=True)
    }


def _related(picture: Picture, found: dict[int, Thing]) -> bool:
    """Whether the first group's thing stands to the second's as the picture says.

    The longer way decides, so that one relation holds of things on a diagonal, where GenEval's own
    evaluation lets two hold.
    """
    if not {0, 1} <= found.keys():
        return False
    dx, dy = found[1].x - found[0].x, found[1].y - found[0].y
    if abs(dx) > abs(dy):
        return picture.relation == ("left of" if dx > 0 else "right of")
    return picture.relation == ("above" if dy > 0 else "below")
