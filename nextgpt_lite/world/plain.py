"""Messages with scenes in them as JSON, and back.

Knows: the plain form of a scene. Leaves to others: records (`data.records`), files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from nextgpt_lite.messages import Message, Part
from nextgpt_lite.world.rendered import Rendered
from nextgpt_lite.world.scene import Clip, Group, Picture, Scene, Sound

_SCENES: dict[str, type[Picture | Sound | Clip]] = {c.__name__: c for c in (Picture, Sound, Clip)}


def plain_messages(messages: Sequence[Any]) -> list[Message]:
    """Dicts, lists and strings only: scenes by their fields, without media and their sources."""

    def plain(part: Part) -> Part:
        kept = part.copy()
        kept.pop("data", None)
        kept.pop("source", None)
        return {**kept, "scene": plain_scene(part["scene"])} if "scene" in part else kept

    return _changed(messages, plain)


def read_messages(plain: Sequence[Message]) -> list[Message]:
    """Inverts `plain_messages`."""

    def read(part: Part) -> Part:
        if "scene" not in part:
            return part
        scene = read_scene(part["scene"])
        return {**part, "scene": scene, "source": Rendered(scene, part.get("variant", 0))}

    return _changed(plain, read)


def plain_scene(scene: Scene) -> dict[str, Any]:
    """The fields of a scene, and which sort it is."""
    return {"scene_type": type(scene).__name__, **dataclasses.asdict(scene)}


def read_scene(plain: dict[str, Any]) -> Scene:
    """Inverts `plain_scene`."""
    fields = {k: v for k, v in plain.items() if k != "scene_type"}
    if "groups" in fields:
        fields["groups"] = tuple(Group(**g) for g in fields["groups"])
    return _SCENES[plain["scene_type"]](**fields)


def _changed(messages: Sequence[Message], change: Callable[[Part], Part]) -> list[Message]:
    return [
        m if isinstance(m["content"], str) else {**m, "content": [*map(change, m["content"])]}
        for m in messages
    ]
