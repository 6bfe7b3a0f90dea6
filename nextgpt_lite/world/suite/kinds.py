"""Examinations by number of kinds, end to end: pictures asked for, and pictures to be described.

Knows: one, two and three kinds and two kinds in numbers; questions about two given pictures; sounds
in poor recordings. Leaves to others: writing replies (`turn`), how one is judged (`dialogues`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from random import Random

import numpy as np
import torch

from nextgpt_lite.data.records import Record
from nextgpt_lite.encoders.preprocess import resample_sinc
from nextgpt_lite.evaluation.statistics import Score
from nextgpt_lite.media import Audio
from nextgpt_lite.messages import Message
from nextgpt_lite.turn import drafts
from nextgpt_lite.world.describe import caption, tells
from nextgpt_lite.world.dialogue.parts import assistant, telling, user
from nextgpt_lite.world.dialogue.questions import ask_of_two
from nextgpt_lite.world.dialogue.wordings import FRAMES
from nextgpt_lite.world.judge import with_media
from nextgpt_lite.world.scene import MAX_COUNT, Picture, sample_picture, sample_sound
from nextgpt_lite.world.sounds import render_sound
from nextgpt_lite.world.suite.dialogues import last_turns
from nextgpt_lite.world.suite.examination import Examiner, Found
from nextgpt_lite.world.suite.prompts import related
from nextgpt_lite.world.suite.rows import Row, share
from nextgpt_lite.world.suite.stages import answered, described


def one_kind(rng: Random) -> Picture:
    """One thing or several alike."""
    return sample_picture(rng, groups=1)


def in_numbers(rng: Random) -> Picture:
    """Two kinds, at least one of them several times."""
    while True:
        picture = sample_picture(rng, groups=2)
        if picture.relation is None and max(group.count for group in picture.groups) > 1:
            return picture


# Of each sort the bars of making it, and of describing it.
SORTS: dict[str, tuple[Callable[[Random], Picture], float | None, float | None]] = {
    "one kind": (one_kind, None, None),
    "two kinds": (related, None, None),
    "two kinds in numbers": (in_numbers, 85, None),
    "three kinds": (partial(sample_picture, groups=3), 75, 80),
}
SHARE_MADE = 4  # of the prompts of a row, one in so many: pictures take long


def number_of_kinds(examiner: Examiner) -> Found:
    """Pictures by the number of kinds in them, made on request and described when given."""
    rows, sheets = [], {}
    for sort, (draw, bar, _) in SORTS.items():
        scenes = examiner.draws(f"make/{sort}", draw, -(-examiner.count // SHARE_MADE))
        records = [_wish(scene, index) for index, scene in enumerate(scenes)]
        right, tiles = last_turns(examiner, records)
        rows.append(share("by number of kinds", f"{sort}, made", Score.of(right), bar))
        sheets[f"kinds_{sort.replace(' ', '_')}"] = tiles
    for sort, (draw, _, bar) in SORTS.items():
        scenes = examiner.draws(f"tell/{sort}", draw)
        right = described(examiner, "image", scenes)
        rows.append(share("by number of kinds", f"{sort}, described", Score.of(right), bar))
    return Found([*rows, _about_two(examiner)], sheets)


def _wish(scene: Picture, index: int) -> Record:
    turns = [user(f"Show me {caption(scene)}."), assistant(telling(scene), scene)]
    return Record(f"kinds/{index}", turns, "t2m")


def _about_two(examiner: Examiner) -> Row:
    """Sums, comparisons and questions about one of two given pictures."""
    asked = examiner.draws("two pictures", _question)
    right = answered(examiner, asked)
    return share("by number of kinds", "about two given pictures, asked", Score.of(right))


def _question(rng: Random) -> tuple[list[Message], str]:
    while True:
        scenes = one_kind(rng), one_kind(rng)
        if sum(scene.groups[0].count for scene in scenes) <= MAX_COUNT:
            question = ask_of_two(*scenes, rng, "train")
            return [with_media(user(question.text, *scenes))], question.answer


def _eight_bits(sound: Audio) -> Audio:
    return Audio((np.round(sound.samples * 127) / 127).astype(np.float32), sound.rate)


def _telephone(sound: Audio) -> Audio:
    return Audio(resample_sinc(torch.from_numpy(sound.samples), sound.rate, 8000).numpy(), 8000)


RECORDINGS: dict[str, Callable[[Audio], Audio]] = {
    "at a fiftieth of its level": lambda s: Audio(s.samples * np.float32(0.02), s.rate),
    "of 8 bits": _eight_bits,
    "of 8 kHz": _telephone,
    "in the right channel only": lambda s: Audio(
        np.concatenate([0 * s.samples, s.samples]), s.rate
    ),
}


def poor_recordings(examiner: Examiner) -> Found:
    """Sounds as poor recordings have them, described."""
    scenes = examiner.draws("recordings", sample_sound)
    sounds = [render_sound(scene, examiner.seed + index) for index, scene in enumerate(scenes)]
    rows = []
    for name, record in RECORDINGS.items():
        replies = drafts(examiner.model, [_given(record(sound)) for sound in sounds])
        right = [tells(r.text, s) for r, s in zip(replies, scenes, strict=True)]
        rows.append(share("poor recordings", f"sound {name}, described", Score.of(right)))
    return Found(rows)


def _given(sound: Audio) -> Sequence[Message]:
    words = FRAMES["describe_audio"]["train"][0]
    return [{"role": "user", "content": [{"type": "audio", "data": sound},
                                         {"type": "text", "text": words}]}]  # fmt: skip
