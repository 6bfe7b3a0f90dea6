"""Examinations of the whole model: requests and conversations, as stage 3 taught them.

Knows: which media each turn should have. Leaves to others: writing replies (`chat`),
the world's conversations (`world.dialogue`), the earlier stages (`stages`).

A turn of a conversation is asked behind the model's own earlier replies where these were right,
else behind those it should have given, so that one slip does not spoil the rest.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

from torch import Tensor

from nextgpt_lite.data.records import Record
from nextgpt_lite.evaluation.statistics import Score
from nextgpt_lite.messages import parts_of
from nextgpt_lite.reply import Reply
from nextgpt_lite.turn import drafts
from nextgpt_lite.world.dialogue import records as dialogue
from nextgpt_lite.world.judge import with_media
from nextgpt_lite.world.scene import MODALITIES, Scene, Split
from nextgpt_lite.world.suite.contact import Tile
from nextgpt_lite.world.suite.examination import Examiner, Found, Judged, judge_all, make
from nextgpt_lite.world.suite.rows import resampled, share, weakest
from nextgpt_lite.world.suite.stages import says


def requests(examiner: Examiner) -> Found:
    """One request in words (T2M): every medium it asks for, and no other, is right."""
    rows, sheets = [], {}
    splits: tuple[tuple[Split, str, float | None, int], ...] = (
        ("train", "requests for media", 92, examiner.count),
        ("held_out", "requests in held-out words for held-out pairs", None, examiner.count // 2),
    )
    for split, measure, bar, count in splits:
        records = examiner.draws(f"t2m/{split}", partial(dialogue.t2m, split=split), count)
        right, tiles = last_turns(examiner, records)
        sorts = ["+".join(wanted(record.messages[-1])) for record in records]
        note = weakest(zip(sorts, right, strict=True))
        rows.append(share("after stage 3", measure, Score.of(right), bar, note))
        sheets[f"requests_{split}"] = tiles
    return Found(rows, sheets)


def complex_requests(examiner: Examiner) -> Found:
    """Sums told as stories, relations told the other way round, references to what was given."""
    sorts: dict[str, Callable[[Random], Record]] = {
        "arithmetic": partial(dialogue.skill_record, "arithmetic"),
        "relation": partial(dialogue.skill_record, "rewording"),
        "reference to an input": _about_input,
    }
    names = list(sorts)
    each = [names[index % len(names)] for index in range(examiner.count)]
    records = [sorts[name](Random(f"{examiner.seed}/complex/{i}")) for i, name in enumerate(each)]
    right, tiles = last_turns(examiner, records)
    note = weakest(zip(each, right, strict=True))
    row = share("after stage 3", "complex requests", Score.of(right), 88, note)
    return Found([row], {"requests_complex": tiles})


def _about_input(rng: Random) -> Record:
    """A conversation whose last turn refers to a medium that the user gave."""
    while True:
        record = dialogue.skill_record("reference", rng)
        if any(part["type"] != "text" for part in parts_of(record.messages[0])):
            return record


def last_turns(examiner: Examiner, records: Sequence[Record]) -> tuple[list[bool], list[Tile]]:
    """Whether the last reply of each conversation has the right media; earlier ones are given."""
    asked = [[with_media(m) for m in record.messages[:-1]] for record in records]
    replies = drafts(examiner.model, asked)
    trial = _Trial(examiner)
    for index, (reply, record) in enumerate(zip(replies, records, strict=True)):
        if given(reply) == wanted(record.messages[-1]):
            trial.add(index, reply, record.messages[-1])
    trial.run()
    right = [
        given(reply) == wanted(record.messages[-1]) and index not in trial.failed
        for index, (reply, record) in enumerate(zip(replies, records, strict=True))
    ]
    words = [_words(record.messages[-2]) for record in records]
    return right, trial.tiles(words)


def conversations(examiner: Examiner) -> Found:
    """MosIT dialogues, held with the model; and in every turn the choice of modalities."""
    records = examiner.draws("mosit", lambda rng: dialogue.mosit(rng, tells=1.0))
    trial, choices = _Trial(examiner), []
    failed: set[int] = set()
    talks = [[with_media(message) for message in record.messages] for record in records]
    for turn in range(0, max(len(talk) for talk in talks), 2):
        going = [index for index, talk in enumerate(talks) if turn < len(talk)]
        replies = drafts(examiner.model, [talks[index][: turn + 1] for index in going])
        for index, reply in zip(going, replies, strict=True):
            expected = records[index].messages[turn + 1]
            choices.append((given(reply), wanted(expected)))
            answer = "" if wanted(expected) else _words(expected)
            if given(reply) == wanted(expected) and (not answer or says(reply, answer)):
                trial.add(index, reply, expected)
                talks[index][turn + 1] = {"role": "assistant", "content": reply.parts}
            else:
                failed.add(index)
    trial.failed |= failed
    trial.run()
    every = Score.of(index not in trial.failed for index in range(len(records)))
    said = Score.of(index not in failed for index in range(len(records)))
    rows = [
        resampled("after stage 3", "right modality chosen, none included: F1", choices, macro_f1,
                  0.99, unit=""),
        share("after stage 3", "MosIT dialogues, every turn right", every, 80,
              f"words and modalities alone: {100 * said.rate:.1f} %"),
    ]  # fmt: skip
    opened = [_words(record.messages[0]) for record in records]
    return Found(rows, {"conversations": trial.tiles(opened)})


def wanted(message: Any) -> tuple[str, ...]:
    """The media of a reply, in order."""
    return tuple(part["type"] for part in message["content"] if part["type"] != "text")


def given(reply: Reply) -> tuple[str, ...]:
    """The media that the model wants to give, in order."""
    return tuple(part["type"] for part in reply.media)


def macro_f1(choices: Sequence[tuple[tuple[str, ...], tuple[str, ...]]]) -> float:
    """Mean F1 over "none" and the modalities that occur; a choice is (given, wanted)."""
    scores = []
    for label in ("none", *MODALITIES):
        has = [tuple(label in (each or ("none",)) for each in choice) for choice in choices]
        both = sum(given and wanted for given, wanted in has)
        either = sum(given + wanted for given, wanted in has)
        if either:
            scores.append(2 * both / either)
    return statistics.fmean(scores)


def _words(message: Any) -> str:
    return " ".join(part["text"] for part in message["content"] if part["type"] == "text")


class _Trial:
    """Media of many replies, made modality by modality; of what has failed no more are made."""

    def __init__(self, examiner: Examiner) -> None:
        self.examiner = examiner
        self.failed: set[int] = set()
        self._waiting: dict[str, list[tuple[int, int, Tensor, Scene]]] = {m: [] for m in MODALITIES}
        self._made: list[tuple[int, int, Judged]] = []

    def add(self, index: int, reply: Reply, expected: Any) -> None:
        """Takes the media of reply `index`, which are of the right modalities."""
        scenes = [part["scene"] for part in expected["content"] if part["type"] != "text"]
        for place, (made, scene) in enumerate(zip(reply.made, scenes, strict=True)):
            self._waiting[made.block.modality].append((index, place, made.condition, scene))

    def run(self) -> None:
        """Makes and judges them; clips, which take longest, last."""
        for modality, waiting in self._waiting.items():
            chosen = [each for each in waiting if each[0] not in self.failed]
            if not chosen:
                continue
            seeds = [self.examiner.seed + index + place for index, place, _, _ in chosen]
            conditions = [condition for _, _, condition, _ in chosen]
            decoder = self.examiner.model.decoder(modality)
            media = make(decoder, conditions, seeds, self.examiner.steps)
            for (index, place, _, _), judged in zip(
                chosen, judge_all([scene for *_, scene in chosen], media), strict=True
            ):
                self._made.append((index, place, judged))
                if not judged.verdict.correct:
                    self.failed.add(index)

    def tiles(self, words: Sequence[str]) -> list[Tile]:
        """What was made, pictures first, each with what was said."""
        return [
            Tile(f"{words[index]} [{tile.label}]", tile.media, tile.right)
            for index, _, judged in self._made
            for tile in [judged.tile()]
        ]
