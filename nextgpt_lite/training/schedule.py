"""The numbers of a run, how its learning rate goes, and its optimizers.

Knows: which numbers must be the same when a run goes on. Leaves to others: what they do (`engine`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn
from torch.optim import Optimizer

from nextgpt_lite.errors import ConfigError
from nextgpt_lite.reading import read_yaml
from nextgpt_lite.training.stages import Stage

Whole = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Real = Annotated[float, Field(ge=0, allow_inf_nan=False)]
# Changes that a preset brings, by its name and the stage's number.
RECIPES: dict[str, dict[int, dict[str, Any]]] = read_yaml(Path(__file__).parent / "recipes.yaml")
# What a resumed run may have otherwise.
FREE = ("steps", "batch_size", "log_every", "checkpoint_every", "keep", "shard", "accumulate",
        "checkpointing", "compile", "device", "workers")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The numbers of any run. Changing `steps` of a resumed run stretches its cosine.

    Attributes:
        warmup: steps in which the rate rises; below 1 a share of all.
        weight_decay: of matrices only.
        clip: largest norm of the gradient.
        checkpoint_every: steps; a clock would not agree between processes.
        keep: how many of the newest checkpoints are kept, besides the best.
    """

    steps: Whole
    learning_rate: Real
    warmup: Real = 50
    weight_decay: Real = 0.01
    clip: Real = 1.0
    seed: Whole = 0
    log_every: Count = 10
    checkpoint_every: Count = 100
    keep: Count = 2

    def rate(self, step: int) -> float:
        """Linear warm-up, then a cosine down to a twentieth; steps are counted from 0."""
        warmup = round(self.warmup * self.steps) if self.warmup < 1 else self.warmup
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        progress = (step - warmup) / max(1, self.steps - warmup)
        return self.learning_rate * (0.05 + 0.475 * (1 + math.cos(math.pi * min(1.0, progress))))


@dataclass(frozen=True, kw_only=True)
class Schedule(Recipe):
    """The numbers of a stage's run.

    Attributes:
        batch_size: of one process; the batch of a step is this times the processes.
        beta2: of AdamW, whose beta1 is 0.9.
        shard: cut the model over the processes (FSDP2) instead of copying it (DDP).
        mixed_precision: "no", "bf16", "fp16" (with a scaler, for a T4), or "auto": the format
            that the device computes fastest in.
        packed: let conversations share rows; False gives each one of its own (`batch.collate`).
        row: positions of such a row, or of the longest conversation if that has more.
        accumulate: passes in which a step's batch is read; it gives the same gradient.
        checkpointing: compute the LLM's activations again in the backward pass, to save memory.
        device: see `model.device`; under torchrun "auto" is a card a process.
        workers: processes that make batches ahead (on Linux), see `feed`; 0 makes each when needed.
        half_conditions: keep caption conditions in float16, in half the room.
        held_out: share of the records that is never trained on; its loss is logged as "held_out".
        compile: torch.compile LLM and output projections, after a check that it keeps gradients.
    """

    batch_size: Count
    beta2: Annotated[float, Field(ge=0, lt=1)] = 0.98
    device: str = "auto"
    mixed_precision: Literal["no", "bf16", "fp16", "auto"] = "no"
    shard: bool = False
    packed: bool = True
    row: Whole = 0
    accumulate: Count = 1
    checkpointing: bool = False
    workers: Whole = 0
    half_conditions: bool = False
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.0
    compile: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.accumulate <= self.batch_size:
            raise ConfigError(
                f"accumulate is {self.accumulate}: a batch of {self.batch_size} is read in 1 to "
                f"{self.batch_size} passes."
            )

    @classmethod
    def of(cls, stage: Stage, profile: str = "lite", **changes: Any) -> Schedule:
        """The stage's defaults, those of a preset, then every given change that is not None."""
        given = {name: value for name, value in changes.items() if value is not None}
        values = {
            "steps": stage.steps,
            "batch_size": stage.batch_size,
            "learning_rate": stage.learning_rate,
            **RECIPES.get(profile, {}).get(stage.number, {}),
            **given,
        }
        if "accumulate" in values and "accumulate" not in given:  # the preset's, for its own batch
            values["accumulate"] = min(values["accumulate"], values["batch_size"])
        return cls(**values)


def decaying(parameters: Sequence[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """AdamW's groups: matrices decay, biases and the scales of norms do not."""
    matrices = [parameter for parameter in parameters if parameter.ndim > 1]
    others = [parameter for parameter in parameters if parameter.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]


def optimizers(
    learning: Sequence[nn.Parameter],
    weight_decay: float,
    betas: tuple[float, float],
    muon: Iterable[nn.Parameter] = (),
) -> list[Optimizer]:
    """AdamW, and Muon (Jordan et al., 2024) for the matrices inside a network that it is given.

    Muon's steps are scaled to the size of AdamW's, so that one learning rate serves both; the
    caller sets it before each step.
    """
    matrices = [*muon]
    turned = {id(parameter) for parameter in matrices}
    others = [parameter for parameter in learning if id(parameter) not in turned]
    found: list[Optimizer] = [torch.optim.AdamW(decaying(others, weight_decay), betas=betas)]
    if matrices:
        found.append(
            torch.optim.Muon(matrices, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw")
        )
    return found
