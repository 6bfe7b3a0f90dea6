"""What an evaluation works on, whoever brings it: items, wishes, instructions, systems, judges.

Knows: their fields. Leaves to others: making them (files, or a plugin such as the lite world).

Letters: L condition length, C condition width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.sources import medium
from nextgpt_lite.messages import MediaSource, Message, Part
from nextgpt_lite.model.conversation import content_parts
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.reply import Reply

NOUNS = {"image": "picture", "audio": "sound", "video": "clip"}


def noun(modality: str) -> str:
    """What a person calls a medium when talking to a model."""
    return NOUNS.get(modality, modality)


@dataclass(frozen=True)
class Item:
    """One medium and what people say of it.

    Attributes:
        captions: the first one is what is asked for where the medium is to be made.
        source: its file, or what makes it.
        again: another medium of the same captions, where one can be made.
    """

    id: str
    modality: str
    captions: tuple[str, ...]
    source: MediaSource | Path
    again: MediaSource | None = None

    def media(self) -> Any:
        """The medium; raises MediaError for a file that cannot be read."""
        if isinstance(self.source, Path):
            return MODALITIES[self.modality].load(self.source)
        return self.source.open()


class Wish(Protocol):
    """A medium and how it should change.

    Attributes:
        words: what a person says.
        caption: of the result.
        medium: what is given.
        mask: where it may change, as `Decoder.edit` takes it; None where nothing says so.
        truth: the medium as it should be; None where nobody knows.
    """

    @property
    def words(self) -> str: ...
    @property
    def caption(self) -> str: ...
    @property
    def medium(self) -> Any: ...
    @property
    def mask(self) -> Any: ...
    @property
    def truth(self) -> Any: ...

    def granted(self, medium: Any) -> bool | None:
        """Whether a medium is as wished; None where nobody can tell."""


@dataclass(frozen=True)
class Instruction:
    """A conversation that ends with what the user wants, and a true answer to it.

    Attributes:
        messages: media stand in their parts as "path", "data" or "source".
        truth: the parts of a true answer, words and media; a medium has a "caption" too.
        group, level: what is wanted, and how hard it is: tables are made for each.
        about: further columns of its rows.
    """

    id: str
    messages: Sequence[Message]
    truth: Sequence[Part]
    group: str = "all"
    level: str = "all"
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def prompt(self) -> str:
        """The words of the last turn."""
        parts = content_parts(self.messages[-1])
        return " ".join(part["text"] for part in parts if part["type"] == "text")

    @property
    def wanted(self) -> list[Part]:
        """The media that a true answer holds, in order."""
        return [part for part in self.truth if part["type"] != "text"]

    @property
    def words(self) -> str:
        """The words of a true answer."""
        return " ".join(part["text"] for part in self.truth if part["type"] == "text")

    def plain(self) -> list[Any]:
        """What tells it from others, as JSON takes it: a source by its key."""
        turns = [[m["role"], m["content"]] for m in self.messages] + [["truth", self.truth]]
        keep = ("type", "text", "path", "caption")
        return [
            [role, content]
            if isinstance(content, str)
            else [role, [[str(part.get(name)) for name in keep] + [_key(part)] for part in content]]
            for role, content in turns
        ]

    def opened(self) -> Instruction:
        """The same with the user's media loaded."""
        return replace(self, messages=[opened(message) for message in self.messages])


def _key(part: Mapping[str, Any]) -> str:
    return str(part["source"].key) if "source" in part else ""


def opened(message: Message) -> Message:
    """The same message; a user's media are loaded."""
    content = message["content"]
    if message["role"] != "user" or isinstance(content, str):
        return message
    parts: list[Any] = [
        p if p["type"] == "text" else {"type": p["type"], "data": medium(p)} for p in content
    ]
    return {"role": "user", "content": parts}


class Step(NamedTuple):
    """One hand-over inside a system: who worked, on what, and what came out."""

    who: str
    given: str
    result: str


@dataclass
class Answer:
    """A reply, and everything that was said between the parts of a system on the way to it.

    Attributes:
        conditions: (L, C) of each media part that still waits for its decoder, else None.
    """

    reply: Reply
    conditions: list[Tensor | None] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    @property
    def media(self) -> list[Any]:
        """The media parts of the reply, in order."""
        return self.reply.media

    def __str__(self) -> str:
        return "\n".join(f"{s.who}: {s.given} -> {s.result}" for s in self.steps)


class System(Protocol):
    """Something that answers conversations.

    Attributes:
        name: in tables.
        model: whose decoders finish its answers.
    """

    name: str
    model: NextGPT

    def drafts(self, asked: Sequence[Instruction], seeds: Sequence[int]) -> list[Answer]:
        """The answers before any decoder runs.

        Args:
            asked: media of the user's are loaded; only upper bounds may look at the truth.
            seeds: of whatever is drawn at random here, one for each of `asked`.
        """


class Judge(Protocol):
    """Says what an answer is worth.

    Attributes:
        aspects: what it looks at: the columns of its rows.
    """

    @property
    def aspects(self) -> Sequence[str]: ...

    def worth(self, instruction: Instruction, answer: Answer) -> Mapping[str, Any]:
        """0 to 100 in each aspect; NaN where an aspect does not apply.

        What else it finds stands behind the words of a row. `told`, what the words tell, and
        `told_right`, 100 or 0, are read by `comparison.decomposition`.
        """
