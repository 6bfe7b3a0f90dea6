"""What a scene says, as classes that a head can be asked for.

Knows: attributes and their values, by slot where a picture has several groups. Leaves to others:
who is asked (`text`, `encoder_data`), and the words of captions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nextgpt_lite.world import scene as world

SLOTS = 3  # groups of a picture
NOTHING = "nothing"  # the kind of a group that is not there
LOOKS: dict[str, Sequence[Any]] = {
    "kind": (*world.KINDS, NOTHING),
    "colour": world.COLOURS,
    "size": world.SIZES,
    "count": range(1, world.MAX_COUNT + 1),
}
VALUES: dict[str, Sequence[Any]] = {
    **{f"{name} {slot + 1}": values for slot in range(SLOTS) for name, values in LOOKS.items()},
    "relation": (None, *world.RELATIONS),
    "place": world.PLACES,
    "motion": world.MOTIONS,
    "times": range(1, world.MAX_TIMES + 1),
    "pitch": world.PITCHES,
}


def facts(scene: world.Scene) -> dict[str, Any]:
    """The value of each of `VALUES` of which the scene says something, its groups as it names them.

    Of a picture the kind of every slot is known, for it may hold nothing.
    """
    told: dict[str, Any] = {}
    groups = scene.groups if isinstance(scene, world.Picture) else (scene,)
    if isinstance(scene, world.Picture):
        told = {f"kind {slot + 1}": NOTHING for slot in range(SLOTS)}
    for slot, group in enumerate(groups):
        told |= {f"{n} {slot + 1}": getattr(group, n) for n in LOOKS if hasattr(group, n)}
    return told | {name: getattr(scene, name) for name in VALUES if hasattr(scene, name)}
