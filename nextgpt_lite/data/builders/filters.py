"""What is refused of that which a language model wrote, and for which reason.

Knows: the paper's rules of a MosIT dialogue (three to seven turns, several modalities that
alternate) and what makes a text unusable. Leaves to others: whether its media exist (`build`).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence

from nextgpt_lite.data import tidy
from nextgpt_lite.data.builders.script import written
from nextgpt_lite.errors import DataError
from nextgpt_lite.messages import Message, parts_of, text_of

TURNS = (3, 7)  # question and answer, each
SHORTEST = 4  # words of a reply
SHARED = 0.5  # of the words of a caption: a plain wish names so many
_WORDS = re.compile(r"[^\W\d_]{3,}")


class Refused(DataError):
    """A text that becomes no data; the message is the reason, the same one for all of its kind."""


def check_words(messages: Sequence[Message], unwanted: dict[str, list[str]]) -> None:
    """What every conversation must be.

    Args:
        unwanted: words and phrases, by the reason for which they are.

    Raises:
        Refused: with the reason.
    """
    try:
        tidy.check_turns([*messages])
    except DataError as error:
        raise Refused("speakers do not take turns") from error
    for message in messages:
        text = text_of(message)
        if re.search(r"[\[\]<>{}|]", text):
            raise Refused("holds marks of no medium")
        if tidy.without_no_text(text) != text or len(text) > tidy.LONG:
            raise Refused("is too long or no text")
        if message["role"] == "assistant" and len(text.split()) < SHORTEST:
            raise Refused("has a reply of hardly a word")
        if not parts_of(message):
            raise Refused("has an empty turn")
    said = " ".join(text_of(message) for message in messages).lower().replace("’", "'")
    for reason, phrases in unwanted.items():
        if re.search(rf"\b({'|'.join(map(re.escape, phrases))})\b", said):
            raise Refused(reason)


def check_mosit(messages: Sequence[Message], several: bool, templates: Iterable[str]) -> None:
    """What a MosIT dialogue must be besides.

    Args:
        several: there are media of more than one modality.
        templates: texts that were shown as examples.

    Raises:
        Refused: with the reason.
    """
    if not TURNS[0] <= len(messages) // 2 <= TURNS[1]:
        raise Refused(f"has not {TURNS[0]} to {TURNS[1]} turns")
    shown = [p["type"] for m in messages for p in parts_of(m) if p["type"] != "text"]
    if len(shown) < 2:
        raise Refused("shows fewer than two media")
    switches = sum(a != b for a, b in itertools.pairwise(shown))
    if several and switches < (len(shown) - 1) / 2:
        raise Refused("keeps to one modality")
    texts = [text_of(message).lower() for message in messages if text_of(message)]
    if len({*texts}) < len(texts):
        raise Refused("repeats itself")
    copied = {line for template in templates for line in template.splitlines()}
    if copied & {*written(messages).splitlines()}:
        raise Refused("copies an example")


def check_wish(messages: Sequence[Message], caption: str) -> None:
    """Whether a wish says what is to be made.

    Raises:
        Refused: with the reason.
    """
    if len(messages) != 2:
        raise Refused("is not one wish and one reply")
    if any(p["type"] != "text" for p in parts_of(messages[0])):
        raise Refused("shows what it should wish for")
    needed, said = ({*_WORDS.findall(text.lower())} for text in (caption, text_of(messages[0])))
    if len(needed & said) < SHARED * len(needed):
        raise Refused("does not say what is to be made")
