"""A dialogue as plain text, as a language model writes it and a person edits it, and back.

    Human: [image: a red car] Whose is it?
    Machine: I cannot know that, but it sounds like this. [audio: an engine hums]

Knows: these lines and marks. Leaves to others: which medium a mark stands for (`shelf`), whether
the dialogue is any good (`filters`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nextgpt_lite.errors import DataError
from nextgpt_lite.messages import Message, Part, Role, parts_of
from nextgpt_lite.model.modality import MODALITIES

SPEAKERS: dict[Role, str] = {"user": "Human", "assistant": "Machine"}
_ROUND = str.maketrans("[]", "()")
_LINE = re.compile(r"^[\W_]*(?:turn\s*\d+\W*)?(human|machine)\W{0,3}:[*_\s]*", re.I | re.M)


def mark(part: Part) -> str:
    """A medium in brackets."""
    caption = part["caption"].translate(_ROUND)
    return f"[{part['type']}: {' '.join(caption.split())}]"


def written(messages: Sequence[Message]) -> str:
    """The text of a dialogue whose media have captions."""
    lines = []
    for message in messages:
        words = (p["text"] if p["type"] == "text" else mark(p) for p in parts_of(message))
        lines.append(f"{SPEAKERS[message['role']]}: {' '.join(words)}")
    return "\n".join(lines)


def read(text: str) -> list[Message]:
    """The turns of a text, media as parts with a caption.

    Raises:
        DataError: it has no line of either speaker.
    """
    pieces = _LINE.split(text)[1:]  # speaker, words, speaker, words, ...
    if not pieces:
        raise DataError('no line begins with "Human:" or "Machine:"; write them.')
    turns: list[Message] = []
    for speaker, words in zip(pieces[::2], pieces[1::2], strict=True):
        role: Role = "user" if speaker.lower() == "human" else "assistant"
        turns.append({"role": role, "content": _parts(words)})
    return turns


def _parts(words: str) -> list[Part]:
    marks = re.compile(rf"\[\s*({'|'.join(MODALITIES)})\s*:\s*([^\[\]]+?)\s*\]", re.I)
    pieces = marks.split(words)  # text, modality, caption, text, ...
    parts: list[Part] = []
    for index in range(0, len(pieces), 3):
        if index:
            modality, caption = pieces[index - 2].lower(), " ".join(pieces[index - 1].split())
            parts.append({"type": modality, "caption": caption})
        if text := " ".join(pieces[index].split()):
            parts.append({"type": "text", "text": text})
    return parts
