"""Conversations in words alone, for the pretraining of the lite LLM.

Knows: how media become alt text between the markers of their modality, exact or loosened.
Leaves to others: the conversations themselves (`dialogue`).
"""

from __future__ import annotations

from random import Random
from typing import Final

from nextgpt_lite.data.records import Record
from nextgpt_lite.messages import Part, parts_of
from nextgpt_lite.model.modality import get_modality
from nextgpt_lite.world import phrases
from nextgpt_lite.world.describe import caption, noun
from nextgpt_lite.world.dialogue.parts import Message, sentence
from nextgpt_lite.world.scene import Clip, Group, Picture, Scene, Sound

RESTATE: Final = "Say what to make: "


def in_words(record: Record, rng: Random, restated: bool) -> list[Message]:
    """The record without media: each given one as alt text, each shown one left out or restated.

    Args:
        record: any record of `dialogue`.
        rng: chooses how loose the alt text is.
        restated: turns that show media become a wish to say what to make, answered with captions.
    """
    messages: list[Message] = []
    for asked, answer in zip(record.messages[::2], record.messages[1::2], strict=True):
        words = " ".join(_spell(p, rng) for p in parts_of(asked))
        reply = " ".join(p["text"] for p in parts_of(answer) if p["type"] == "text")
        captions = [sentence(p["caption"]) for p in parts_of(answer) if p["type"] != "text"]
        if captions and restated:
            words, reply = RESTATE + words, " ".join(captions)
        messages += [{"role": "user", "content": words}, {"role": "assistant", "content": reply}]
    return messages


def _spell(part: Part, rng: Random) -> str:
    """A part of a user's message in words: media as alt text between their markers."""
    if part["type"] == "text":
        return str(part["text"])
    row = get_modality(part["type"])
    return f"{row.open} {_alt_text(part['scene'], rng)} {row.close}"


def _alt_text(scene: Scene, rng: Random) -> str:
    """Mostly the caption; else the words of the attributes alone, in order or loosened.

    Words are loosened only within a group, so that every question keeps its answer.
    """
    form = rng.choices(("caption", "attributes", "loose"), (60, 20, 20))[0]
    if form == "caption":
        return caption(scene)
    chunks = _attribute_words(scene)
    if form == "loose":
        for chunk in chunks:
            rng.shuffle(chunk)
    return " ".join(word for chunk in chunks for word in chunk)


def _attribute_words(scene: Scene) -> list[list[str]]:
    match scene:
        case Picture(groups, relation, place):
            chunks = [_group_words(g) for g in groups]
            if relation:
                chunks.insert(1, [relation])
            return [*chunks, [] if place == "plain" else [place]]
        case Sound(kind, times, pitch):
            return [[kind, phrases.TIMES_WORDS[times], pitch]]
        case Clip(kind, colour, motion, size, place):
            moves = phrases.MOTION_WORDS[motion][0][0]
            chunks = [_group_words(Group(kind, colour, size)), [moves]]
            return [*chunks, [] if place == "plain" else [place]]


def _group_words(group: Group) -> list[str]:
    """A group's own words; one thing goes without its number."""
    number = [] if group.count == 1 else [phrases.NUMBER_WORDS[group.count]]
    return [*number, group.size, group.colour, noun(group.kind, group.count)]
