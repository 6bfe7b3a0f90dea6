"""Whether an item's texts are texts, and a conversation one that can be learned from.

Knows: what no text holds, how turns follow each other. Leaves to others: the fields of formats.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from nextgpt_lite.errors import DataError
from nextgpt_lite.messages import Message, parts_of

LONG = 4000  # characters of a text that hardly fits into the context of a language model
# Halves of a surrogate pair, private use (which stands for media inside the package), control
# characters that are neither tab nor line end, marks of byte order, and what is no character.
_NO_TEXT = re.compile(
    "[\ud800-\udfff\ue000-\uf8ff\U000f0000-\U0010ffff\x00-\x08\x0b-\x1f\x7f-\x9f\ufdd0-\ufdef"
    "\ufeff\ufffe\uffff]"
)
# What programs write for no caption, in small letters.
_ABSENT = frozenset(
    ["nan", "-nan", "none", "null", "nil", "undefined", "na", "n/a", "#n/a", "#na", "<na>"]
)
_UNKNOWN = "\ufffd"  # what stands for bytes that could not be read


def without_no_text(value: Any) -> Any:
    """A value of JSON whose texts hold characters of text only."""
    if isinstance(value, str):
        return _NO_TEXT.sub("", value.replace("\r\n", "\n"))
    if isinstance(value, list):
        return [without_no_text(each) for each in value]
    if isinstance(value, dict):
        return {key: without_no_text(each) for key, each in value.items()}
    return value


def words(value: Any, field: str) -> str:
    """A text without the blanks around it; none if nothing of it can be seen.

    Raises:
        DataError: it is none: null, a number, a list, an object.
    """
    if not isinstance(value, str):
        shown = "null" if value is None else f"{value!r:.40}, a {type(value).__name__}"
        raise DataError(f"field {field!r} is {shown}, where words belong: write a text.")
    text = value.strip()
    return text if _has(text, "LNSP") else ""


def _has(text: str, kinds: str) -> bool:
    """Whether a character is of one of the general categories of Unicode: letters, numbers, ..."""
    return any(unicodedata.category(each)[0] in kinds for each in text if each != _UNKNOWN)


def is_absent(text: str) -> bool:
    """Whether a program wrote it where it had nothing to write."""
    return text.strip().lower() in _ABSENT


def caption(value: Any, field: str = "caption") -> str:
    """`words` that say something; raises DataError likewise."""
    text = words(value, field)
    if is_absent(text) or not _has(text, "LNS"):
        raise DataError(f"field {field!r} is {text!r}: write what the medium shows.")
    return text


def check_turns(messages: list[Message]) -> None:
    """Whether a model can learn to answer from a conversation.

    Raises:
        DataError: it is empty, user and assistant do not take turns, or one says nothing.
    """
    turns = messages[messages[:1] != [] and messages[0]["role"] == "system" :]
    if not turns:
        raise DataError("its conversation is empty: give a user turn and a reply.")
    for number, message in enumerate(turns):
        expected = "assistant" if number % 2 else "user"
        if message["role"] != expected:
            raise DataError(
                f"turn {number} is the {message['role']}'s where the {expected}'s belongs: let "
                "user and assistant take turns, the user first."
            )
        if not parts_of(message):
            what = "reply" if number % 2 else "user turn"
            raise DataError(f"turn {number} is an empty {what}: write one.")
    if len(turns) % 2:
        raise DataError("it ends with the user's turn: give the reply to it, or leave it out.")


def longest(messages: list[Message]) -> int:
    """Characters of the longest text."""
    texts = (p.get("text") or p.get("caption") or "" for m in messages for p in parts_of(m))
    return max(map(len, texts), default=0)
