"""The output projections alone, on signal states that are computed once.

Once the LLM no longer changes, neither do the states of its signal tokens nor the conditions they
should become: both are gathered once, and thousands of steps on them cost what dozens of steps
through the LLM did. Exact for the same reason; not valid while token rows or LoRA still learn.

Knows: gathering states, what a projection is fitted to. Leaves to others: what the LLM learned
(`loop`), the steps (`part`).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from tqdm.auto import tqdm

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.opening import Data, open_source
from nextgpt_lite.data.sources import Source
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.messages import Part
from nextgpt_lite.model.batch import collate
from nextgpt_lite.model.conversation import Encoded
from nextgpt_lite.model.device import half_of
from nextgpt_lite.training.engine import Resume
from nextgpt_lite.training.features import Features
from nextgpt_lite.training.part import PartRecipe, PartTrainer
from nextgpt_lite.training.stages import STAGES
from nextgpt_lite.training.usable import Usable
from nextgpt_lite.writing import usable as probed

# Projections learn these states by heart long before they have seen every scene (with 1,800
# captions the error of new ones stays at twice that of those seen), so most conversations are
# short ones: many captions a second.
KINDS = {"caption": 0.5, "t2m": 0.35, "mosit": 0.15}
ENCODED = 8  # batches encoded together, so that rows of one batch are of like length


def refine(
    init: str | Path,
    output: str | Path,
    *,
    data: Data = None,
    records: int = 40_000,
    steps: int = 2000,
    seed: int = 0,
    resume: Resume = False,
    device: str = "auto",
    dtype: str | None = None,
) -> NextGPT:
    """Refines every output projection of a trained model and saves the result.

    Args:
        init: folder of stage 3, whose LLM stays as it is.
        output: gets the whole trained model, and a run for each modality in `refine/`.
        data: as of `train`.
        records: conversations to gather signal states from.
        steps: of each projection.
        resume: go on from the checkpoints in `output`, as of `train`; the states are gathered anew.
        device, dtype: as of `NextGPT.from_pretrained`.

    Raises:
        ConfigError: the model has no output projections that read signal tokens.
        ExistsError: there are checkpoints, and `resume` is False.
    """
    probed(Path(output))
    model = NextGPT.from_pretrained(init, device=device, dtype=dtype)
    if model.config.messenger != "signal":
        raise ConfigError(f"{init} has captions as messenger: there is no projection to refine.")
    stage = replace(STAGES[3], mixture=KINDS)
    source = open_source(data, stage, seed + 1)  # other conversations than the stages had
    with torch.autocast(model.device.type, half_of(model.device)):
        states = gather(model, source, records)
    for modality, found in states.items():
        folder = Path(output) / "refine" / modality
        fitting(model, modality, found, folder, steps=steps, seed=seed).run(resume)
    model.save_pretrained(output)
    return model


@dataclass
class SignalStates:
    """Blocks of one modality: (X, N, D) states, X captions, and where denoising counts the latents
    of X media; embeddings are the same for all."""

    hidden: list[Tensor] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    latents: list[Tensor] = field(default_factory=list)


@torch.no_grad()
def gather(
    model: NextGPT, source: Source, records: int, batch_size: int = 32
) -> dict[str, SignalStates]:
    """Runs conversations through the LLM and keeps the states of their signal tokens."""
    features = Features(model, source.folder)
    usable = Usable(model, source, features)
    states: dict[str, SignalStates] = {}
    portion = batch_size * ENCODED
    for first in tqdm(range(0, records, portion), desc="signal states", mininterval=1.0):
        numbers = range(first, min(first + portion, records))
        encoded = [each for _, each in usable.many(numbers)]
        by_length = sorted(range(len(encoded)), key=lambda i: len(encoded[i].ids))
        blocks: dict[int, list[_Block]] = {}
        for begin in range(0, len(encoded), batch_size):
            chosen = by_length[begin : begin + batch_size]
            read = _signal_states(model, features, [encoded[i] for i in chosen])
            blocks.update(zip(chosen, read, strict=True))
        for index in range(len(encoded)):  # in the order of the conversations again
            for block in blocks[index]:
                found = states.setdefault(block.modality, SignalStates())
                found.hidden.append(block.hidden)
                found.captions.append(block.caption)
                if model.config.denoising:
                    found.latents.append(features.latents(block.modality, [block.part])[0].cpu())
    return states


class _Block(NamedTuple):
    modality: str
    hidden: Tensor  # (N, D)
    caption: str
    part: Part


def _signal_states(
    model: NextGPT, features: Features, encoded: Sequence[Encoded]
) -> list[list[_Block]]:
    """Every block, for each conversation."""
    batch = collate(
        encoded,
        pad_id=model.llm.tokenizer.pad_token_id or 0,
        width=model.encoder_width,
        features=features.media,
        conditions=lambda _, captions, __: torch.zeros(len(captions), 0),
    ).to(model.device)
    hidden = model.read(batch).signal  # (B, S, D)
    found: list[list[_Block]] = []
    for row, conversation in enumerate(encoded):
        found.append([])
        for slot in conversation.signals:
            if slot.caption is not None:
                end = slot.start + len(model.llm.signal_ids[slot.modality])
                states = hidden[row, slot.start : end].half().cpu()
                found[-1].append(_Block(slot.modality, states, slot.caption, slot.part))
    return found


class Fitting(PartTrainer):
    """Fits one module under torch's one-cycle rate, which moves the momentum too."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        rate, steps = self.schedule.learning_rate, self.schedule.steps
        self.cycles = [
            OneCycleLR(each, rate, total_steps=steps, pct_start=0.05) for each in self.optimizers
        ]

    def set_rates(self) -> None:
        """Those of this step."""
        with warnings.catch_warnings():  # a run that goes on catches up before its first step
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
            for cycle in self.cycles:
                while cycle.last_epoch < self.step:
                    cycle.step()


def fitting(
    model: NextGPT,
    modality: str,
    states: SignalStates,
    output: Path,
    *,
    steps: int,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> Fitting:
    """What fits one output projection to gathered states; everything else stays as it is."""
    captions = list(dict.fromkeys(states.captions))
    row_of = {caption: row for row, caption in enumerate(captions)}
    conditions = torch.cat(
        [
            model.decoder(modality).encode_text(captions[i : i + 256])
            for i in range(0, len(captions), 256)
        ]
    )  # (captions, L, C)
    hidden = torch.stack(states.hidden)  # (X, N, D)
    latents = torch.stack(states.latents) if states.latents else None  # (X, ...)
    rows = torch.tensor([row_of[caption] for caption in states.captions])  # (X,)
    # Each caption as often as any other: short ones come up again and again, long ones are hard.
    weights = 1 / rows.bincount()[rows]  # (X,)
    generator = torch.Generator().manual_seed(seed)
    drawn = [
        torch.multinomial(weights, batch_size, True, generator=generator) for _ in range(steps)
    ]
    with torch.no_grad():
        ids = torch.tensor(model.llm.signal_ids[modality], device=model.device)
        embedding = model.llm.embed(ids)  # (N, D)

    def data(_: torch.Generator) -> tuple[Tensor, Tensor, Tensor | None]:
        chosen = drawn[trainer.step]
        media = None if latents is None else latents[chosen].to(model.device)
        return hidden[chosen].to(model.device).float(), conditions[rows[chosen]], media

    def loss(
        _: nn.Module, batch: tuple[Tensor, Tensor, Tensor | None], generator: torch.Generator
    ) -> dict[str, Tensor]:
        states, wanted, media = batch
        told = embedding.expand_as(states)
        found = model.condition_loss(modality, states, told, wanted, media, generator=generator)
        return {"condition": found}

    projection = model.output_projections[modality].requires_grad_(True)
    recipe = PartRecipe(
        steps=steps, learning_rate=learning_rate, seed=seed, device=str(model.device), ema=0,
        log_every=1,
    )  # fmt: skip
    matrices = [p for p in projection.parameters() if p.ndim == 2]
    trainer = Fitting(projection, loss, data, output, recipe, matrices, (0.9, 0.98))
    return trainer
