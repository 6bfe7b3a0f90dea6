"""What a conversation gives back: a reply, and the events on the way to it.

Knows: the order of words and media, their files. Leaves to others: how any of it was made, and how
it looks in a notebook (`display`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from PIL.Image import Image
from pydantic import with_config
from torch import Tensor
from typing_extensions import TypedDict

from nextgpt_lite.display import reply_bundle
from nextgpt_lite.media import Audio, Video, safe_path
from nextgpt_lite.messages import Message, Part
from nextgpt_lite.model.generation import SignalBlock
from nextgpt_lite.model.modality import MODALITIES, get_modality
from nextgpt_lite.reading import read_json, reading


@dataclass
class Made:
    """One medium of a reply with its inner life, for traces."""

    block: SignalBlock
    condition: Tensor  # (L, C) the projected signal tokens
    media: Any = None


@dataclass
class Reply:
    """Text and media in the order in which the model gave them.

    Attributes:
        parts: message parts; `{"role": "assistant", "content": parts}` is `message`.
        signal_tokens: names of the signal tokens in the reply, in order.
        made: each medium with its signal block and condition.
        warnings: sentences that say why the reply may not be what was wanted.
        seconds: wall time from messages to the last medium.
    """

    parts: list[Part] = field(default_factory=list)
    signal_tokens: list[str] = field(default_factory=list)
    made: list[Made] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """The words alone."""
        return " ".join(part["text"] for part in self.parts if part["type"] == "text")

    @property
    def media(self) -> list[Part]:
        """The parts that are no words."""
        return [part for part in self.parts if part["type"] != "text"]

    @property
    def images(self) -> list[Image]:
        """PIL images."""
        return self._media("image")

    @property
    def audios(self) -> list[Audio]:
        """Audio clips."""
        return self._media("audio")

    @property
    def videos(self) -> list[Video]:
        """Videos."""
        return self._media("video")

    @property
    def message(self) -> Message:
        """The reply as a turn, to be appended to the messages of the next call."""
        return {"role": "assistant", "content": self.parts}

    def save(self, folder: str | Path) -> Path:
        """Writes `reply.json` and one file for each medium; returns the path of `reply.json`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        listed: list[dict[str, str]] = []
        for part in self.parts:
            if part["type"] == "text":
                continue
            row = MODALITIES[part["type"]]
            number = sum(entry["modality"] == row.name for entry in listed)
            name = f"{row.name}_{number}{row.suffix}"
            row.save(part["data"], folder / name)
            listed.append({"modality": row.name, "path": name})
        path = folder / "reply.json"
        values = {
            "text": self.text,
            "media": listed,
            "signal_tokens": self.signal_tokens,
            "warnings": self.warnings,
            "seconds": round(self.seconds, 3),
        }
        path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
        return path

    def __getattr__(self, name: str) -> list[Any]:
        """The media of a modality that was added to the table, under its plural."""
        for row in MODALITIES.values():
            if row.plural == name:
                return self._media(row.name)
        raise AttributeError(f"A reply has no {name!r}.")

    def _media(self, modality: str) -> list[Any]:
        return [part["data"] for part in self.parts if part["type"] == modality]

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        return reply_bundle(self.parts, len(self.signal_tokens), self.seconds, self.warnings)


class SavedMedium(TypedDict):
    """An entry of a `reply.json`."""

    modality: str
    path: str


@with_config(extra="allow")
class SavedReply(TypedDict):
    """What a `reply.json` says."""

    text: str
    media: list[SavedMedium]


def read_reply(path: Path) -> SavedReply:
    """What `Reply.save` wrote, media by the names of their files.

    Raises:
        MissingError, DamagedError: it is not there or not whole.
    """
    saved: SavedReply = read_json(path, SavedReply, "ask the model again")
    with reading(path):
        for each in saved["media"]:
            get_modality(each["modality"])
            safe_path(path.parent, each["path"])
    return saved


@dataclass
class Event:
    """Something that happened while a reply was made.

    Attributes:
        type: "text" (a piece of words), "step" (a decoder step is done), "media" (a medium is
            finished), "done" (the reply is complete).
        media: the finished medium; of a step the medium so far, where previews were asked for.
    """

    type: Literal["text", "step", "media", "done"]
    text: str = ""
    modality: str = ""
    step: int = 0
    total: int = 0
    media: Any = None
    reply: Reply | None = None
