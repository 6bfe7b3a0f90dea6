"""Examinations of the whole model: what each stage taught, how fast it answers, how large it is.

Knows: which prompts ask for what. Leaves to others: writing many replies at once (`replies`), the
world's conversations (`world.dialogue`), the frozen parts (`parts`).

A turn of a conversation is asked behind the model's own earlier replies where these were right,
else behind those it should have given, so that one slip does not spoil the rest.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from nextgpt_lite.config import WEIGHTS
from nextgpt_lite.data.records import Record
from nextgpt_lite.evaluation.contact import Tile
from nextgpt_lite.evaluation.examination import Examiner, Found, Judged, judge_all
from nextgpt_lite.evaluation.lite import with_media
from nextgpt_lite.evaluation.parts import NAMES, any_scene, counted, gold_counted, gold_pairs
from nextgpt_lite.evaluation.parts import related as related_pair
from nextgpt_lite.evaluation.replies import Message, draft_all, make, told_conditions
from nextgpt_lite.evaluation.rows import Row, resampled, share, weakest
from nextgpt_lite.evaluation.score import Score
from nextgpt_lite.modality import MODALITIES
from nextgpt_lite.reply import Reply
from nextgpt_lite.world import dialogue
from nextgpt_lite.world.describe import caption, parse
from nextgpt_lite.world.dialogue_parts import assistant, telling, user
from nextgpt_lite.world.dialogue_questions import ask
from nextgpt_lite.world.dialogue_wordings import DESCRIBE, say
from nextgpt_lite.world.scene import Scene, Split

# ---- stage 1


QUESTIONS = (
    ("image", "kind"), ("image", "colour"), ("image", "count"), ("image", "relation"),
    ("audio", "kind"), ("audio", "times"), ("video", "kind"), ("video", "colour"),
    ("video", "motion"),
)  # fmt: skip


def stage_1(examiner: Examiner) -> Found:
    """Questions about new media and wishes to have them described, every word right."""
    rows = []
    for modality, about in QUESTIONS:
        draw = related_pair if about == "relation" else any_scene(modality)
        asked = examiner.draws(f"ask/{modality}/{about}", partial(_question, draw, about))
        replies = draft_all(examiner.model, [messages for messages, _ in asked])
        right = [_says(reply, answer) for reply, (_, answer) in zip(replies, asked, strict=True)]
        rows.append(
            share("after stage 1", f"{about} of a {NAMES[modality]}, asked", Score.of(right), 93)
        )
    splits: tuple[tuple[Split, str, float | None], ...] = (
        ("train", "", 93), ("held_out", " with a held-out pair", None)
    )  # fmt: skip
    for split, words, bar in splits:
        for modality in MODALITIES:
            if modality == "audio" and split == "held_out":
                continue  # no sound is held out
            scenes = examiner.draws(f"describe/{modality}/{split}", any_scene(modality, split))
            wish = DESCRIBE[modality]
            asked_for = [
                [with_media(user(say(wish, "train", Random(index)), scene))]
                for index, scene in enumerate(scenes)
            ]
            replies = draft_all(examiner.model, asked_for)
            right = [
                parse(reply.text) == scene and not reply.media
                for reply, scene in zip(replies, scenes, strict=True)
            ]
            measure = f"caption of a {NAMES[modality]}{words}"
            rows.append(share("after stage 1", measure, Score.of(right), bar))
    return Found(rows)


def _question(
    draw: Callable[[Random], Scene], about: str, rng: Random
) -> tuple[list[Message], str]:
    """A question of one subject about a new medium, and its answer."""
    while True:
        scene = draw(rng)
        asked = ask(scene, rng, "train")
        if asked.about == about:
            return [with_media(user(asked.text, scene))], asked.answer


def _says(reply: Reply, answer: str) -> bool:
    return reply.text.strip() == answer.strip() and not reply.media


# ---- stage 2


def stage_2(examiner: Examiner) -> Found:
    """Pictures from signal tokens behind a right reply, against pictures from the caption itself.

    Both are made from the same seeds; the difference is that of the shares, in points.
    """
    alike, pairs = gold_counted(examiner), gold_pairs(examiner)
    ours = [
        examiner.decoded(scenes, told_conditions(examiner.model, [_told(s) for s in scenes]))
        for scenes in (examiner.draws("counted", counted), examiner.draws("related", related_pair))
    ]
    rows = []
    for name in ("kind", "colour", "size", "count", "relation"):
        golden = pairs if name == "relation" else [*alike, *pairs]
        made = ours[1] if name == "relation" else [*ours[0], *ours[1]]
        lost = [(g.holds(name), m.holds(name)) for g, m in zip(golden, made, strict=True)]
        shares = [100 * Score.of(each).rate for each in zip(*lost, strict=True)]
        note = f"{shares[1]:.1f} % against {shares[0]:.1f} %"
        rows.append(
            resampled(
                "after stage 2", f"{name}, signal tokens behind the caption by", lost, _points, 3,
                unit="points", at_most=True, note=note,
            )
        )  # fmt: skip
    mixed = [result.tile() for each in zip(*ours, strict=True) for result in each]
    return Found(rows, {"image_from_signal_tokens": mixed})


def _told(scene: Scene) -> list[Message]:
    return [user(f"Show me {caption(scene)}."), assistant(telling(scene), scene)]


def _points(pairs: Sequence[tuple[bool, bool]]) -> float:
    return 100 * sum(first - second for first, second in pairs) / len(pairs)


# ---- stage 3


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
        if any(part["type"] != "text" for part in record.messages[0]["content"]):
            return record


def last_turns(examiner: Examiner, records: Sequence[Record]) -> tuple[list[bool], list[Tile]]:
    """Whether the last reply of each conversation has the right media; earlier ones are given."""
    asked = [[with_media(m) for m in record.messages[:-1]] for record in records]
    replies = draft_all(examiner.model, asked)
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
        replies = draft_all(examiner.model, [talks[index][: turn + 1] for index in going])
        for index, reply in zip(going, replies, strict=True):
            expected = records[index].messages[turn + 1]
            choices.append((given(reply), wanted(expected)))
            answer = "" if wanted(expected) else _words(expected)
            if given(reply) == wanted(expected) and (not answer or _says(reply, answer)):
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


def wanted(message: Message) -> tuple[str, ...]:
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


def _words(message: Message) -> str:
    return " ".join(part["text"] for part in message["content"] if part["type"] == "text")


class _Trial:
    """Media of many replies, made modality by modality; of what has failed no more are made."""

    def __init__(self, examiner: Examiner) -> None:
        self.examiner = examiner
        self.failed: set[int] = set()
        self._waiting: dict[str, list[tuple[int, int, Any, Scene]]] = {m: [] for m in MODALITIES}
        self._made: list[tuple[int, int, Judged]] = []

    def add(self, index: int, reply: Reply, expected: Message) -> None:
        """Takes the media of reply `index`, which are of the right modalities."""
        scenes = [part["scene"] for part in expected["content"] if part["type"] != "text"]
        for place, (part, scene) in enumerate(zip(reply.media, scenes, strict=True)):
            self._waiting[part["type"]].append((index, place, part["condition"], scene))

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


# ---- speed and size


SPEEDS = (
    ("picture", "Show me a large red apple in the garden.", ["image"], 1.0),
    ("sound", "Play three high meows of a cat.", ["audio"], 1.5),
    ("clip", "Show me a clip of a green car moving left.", ["video"], 2.0),
    ("all three in one reply", "I want to see, watch and hear a small orange cat.",
     ["image", "video", "audio"], 4.0),
)  # fmt: skip


def speed(examiner: Examiner) -> Found:
    """Seconds from the request to the whole reply on this machine, as it is: median of three."""

    def seconds(text: str, modalities: list[str], seed: int) -> float:
        reply = examiner.model.chat(
            text, output_modalities=modalities, num_inference_steps=examiner.steps, seed=seed
        )
        return float(reply.seconds)

    seconds("Show me everything.", [*MODALITIES], seed=0)  # loads every decoder
    rows = []
    for name, text, modalities, bar in SPEEDS:
        taken = [seconds(text, modalities, seed) for seed in range(1, 4)]
        middle = statistics.median(taken)
        rows.append(Row("speed", name, middle, min(taken), max(taken), 3, bar, "s", at_most=True))
    return Found(rows)


def size(_: Examiner) -> Found:
    """Everything that ships: the weights with their tokenizers, settings and cards."""
    files = [path for path in Path(WEIGHTS, "lite").rglob("*") if path.is_file()]
    value = sum(path.stat().st_size for path in files) / 1e6
    return Found(
        [Row("size", "all weights", value, value, value, len(files), 60, "MB", at_most=True)]
    )
