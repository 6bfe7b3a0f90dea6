"""The types of a conversation: messages and their parts, into the model and out of it.

Plain dictionaries in the form that `transformers` knows:

    {"role": "user", "content": [{"type": "image", "path": "a.png"}, {"type": "text", "text": "?"}]}

Knows: their fields. Leaves to others: reading media, and what a conversation becomes in tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
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
        data: the medium itself.
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
