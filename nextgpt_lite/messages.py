"""The types of a conversation: messages and their parts, into the model and out of it.

Plain dictionaries in the form that `transformers` knows:

    {"role": "user", "content": [{"type": "image", "path": "a.png"}, {"type": "text", "text": "?"}]}

Knows: their fields, and those of the same things elsewhere (`in_our_form`). Leaves to others:
reading media, and what a conversation becomes in tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, Required, TypedDict

Role = Literal["system", "user", "assistant"]


class MediaSource(Protocol):
    """A medium that is made or opened only when it is needed, such as a rendered scene."""

    @property
    def key(self) -> str:
        """Names the content: two sources of one key open the same medium, bit for bit."""

    def open(self) -> Any:
        """The medium: a PIL image, an `Audio`, a `Video`."""


class Part(TypedDict, total=False):
    """One piece of a message.

    Attributes:
        type: "text", or the name of a modality.
        text: of a text part.
        path: a media file; in a data set relative to its folder.
        data: the medium itself, in any form that `media.take` knows.
        source: what makes the medium.
        caption: what the medium shows, in words; of a medium to be made, what its decoder is told.
        scene: what the medium shows, in the terms of the world that made it.
        variant: which of several renders of the scene is meant.
        embedding: a file with the condition of the caption, computed before.
    """

    type: Required[str]
    text: str
    path: str | Path
    data: Any
    source: MediaSource
    caption: str
    scene: Any
    variant: int
    embedding: str


class Message(TypedDict):
    """One turn; words alone may stand in place of a list of parts."""

    role: Role
    content: str | Sequence[Part]


Conversation = Sequence[Message]


def parts_of(message: Message) -> Sequence[Part]:
    """The parts of a message; words alone are one part."""
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def text_of(message: Message) -> str:
    """The words of a message, in a row."""
    return " ".join(part["text"] for part in parts_of(message) if part["type"] == "text")


def in_our_form(message: Message) -> Message:
    """The same turn, whose parts may be in the forms of transformers, OpenAI and Anthropic.

    They give a medium as `{"type": "image", "image": ...}`, with "url" or "base64" in place of
    "image", as `{"type": "image_url", "image_url": {"url": ...}}`, as `{"type": "input_image",
    "image_url": ...}` (audio: "input_audio"), or as a "source" of "base64" or "url".
    """
    content = message.get("content")
    if not isinstance(content, list | tuple):
        return message
    return {**message, "content": [_part_in_our_form(part) for part in content]}


def _part_in_our_form(part: Any) -> Any:
    if not isinstance(part, Mapping) or not isinstance(part.get("type"), str):
        return part  # refused by name where the message is read
    kind = part["type"].removeprefix("input_").removeprefix("output_").removesuffix("_url")
    part = {**part, "type": kind}
    fields = (kind, f"{kind}_url", f"input_{kind}", "url", "base64", "source")
    if kind == "text" or part.get("data") is not None or part.get("path") is not None:
        return part
    field = next((name for name in fields if part.get(name) is not None), None)
    if field is None or hasattr(part[field], "open"):  # a `MediaSource` is opened when it is read
        return part
    held = part.pop(field)
    encoded = held if field == "base64" else None
    if isinstance(held, Mapping) and "array" not in held:
        encoded = held.get("base64", held.get("data"))
        held = held.get("url", held)
    if isinstance(encoded, str):
        held = encoded if encoded.startswith("data:") else f"data:;base64,{encoded}"
    return {**part, "data": held}
