"""The three stages: what learns, from which conversations, and the ledger that shows it.

Knows: which parameters belong to which part, what each stage may change (paper section 4 and 5).
Leaves to others: drawing conversations (`data.sources`), taking steps (`loop`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor, nn
from torch.optim import Optimizer

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.encoders.width import encoder_parameters
from nextgpt_lite.errors import RunError
from nextgpt_lite.model.modality import MODALITIES

PARTS = (
    "encoder",
    "input_projection",
    "llm",
    "token_rows",
    "lora",
    "output_projections",
    "decoders",
)


@dataclass(frozen=True)
class Stage:
    """One stage of training.

    Attributes:
        learns: the parts that change; everything else stays bit-identical.
        reaches: for each learning part, the losses that send it a gradient.
        mixture: kinds of conversation and their weights.
        modalities: that pairs show and replies hold, where a source can choose; empty stands for
            all that it makes.
        steps, batch_size, learning_rate: defaults at lite size.
    """

    number: int
    title: str
    reaches: dict[str, tuple[str, ...]]
    mixture: dict[str, float]
    steps: int
    batch_size: int
    learning_rate: float
    modalities: tuple[str, ...] = ()

    @property
    def learns(self) -> tuple[str, ...]:
        return tuple(self.reaches)


STAGES = {
    stage.number: stage
    for stage in (
        Stage(
            1,
            "encoding-side alignment",
            {"input_projection": ("text",)},
            {"pair": 1.0},
            steps=2000,
            batch_size=32,
            learning_rate=2e-3,
        ),
        Stage(
            2,
            "decoding-side alignment",
            {
                "token_rows": ("text", "signal", "condition"),
                "output_projections": ("condition",),
            },
            {"caption": 1.0},
            steps=3000,
            batch_size=32,
            learning_rate=1e-3,
        ),
        Stage(
            3,
            "instruction tuning",
            {
                "input_projection": ("text", "signal", "condition"),
                "token_rows": ("text", "signal", "condition"),
                "lora": ("text", "signal", "condition"),
                "output_projections": ("condition",),
            },
            {"understand": 0.3, "t2m": 0.25, "mosit": 0.3, "text": 0.05, "pair": 0.1},
            steps=3000,
            batch_size=16,
            learning_rate=5e-4,
        ),
    )
}


def fitted(stage: Stage, model: NextGPT) -> Stage:
    """The stage as a model can take it: captions as messenger need no output projections."""
    if model.config.messenger != "caption":
        return stage
    reaches = {
        part: tuple(loss for loss in losses if loss != "condition")
        for part, losses in stage.reaches.items()
        if part != "output_projections"
    }
    return replace(stage, reaches=reaches)


def part_of(name: str) -> str:
    """The part a parameter of `NextGPT` belongs to, by its name."""
    if "lora_" in name:
        return "lora"
    if "trainable_tokens" in name:
        return "token_rows"
    return name.split(".")[0]


def open_for(model: NextGPT, stage: Stage) -> list[nn.Parameter]:
    """Lets what the stage learns learn, and freezes all else; returns the learning parameters.

    Raises:
        RunError: nothing would learn, or a part the stage names has no parameters.
    """
    learning: list[nn.Parameter] = []
    found = set()
    for name, parameter in model.named_parameters():
        part = part_of(name)
        parameter.requires_grad_(part in stage.learns)
        if parameter.requires_grad:
            found.add(part)
            learning.append(parameter)
    if missing := [part for part in stage.learns if part not in found]:
        raise RunError(
            f"Stage {stage.number} should train {missing[0]!r}, but the model has no such "
            "parameters: build it with NextGPT.from_config."
        )
    return learning


class LedgerRow(NamedTuple):
    """One part in the ledger of a stage."""

    part: str
    parameters: int
    learns: bool
    losses: tuple[str, ...]
    dtype: str


def ledger(model: NextGPT, stage: Stage) -> list[LedgerRow]:
    """What learns and what is frozen, in which dtype, with the losses that reach each part.

    An encoder that is not loaded counts all the same; decoders count once they are.
    """
    counts = dict.fromkeys(PARTS, 0)
    dtypes: dict[str, set[str]] = {part: set() for part in PARTS}
    for name, parameter in model.named_parameters():
        counts[part_of(name)] += parameter.numel()
        dtypes[part_of(name)].add(str(parameter.dtype).removeprefix("torch."))
    if not counts["encoder"]:
        counts["encoder"] = sum(
            encoder_parameters(folder, model.config.trunks)
            for folder in model.frozen_folders("encoder")
        )
        dtypes["encoder"] = {"not loaded"}
    return [
        LedgerRow(
            part,
            count,
            part in stage.learns,
            stage.reaches.get(part, ()),
            ", ".join(sorted(dtypes[part])),
        )
        for part, count in counts.items()
    ]


def check_learning(model: NextGPT, stage: Stage, optimizer: Optimizer) -> None:
    """Stops a run that would not do what its ledger says.

    Raises:
        RunError: nothing would learn, something frozen would, or something that should learn
            is left out.
    """
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    if not any(p.requires_grad and id(p) in held for p in model.parameters()):
        raise RunError(
            f"Stage {stage.number} would learn nothing: no parameter of the optimiser requires a "
            "gradient; freeze parts before the trainer is built, not after."
        )
    for name, parameter in model.named_parameters():
        part = part_of(name)
        if part not in stage.learns and (parameter.requires_grad or id(parameter) in held):
            raise RunError(
                f"{name} would learn, but stage {stage.number} keeps {part!r} frozen: call "
                "open_for(model, stage) after whatever opened it."
            )
        if part in stage.learns and not (parameter.requires_grad and id(parameter) in held):
            raise RunError(
                f"{name} would not learn, but stage {stage.number} trains {part!r}: call "
                "open_for(model, stage) and build the optimiser after it."
            )


def learning_parts(model: NextGPT) -> dict[str, list[nn.Parameter]]:
    """The parameters that are open, by their parts."""
    found: dict[str, list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            found.setdefault(part_of(name), []).append(parameter)
    return found


def drop_absent_gradients(model: NextGPT, blocks: Tensor) -> None:
    """Drops the gradients of a modality's projection where no process has a block of it.

    Gradients of zeros would still let AdamW's momentum and decay move it.

    Args:
        blocks: (modalities,) how many signal blocks all processes have.
    """
    for modality, number in zip(MODALITIES, blocks.tolist(), strict=True):
        if not number and modality in model.output_projections:
            model.output_projections[modality].zero_grad(set_to_none=True)


def frozen_state(model: NextGPT, stage: Stage) -> Iterator[tuple[str, nn.Parameter]]:
    """Every parameter that must be the same, bit for bit, after the stage as before it."""
    for name, parameter in model.named_parameters():
        if part_of(name) not in stage.learns:
            yield name, parameter
