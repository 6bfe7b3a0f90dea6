"""Examinations of what the model costs: seconds for a reply, and megabytes of all that ships.

Knows: which replies are timed. Leaves to others: whether they are right (`dialogues`).
"""

from __future__ import annotations

import statistics
from pathlib import Path

from nextgpt_lite.model.config import WEIGHTS
from nextgpt_lite.world.scene import MODALITIES
from nextgpt_lite.world.suite.examination import Examiner, Found
from nextgpt_lite.world.suite.rows import Row

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
    files = [
        path
        for path in Path(WEIGHTS, "lite").rglob("*")
        if path.is_file() and "video/vae/" not in path.as_posix()  # a wheel's copy of the image's
    ]
    value = sum(path.stat().st_size for path in files) / 1e6
    return Found(
        [Row("size", "all weights", value, value, value, len(files), 64, "MB", at_most=True)]
    )
