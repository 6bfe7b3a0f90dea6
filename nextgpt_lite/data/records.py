"""One conversation of a data set, whatever made it.

Knows: what a record holds. Leaves to others: reading released formats, opening or making media,
turning messages into tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from nextgpt_lite.messages import Message, Part

Kind = Literal["pair", "caption", "text", "understand", "t2m", "mosit"]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass
class Record:
    """A conversation with its identity and the kind of teaching it is for.

    Messages are of the roles "user" and "assistant".
    """

    id: str
    messages: list[Message]
    kind: Kind

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and strings: "data" is left out, a source gives way to its key."""
        messages = [
            m if isinstance(m["content"], str) else {**m, "content": [*map(_plain, m["content"])]}
            for m in self.messages
        ]
        return {"id": self.id, "kind": self.kind, "messages": messages}


def _plain(part: Part) -> dict[str, Any]:
    plain: dict[str, Any] = {k: v for k, v in part.items() if k not in ("data", "source")}
    return plain | ({"source": part["source"].key} if "source" in part else {})
