"""Short runs of tiny models, for the tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.records import Record
from nextgpt_lite.training.loop import Schedule, Trainer
from nextgpt_lite.training.stages import (
    STAGES,
)
from nextgpt_lite.world.rendered import Rendered
from nextgpt_lite.world.scene import Clip, Group, Picture, Sound
from tests.tiny import Made, tiny_model

SCENES = {
    "image": Picture((Group("car", "red"),)),
    "audio": Sound("dog", 2),
    "video": Clip("bird", "yellow", "left"),
}


QUICK = {"steps": 3, "batch_size": 3, "learning_rate": 1e-2, "warmup": 1, "log_every": 1}


LOSSES = ("total", "text", "signal", "condition")


def record(index: int) -> Record:
    """Media in, words and two kinds of media out."""
    shown, made = [list(SCENES)[(index + i) % 3] for i in range(2)]
    return Record(
        str(index),
        [
            {"role": "user", "content": [{"type": shown, "source": Rendered(SCENES[shown])},
                                         {"type": "text", "text": "Draw 2 apples"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "Here is the picture."},
                                              {"type": made, "caption": f"{made} {index % 4}"},
                                              {"type": "image", "caption": "apples"}]},
        ],
        "mosit",
    )  # fmt: skip


def talkative(index: int) -> Record:
    """Conversations of very unequal length."""
    made = record(index)
    made.messages[1]["content"][0]["text"] += " Draw a red car." * (30 if index % 4 == 0 else 0)
    return made


def trainer(model: NextGPT, stage: int, output: Path, **changes: object) -> Trainer:
    schedule = Schedule.of(STAGES[stage], **{**QUICK, **changes})
    return Trainer(model, STAGES[stage], Made(record), output, schedule)


def snapshot(model: NextGPT) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters()}


def finished(output: Path, **changes: object) -> Trainer:
    run = trainer(tiny_model(), 3, output, checkpoint_every=1, **changes)
    run.run()
    return run


def run(
    folder: Path, stage: int = 3, more: dict[str, Any] | None = None, **changes: Any
) -> list[dict[str, float]]:
    """A few steps of a tiny model: the logged lines."""
    schedule = Schedule.of(STAGES[stage], **{**QUICK, "batch_size": 4, **changes})
    return Trainer(
        tiny_model(), STAGES[stage], Made(talkative), folder, schedule, **(more or {})
    ).run()


def losses(lines: list[dict[str, float]]) -> torch.Tensor:
    return torch.tensor([[line[name] for name in LOSSES] for line in lines])
