"""Examinations of the frozen decoders and their autoencoders.

Knows: which attributes a row is about. Leaves to others: prompts (`prompts`), their text encoders
(`frozen`), reading media (`world.verify`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from nextgpt_lite.evaluation.statistics import Score
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import Clip, Picture, sample_clip, sample_sound
from nextgpt_lite.world.suite.examination import Examiner, Found, Judged, judge_all
from nextgpt_lite.world.suite.prompts import (
    any_scene,
    counted,
    one_thing,
    related,
    unseen_colour,
    unseen_count,
)
from nextgpt_lite.world.suite.rows import Row, share, weakest


def autoencoders(examiner: Examiner) -> Found:
    """New scenes through autoencoder (and vocoder) alone: every attribute has to survive."""
    rows, sheets = [], {}
    for modality in examiner.model.config.conditions:
        scenes = examiner.draws(f"autoencoder/{modality}", any_scene(modality))
        decoder: Any = examiner.model.decoder(modality)
        media: list[Any] = []
        for first in range(0, len(scenes), 16):
            some = scenes[first : first + 16]
            shown = [render(s, examiner.seed + first + i) for i, s in enumerate(some)]
            media += decoder.reconstruct(shown)
        results = judge_all(scenes, media)
        what = "autoencoder and vocoder" if modality == "audio" else "autoencoder"
        score = Score.of(r.verdict.correct for r in results)
        rows.append(share(f"{modality} {what}", "new scenes, all attributes", score, 99))
        sheets[f"{modality}_autoencoder"] = [r.tile() for r in results]
    return Found(rows, sheets)


def image_decoder(examiner: Examiner) -> Found:
    """Captions through the text encoder: one thing, numbers, bound pairs, relations, new pairs."""
    part = "image decoder"

    def row(
        measure: str, results: Sequence[Judged], bar: float, *names: str, sorts: Sequence[str] = ()
    ) -> Row:
        answers = [r.holds(*names) for r in results]
        note = weakest(zip(sorts, answers, strict=True)) if sorts else ""
        return share(part, measure, Score.of(answers), bar, note)

    single = examiner.decoded(examiner.draws("one", one_thing))
    alike, pairs = gold(examiner, counted), gold(examiner, related)
    numbers = [f"{scene.groups[0].count}" for scene in examiner.draws("counted", counted)]
    relations = [f"{scene.relation}" for scene in examiner.draws("related", related)]
    colours = examiner.decoded(examiner.draws("unseen colour", unseen_colour))
    counts = examiner.decoded(examiner.draws("unseen count", unseen_count))
    looks = ("kind", "colour", "count")
    rows = [
        row("one thing: kind, colour, size", single, 98, *looks, "size"),
        row("count 1-7 exact, with kind and colour", alike, 92, *looks, sorts=numbers),
        row("two things bound to their colours", pairs, 93, *looks),
        row("relation of two things", pairs, 93, "kind", "count", "relation", sorts=relations),
        row("(thing, colour) never trained", colours, 80, *looks),
        row("(thing, count) never trained", counts, 80, *looks),
    ]
    sheets = {
        "image_one_thing": [r.tile(*looks, "size") for r in single],
        "image_counts": [r.tile(*looks) for r in alike],
        "image_pairs": [r.tile(*looks, "relation") for r in pairs],
        "image_unseen_colours": [r.tile(*looks) for r in colours],
        "image_unseen_counts": [r.tile(*looks) for r in counts],
    }
    return Found(rows, sheets)


def gold(examiner: Examiner, draw: Callable[[Random], Picture]) -> list[Judged]:
    """Pictures of the scenes that `draw` gives, from their captions, made once."""
    name = draw.__name__
    if name not in examiner.kept:
        examiner.kept[name] = examiner.decoded(examiner.draws(name, draw))
    return examiner.kept[name]


def audio_decoder(examiner: Examiner) -> Found:
    """Captions of sounds."""
    results = examiner.decoded(examiner.draws("sound", sample_sound))
    rows = [
        share("audio decoder", measure, Score.of(r.holds(name) for r in results), bar)
        for measure, name, bar in (
            ("kind", "kind", 98),
            ("how many times", "times", 93),
            ("high or low", "pitch", 95),
        )
    ]
    return Found(rows, {"audio": [r.tile() for r in results]})


def video_decoder(examiner: Examiner) -> Found:
    """Captions of clips."""
    results = examiner.decoded(examiner.draws("clip", sample_clip))
    motions = [(r.scene.motion, r.holds("motion")) for r in results if isinstance(r.scene, Clip)]
    motion = Score.of(right for _, right in motions)
    look = Score.of(r.holds("kind", "colour") for r in results)
    rows = [
        share("video decoder", "kind and colour", look, 93),
        share("video decoder", "motion", motion, 96, weakest(motions)),
    ]
    return Found(rows, {"video": [r.tile("kind", "colour", "motion") for r in results]})
