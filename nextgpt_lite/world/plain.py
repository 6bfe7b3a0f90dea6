"""Messages with scenes in them as JSON takes them.

Knows: the plain form of a scene. Leaves to others: records (`data.records`), files.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from nextgpt_lite.messages import Message, Part


def plain_messages(messages: Sequence[Any]) -> list[Message]:
    """Dicts, lists and strings only: scenes by their fields, without media and their sources."""
    plain: list[Any] = [
        m if isinstance(m["content"], str) else {**m, "content": [*map(_plain, m["content"])]}
        for m in messages
    ]
    return plain


def _plain(part: Part) -> Part:
    kept: Any = {name: value for name, value in part.items() if name not in ("data", "source")}
    if "scene" in kept:
        fields = dataclasses.asdict(kept["scene"])
        kept["scene"] = {"scene_type": type(kept["scene"]).__name__, **fields}
    return kept
