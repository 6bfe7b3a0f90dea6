"""One conversation of a data set, whatever made it.

Knows: what a record holds. Leaves to others: reading released formats, opening or making media,
turning messages into tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

Kind = Literal["pair", "caption", "text", "understand", "t2m", "mosit"]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass
class Record:
    """A conversation with its identity and the kind of teaching it is for.

    Messages are those of `nextgpt_lite.messages`, of the roles "user" and "assistant".
    """

    id: str
    messages: list[Any]
    kind: Kind

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists and strings: "data" is left out, a source gives way to its key."""
        messages = [{**m, "content": _plain(m["content"])} for m in self.messages]
        return {"id": self.id, "kind": self.kind, "messages": messages}


def _plain(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [
        {k: v.key if k == "source" else v for k, v in part.items() if k != "data"}
        for part in content
    ]
