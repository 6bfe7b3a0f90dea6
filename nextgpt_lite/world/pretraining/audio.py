"""Trains and exports the lite audio decoder: text encoder, autoencoder, vocoder, denoiser.

Knows: their order, how long each trains on how many sounds, the layout of an AudioLDM pipeline.
Leaves to others: losses and sounds (`audio_parts`), captions (`audio_text`), how well it is heard
(`world.suite`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nextgpt_lite.training.part import PartTrainer
from nextgpt_lite.world.pretraining.audio_parts import (
    FRAMES,
    MEL,
    DenoiserLoss,
    VocoderLoss,
    autoencoder_loss,
    begin_vocoder,
    render_cache,
    segments,
)
from nextgpt_lite.world.pretraining.audio_text import WORDS, conditions, train_text, wordings
from nextgpt_lite.world.pretraining.autoencoder import normalise_latents
from nextgpt_lite.world.pretraining.parts import HOW, How, begin, save_pipeline, write_card
from nextgpt_lite.world.pretraining.tokenizers import caption_tokenizer
from nextgpt_lite.world.sounds import SECONDS

GUIDANCE = 2.0
SEGMENT = 32  # frames of a vocoder's training segment, about half a second


@dataclass(frozen=True)
class Budget:
    """How long each part trains, on how many sounds held in memory."""

    steps: dict[str, int]
    sounds: int = 8000
    batch: int = 32  # of latents; mels and half-second segments are half as many


def default_budget(steps: int) -> Budget:
    """What `steps` of the denoiser need before them.

    What the denoiser builds on has a fixed share, so that a longer resumed run keeps it.
    """
    return Budget(
        {
            "text": min(steps, 600),
            "autoencoder": min(steps, 600),
            "vocoder": -(-steps // 2),
            "denoiser": steps,
        }
    )


def train(
    output: str | Path,
    how: How = HOW,
    steps: int = 4000,
    budget: Budget | None = None,
    start: str | Path | None = None,
) -> Path:
    """Trains the four parts one after the other; resumed, each goes on from where it was.

    Args:
        output: gets a folder a part and, at the end, `export`, ready to be copied to
            `nextgpt_lite/weights/lite/audio`.
        steps: of the denoiser; the other parts take their share (see `default_budget`).
        budget: in place of `steps`, when a part needs another length or less memory.
        start: a decoder folder to go on from. Its text encoder and autoencoder are kept as they
            are, since conditions and latents were learnt on them; vocoder and denoiser learn on.

    Returns:
        `output / "export"`.
    """
    output, budget = Path(output), budget or default_budget(steps)
    seed, device, _ = how
    if start is not None:
        budget = replace(budget, steps={**budget.steps, "text": 0, "autoencoder": 0})
    runs: dict[str, PartTrainer] = {}

    def learn(
        name: str,
        begun: Callable[[], nn.Module],
        loss: Callable[..., dict[str, Tensor]],
        data: Callable[[torch.Generator], Any],
        **numbers: Any,
    ) -> Any:
        """Trains one part; returns it with averaged weights."""
        torch.manual_seed(seed)
        steps = budget.steps[name]
        runs[name] = how.learn(begun(), loss, data, output / name, steps=steps, **numbers)
        return runs[name].average

    sounds = render_cache(budget.sounds, seed, device)
    runs["text"] = train_text(output / "text", budget.steps["text"], how, start)

    def mels(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(sounds.mels), (budget.batch // 2,), generator=generator)
        return sounds.mels[rows].to(device).float()

    vae = learn(
        "autoencoder", lambda: begin("audio/vae", start), autoencoder_loss, mels,
        learning_rate=2e-3, warmup=100, ema=0.995,
    )  # fmt: skip
    if start is None:  # an exported one has its latents normalised already
        normalise_latents(vae, sounds.mels[:512, None].float().to(device))
    # On true mels: those of the autoencoder turned out near enough to be heard alike.
    hard = render_cache(budget.sounds // 2, seed + 1, device, weight_hard=True)

    def pieces(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        rows = torch.randint(len(hard.mels), (budget.batch // 2,), generator=generator)
        begins = torch.randint(FRAMES - SEGMENT + 1, (len(rows),), generator=generator)
        made, waves = segments(hard, rows, begins, SEGMENT)
        return made.to(device), waves.to(device)

    learn(
        "vocoder", lambda: begin_vocoder(start), VocoderLoss(device), pieces,
        learning_rate=2e-3, warmup=100, clip=5.0,
    )  # fmt: skip
    known = conditions(runs["text"].average, wordings(seed), device)
    with torch.no_grad():
        portions = (m[:, None].float().to(device) for m in sounds.mels.split(64))
        latents = torch.cat([vae.encode(m).latent_dist.mode().cpu() for m in portions])

    def noiseless(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        rows = torch.randint(len(latents), (budget.batch,), generator=generator)
        return latents[rows].to(device), sounds.scene[rows]  # (B, 8, 16, 8), (B,)

    learn("denoiser", lambda: begin("audio/unet", start), DenoiserLoss(known), noiseless)
    return export(output / "export", runs)


def export(folder: Path, runs: dict[str, PartTrainer]) -> Path:
    """Writes the averaged parts as a float16 AudioLDM pipeline with its card."""
    from diffusers.pipelines.deprecated import AudioLDMPipeline

    reader: Any = runs["text"].average
    pipeline = AudioLDMPipeline(
        vae=runs["autoencoder"].average,
        text_encoder=reader.text_encoder,
        tokenizer=caption_tokenizer(WORDS),
        unet=runs["denoiser"].average,
        scheduler=begin("audio/scheduler"),
        vocoder=runs["vocoder"].average,
    )
    settings = {"guidance_scale": GUIDANCE, "audio_length_in_s": SECONDS, "mel": MEL}
    save_pipeline(pipeline, folder, settings)
    write_card(folder, "audio", runs)
    return folder
