"""Examinations of what stages 1 and 2 teach: telling what media show, and making them.

The model examined has been through stage 3 too, whose LoRA has its part in these answers.

Knows: which questions are asked. Leaves to others: writing replies (`chat`),
prompts (`prompts`), what stage 3 taught (`dialogues`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any

from torch import Tensor

from nextgpt_lite.evaluation.statistics import Score
from nextgpt_lite.messages import Message
from nextgpt_lite.reply import Reply
from nextgpt_lite.turn import drafts
from nextgpt_lite.world.describe import caption, tells
from nextgpt_lite.world.dialogue.parts import assistant, telling, user
from nextgpt_lite.world.dialogue.questions import ask
from nextgpt_lite.world.dialogue.wordings import say
from nextgpt_lite.world.judge import with_media
from nextgpt_lite.world.scene import MODALITIES, Scene, Split
from nextgpt_lite.world.suite.decoders import gold
from nextgpt_lite.world.suite.examination import Examiner, Found
from nextgpt_lite.world.suite.prompts import NAMES, any_scene, counted, related
from nextgpt_lite.world.suite.rows import resampled, share

# ---- stage 1

PART = "stage 1's task, after stage 3"
QUESTIONS = (
    ("image", "kind"), ("image", "colour"), ("image", "count"), ("image", "relation"),
    ("audio", "kind"), ("audio", "times"), ("video", "kind"), ("video", "colour"),
    ("video", "motion"),
)  # fmt: skip


def stage_1(examiner: Examiner) -> Found:
    """Questions about new media and wishes to have them described, every word right."""
    rows = []
    for modality, about in QUESTIONS:
        draw = related if about == "relation" else any_scene(modality)
        asked = examiner.draws(f"ask/{modality}/{about}", partial(_question, draw, about))
        measure = f"{about} of a {NAMES[modality]}, asked"
        rows.append(share(PART, measure, Score.of(answered(examiner, asked)), 93))
    splits: tuple[tuple[Split, str, float | None], ...] = (
        ("train", "", 93), ("held_out", " with a held-out pair", None)
    )  # fmt: skip
    for split, words, bar in splits:
        for modality in MODALITIES:
            if modality == "audio" and split == "held_out":
                continue  # no sound is held out
            scenes = examiner.draws(f"describe/{modality}/{split}", any_scene(modality, split))
            measure = f"caption of a {NAMES[modality]}{words}"
            rows.append(share(PART, measure, Score.of(described(examiner, modality, scenes)), bar))
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


def answered(examiner: Examiner, asked: Sequence[tuple[list[Message], str]]) -> list[bool]:
    """Which questions are answered word for word."""
    replies = drafts(examiner.model, [messages for messages, _ in asked])
    return [says(reply, answer) for reply, (_, answer) in zip(replies, asked, strict=True)]


def described(examiner: Examiner, modality: str, scenes: Sequence[Scene]) -> list[bool]:
    """Of which scenes the whole truth is told, when their media are given."""
    words = [say(f"describe_{modality}", "train", Random(i)) for i in range(len(scenes))]
    asked = [[with_media(user(w, s))] for w, s in zip(words, scenes, strict=True)]
    replies = drafts(examiner.model, asked)
    return [tells(r.text, s) and not r.media for r, s in zip(replies, scenes, strict=True)]


def says(reply: Reply, answer: str) -> bool:
    """Whether a reply is these words and no medium."""
    return reply.text.strip() == answer.strip() and not reply.media


# ---- stage 2


def stage_2(examiner: Examiner) -> Found:
    """Pictures from signal tokens behind a right reply, against pictures from the caption itself.

    Both are made from the same seeds; the difference is that of the shares, in points.
    """
    alike, pairs = gold(examiner, counted), gold(examiner, related)
    ours = [
        examiner.decoded(scenes, _conditions(examiner, scenes))
        for scenes in (examiner.draws("counted", counted), examiner.draws("related", related))
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
                "stage 2's task, after stage 3", f"{name}, signal tokens behind the caption by",
                lost, _points, 3, unit="points", at_most=True, note=note,
            )
        )  # fmt: skip
    mixed = [result.tile() for each in zip(*ours, strict=True) for result in each]
    return Found(rows, {"image_from_signal_tokens": mixed})


def _conditions(examiner: Examiner, scenes: Sequence[Scene]) -> list[Tensor]:
    """(L, C) of each scene's picture, in a reply whose words are given."""
    told: list[Any] = [[user(f"Show me {caption(s)}."), assistant(telling(s), s)] for s in scenes]
    return [reply.made[-1].condition for reply in drafts(examiner.model, told)]


def _points(pairs: Sequence[tuple[bool, bool]]) -> float:
    return 100 * sum(first - second for first, second in pairs) / len(pairs)
