"""A speedrun: who teaches the shipped model to show images in so many core-minutes?

    nextgpt-lite speedrun configs/speedrun/l2.py --output DIR

An entry is a file with a function `train(model, left)`. It is given the shipped model, whose
projection to images has been drawn anew, and may change everything in it but its frozen parts;
`left()` says how many seconds are left. What counts are seconds of processors, in this process and
in its children that have ended, so that threads and a busy machine change nothing. Then the model
answers requests that no training has seen, and verifiers say how many images are right in every
attribute.

Knows: what is given, what is asked, and the clock. Leaves to others: the training (an entry),
answers and their judge (`evaluation.comparison`).
"""

from __future__ import annotations

import os
import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.errors import ConfigError, RunError
from nextgpt_lite.evaluation.baselines import Chat
from nextgpt_lite.evaluation.comparison.rows import run
from nextgpt_lite.evaluation.statistics import Score
from nextgpt_lite.plugins import plugin
from nextgpt_lite.training.stages import STAGES, frozen_state
from nextgpt_lite.world.regimes import connector
from nextgpt_lite.writing import owned

MINUTES = 2.0  # of one core
PROMPTS = 100
STEPS = 10  # of sampling


def seconds() -> float:
    """What processors have done for this process and for its children that have ended."""
    return sum(os.times()[:4])


@dataclass(frozen=True)
class Entry:
    """What an entry has reached: a line of `results/speedrun.md`."""

    name: str
    seconds: float
    score: Score

    def __str__(self) -> str:
        low, high = self.score.interval
        return (
            f"| {self.name} | {self.seconds / 60:.2f} | {100 * self.score.rate:.0f} "
            f"[{100 * low:.0f}, {100 * high:.0f}] of {self.score.total} |"
        )


def speedrun(
    path: str | Path, output: str | Path, minutes: float = MINUTES, prompts: int = PROMPTS
) -> Entry:
    """Runs an entry against the clock and has its images verified.

    Args:
        path: of the entry, a Python file. It is code, and it is run.
        output: gets `rows.csv`, one row an answer.
        minutes: of one core.
        prompts: simple requests for images.

    Raises:
        ConfigError: the file has no function `train`.
        RunError: it took longer than that, or has changed a part that is frozen.
    """
    path, output = Path(path), Path(output)
    train: Callable[..., None] | None = runpy.run_path(str(path)).get("train")
    if train is None:
        raise ConfigError(f"{path} has no function train(model, left): write one.")
    model = NextGPT.from_pretrained("lite")
    model.output_projections["image"] = connector(model, seed=0)
    model.decoder("image")  # is loaded, so that what it is can be compared
    frozen = {name: value.clone() for name, value in frozen_state(model, STAGES[3])}
    begun = seconds()
    train(model, lambda: 60 * minutes - (seconds() - begun))
    took = seconds() - begun
    if took > 60 * minutes:
        raise RunError(
            f"{path} took {took:.0f} s of {60 * minutes:.0f}: let it end when left() says so."
        )
    for name, value in frozen_state(model, STAGES[3]):
        if name in frozen and not value.equal(frozen[name]):
            raise RunError(f"{path} has changed {name}, which is frozen: train something else.")
    world = plugin("lite")
    asked = [one for one in world.instructions(prompts, groups=["image"]) if one.level == "simple"]
    with owned(output):
        answers = output / "rows.csv"
        answers.unlink(missing_ok=True)  # of an entry before
        system = Chat(model.eval(), path.stem)
        rows = run([(0, system)], asked, world.judge(model), answers, num_inference_steps=STEPS)
    return Entry(path.stem, took, Score.of(float(row["rationality"]) == 100 for row in rows))
