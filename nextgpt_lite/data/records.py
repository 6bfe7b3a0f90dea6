"""One conversation of a data set, whatever made it.

Knows: what a record holds and its plain form for JSON lines.
Leaves to others: reading released formats, rendering media, turning messages into tokens.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, get_args

from nextgpt_lite.world import scene as world

Kind = Literal["pair", "caption", "text", "understand", "t2m", "mosit"]
KINDS: tuple[str, ...] = get_args(Kind)
_SCENES: dict[str, type] = {c.__name__: c for c in (world.Picture, world.Sound, world.Clip)}


@dataclass
class Record:
    """A conversation with its identity and the kind of teaching it is for.

    Messages are `{"role": "user" | "assistant", "content": [part, ...]}`; a part is
    `{"type": "text", "text": str}` or `{"type": "image" | "audio" | "video", ...}` with any of
    "path", "data", "caption" and "scene".
    """

    id: str
    messages: list[dict[str, Any]]
    kind: Kind

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and strings only; "data" is left out, for media belong in files."""
        messages = [{**m, "content": _plain_content(m["content"])} for m in self.messages]
        return {"id": self.id, "kind": self.kind, "messages": messages}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Record:
        """Inverts `to_dict`.

        Raises:
            ValueError: a field is missing, or the kind is unknown.
        """
        missing = [name for name in ("id", "kind", "messages") if name not in plain]
        if missing:
            raise ValueError(f"Record lacks the field {missing[0]!r}; give id, kind and messages.")
        if plain["kind"] not in KINDS:
            raise ValueError(
                f"Record {plain['id']}: kind is {plain['kind']!r}; use one of {', '.join(KINDS)}."
            )
        messages = [{**m, "content": _rich_content(m["content"])} for m in plain["messages"]]
        return cls(str(plain["id"]), messages, plain["kind"])


def _plain_content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [
        {k: _plain_scene(v) if k == "scene" else v for k, v in part.items() if k != "data"}
        for part in content
    ]


def _rich_content(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [{k: _rich_scene(v) if k == "scene" else v for k, v in part.items()} for part in content]


def _plain_scene(scene: world.Scene) -> dict[str, Any]:
    return {"scene_type": type(scene).__name__, **dataclasses.asdict(scene)}


def _rich_scene(plain: dict[str, Any]) -> world.Scene:
    fields = {k: v for k, v in plain.items() if k != "scene_type"}
    if "groups" in fields:
        fields["groups"] = tuple(world.Group(**g) for g in fields["groups"])
    scene: world.Scene = _SCENES[plain["scene_type"]](**fields)
    return scene
