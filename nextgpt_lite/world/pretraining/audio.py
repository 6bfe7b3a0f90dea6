"""Trains, scores and ships the lite audio decoder.

Knows: the order (text encoder, autoencoder, vocoder, denoiser), budgets, the layout of
the folder that `decoders.audio` loads, the card, and scores by ear (`world.hear`).
Leaves to others: the parts and their losses (`audio_parts`), the steps (`training.part`).

    nextgpt-lite pretrain --part audio --output runs/audio
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nextgpt_lite.decoders import load_decoder
from nextgpt_lite.decoders.base import Decoder
from nextgpt_lite.media import Audio
from nextgpt_lite.model.config import SETTINGS_FILE
from nextgpt_lite.training.part import PartRecipe, PartTrainer
from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.hear import verify_sound
from nextgpt_lite.world.pretraining.audio_parts import (
    FRAMES,
    MEL,
    Cache,
    DenoiserLoss,
    VocoderLoss,
    autoencoder_loss,
    build_autoencoder,
    build_denoiser,
    build_scheduler,
    build_vocoder,
    render_cache,
    segments,
)
from nextgpt_lite.world.pretraining.audio_text import (
    SOUNDS,
    WORDS,
    conditions,
    train_text,
    wordings,
)
from nextgpt_lite.world.pretraining.autoencoder import normalise_latents
from nextgpt_lite.world.pretraining.tokenizers import caption_tokenizer
from nextgpt_lite.world.scene import Sound
from nextgpt_lite.world.sounds import SECONDS, render_sound

PARTS = ("text", "autoencoder", "vocoder", "denoiser")
MODULES = ("text_encoder", "vae", "vocoder", "unet")  # where an exported folder has them
GUIDANCE = 2.0
SEGMENT = 32  # frames of a vocoder's training segment, about half a second


@dataclass(frozen=True)
class Budget:
    """How long each part trains, on how many sounds held in memory."""

    steps: dict[str, int]
    sounds: int = 8000
    batch: int = 32  # of latents; mels and half-second segments are half as many
    scored: int = 240


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
    steps: int = 4000,
    seed: int = 0,
    device: str = "cpu",
    resume: bool = False,
    budget: Budget | None = None,
    start: str | Path | None = None,
) -> Path:
    """Trains the four parts one after the other; with `resume` each goes on from where it was.

    Args:
        output: gets a folder a part and, at the end, `export`, ready to be copied to
            `nextgpt_lite/weights/lite/audio`.
        steps: of the denoiser; the other parts take their share (see `default_budget`).
        budget: in place of `steps`, when a part needs another length or less memory.
        start: a decoder folder to go on from. Its text encoder and autoencoder are kept as they
            are, since conditions and latents were learnt on them; vocoder and denoiser learn on.

    Returns:
        `output / "export"`, which `load_decoder` loads.
    """
    output, budget = Path(output), budget or default_budget(steps)
    began = {name: None if start is None else Path(start) / name for name in MODULES}
    if start is not None:
        budget = replace(budget, steps={**budget.steps, "text": 0, "autoencoder": 0})
    cache = render_cache(budget.sounds, seed, device)
    text = train_text(
        output / "text", budget.steps["text"], seed, device, resume, began["text_encoder"]
    )
    autoencoder = _train_autoencoder(output, budget, cache, seed, device, resume, began["vae"])
    vocoder = _train_vocoder(output, budget, seed, device, resume, began["vocoder"])
    known = conditions(text.average, wordings(seed), device)
    denoiser = _train_denoiser(
        output, budget, autoencoder.average, known, cache, seed, device, resume, began["unet"]
    )
    runs = dict(zip(PARTS, (text, autoencoder, vocoder, denoiser), strict=True))
    return export(output / "export", runs, budget.scored)


def _begun(fresh: nn.Module, folder: Path | None) -> nn.Module:
    """The part with the weights of a folder, where one is given, in float32."""
    if folder is None:
        return fresh
    made_by: Any = type(fresh)
    return made_by.from_pretrained(str(folder), dtype=torch.float32)


def _train_autoencoder(
    output: Path,
    budget: Budget,
    cache: Cache,
    seed: int,
    device: str,
    resume: bool,
    start: Path | None,
) -> PartTrainer:
    def data(generator: torch.Generator) -> Tensor:
        rows = torch.randint(len(cache.mels), (budget.batch // 2,), generator=generator)
        return cache.mels[rows].to(device).float()

    recipe = PartRecipe(
        steps=budget.steps["autoencoder"],
        learning_rate=2e-3,
        warmup=100,
        ema=0.995,
        seed=seed,
        device=device,
    )
    torch.manual_seed(seed)
    vae = _begun(build_autoencoder(), start)
    run = PartTrainer(vae, autoencoder_loss, data, output / "autoencoder", recipe)
    run.run(resume)
    if start is None:  # an exported one has its latents normalised already
        normalise_latents(run.average, cache.mels[:512, None].float().to(device))
    return run


def _train_vocoder(
    output: Path, budget: Budget, seed: int, device: str, resume: bool, start: Path | None
) -> PartTrainer:
    """On true mels: those of the autoencoder turned out near enough to be heard alike."""
    cache = render_cache(budget.sounds // 2, seed + 1, device, weight_hard=True)

    def data(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        rows = torch.randint(len(cache.mels), (budget.batch // 2,), generator=generator)
        starts = torch.randint(FRAMES - SEGMENT + 1, (len(rows),), generator=generator)
        mels, waves = segments(cache, rows, starts, SEGMENT)
        return mels.to(device), waves.to(device)

    recipe = PartRecipe(
        steps=budget.steps["vocoder"],
        learning_rate=2e-3,
        warmup=100,
        seed=seed,
        device=device,
        clip=5.0,
    )
    torch.manual_seed(seed)
    vocoder = _begun(build_vocoder(), start)
    run = PartTrainer(vocoder, VocoderLoss(device), data, output / "vocoder", recipe)
    run.run(resume)
    return run


def _train_denoiser(
    output: Path,
    budget: Budget,
    vae: Any,
    known: Tensor,
    cache: Cache,
    seed: int,
    device: str,
    resume: bool,
    start: Path | None,
) -> PartTrainer:
    with torch.no_grad():
        latents = torch.cat(
            [
                vae.encode(m[:, None].float().to(device)).latent_dist.mode().cpu()
                for m in cache.mels.split(64)
            ]
        )  # (N, 8, 16, 8)

    def data(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        rows = torch.randint(len(latents), (budget.batch,), generator=generator)
        return latents[rows].to(device), cache.scene[rows]

    recipe = PartRecipe(
        steps=budget.steps["denoiser"], learning_rate=1e-3, seed=seed, device=device
    )
    torch.manual_seed(seed)
    unet = _begun(build_denoiser(), start)
    run = PartTrainer(unet, DenoiserLoss(known), data, output / "denoiser", recipe)
    run.run(resume)
    return run


def export(folder: str | Path, runs: dict[str, PartTrainer], scored: int = 240) -> Path:
    """Writes the averaged parts as float16 safetensors in diffusers layout, settings and card.

    Args:
        folder: written anew.
        runs: the finished run of each of PARTS.
        scored: number of sounds behind the card's scores; 0 writes none.
    """
    from diffusers.pipelines.deprecated import AudioLDMPipeline

    folder = Path(folder)
    reader: Any = runs["text"].average
    pipeline = AudioLDMPipeline(
        vae=runs["autoencoder"].average,
        text_encoder=reader.text_encoder,
        tokenizer=caption_tokenizer(WORDS),
        unet=runs["denoiser"].average,
        scheduler=build_scheduler(),
        vocoder=runs["vocoder"].average,
    )
    pipeline.to(dtype=torch.float16).save_pretrained(folder)
    settings = {"guidance_scale": GUIDANCE, "audio_length_in_s": SECONDS, "mel": MEL}
    (folder / SETTINGS_FILE).write_text(json.dumps(settings, indent=2) + "\n")
    text = _card(runs)
    if scored:
        decoder = load_decoder(folder)
        text += _score_table(score_captions(decoder, scored), score_passed(decoder, scored), scored)
    (folder / "card.md").write_text(text)
    return folder


def score_captions(
    decoder: Decoder, number: int, seed: int = 1, **options: Any
) -> dict[str, float]:
    """Shares of sounds made from canonical captions that are heard as asked for.

    Args:
        number: of sounds; the scenes of the world in turn.
        options: of `Decoder.generate`, 20 steps and the decoder's own guidance if not given.
    """
    asked = [SOUNDS[i % len(SOUNDS)] for i in range(number)]
    conditions = decoder.encode_text([caption(sound) for sound in asked])
    seeds = range(seed * number, (seed + 1) * number)
    return _shares(asked, [*decoder.generate_each(conditions, seeds, 16, **options)])


@torch.no_grad()
def score_passed(decoder: Decoder, number: int, seed: int = 1) -> dict[str, float]:
    """The same shares for new true sounds that pass through autoencoder and vocoder only."""
    asked = [SOUNDS[i % len(SOUNDS)] for i in range(number)]
    made: list[Audio] = []
    for start in range(0, number, 16):
        some = asked[start : start + 16]
        true = [render_sound(sound, seed * 10**6 + start + i) for i, sound in enumerate(some)]
        made += decoder.reconstruct(true)
    return _shares(asked, made)


def _shares(asked: Sequence[Sound], made: Sequence[Audio]) -> dict[str, float]:
    verdicts = [verify_sound(sound, audio) for sound, audio in zip(asked, made, strict=True)]
    right = Counter(name for v in verdicts for name, holds in v.attributes.items() if holds)
    right["all"] = sum(v.correct for v in verdicts)
    return {name: right[name] / len(asked) for name in ("kind", "times", "pitch", "all")}


def _card(runs: dict[str, PartTrainer]) -> str:
    """What the parts are, what they learned from and for how long."""
    lines = [
        "# Lite audio decoder",
        "",
        "AudioLDM at small width: a caption becomes two seconds of sound, one channel, 16 kHz.",
        "Trained by `nextgpt-lite pretrain --part audio`; licence Apache-2.0.",
        "",
        "Data: sounds of the lite world, made by program (`nextgpt_lite.world.sounds`): ten",
        "things, heard once to four times, in a low or a high voice. Half of the captions are",
        "canonical, half paraphrases of the training split (`nextgpt_lite.world.describe`).",
        "",
        "| part | parameters | steps | seconds |",
        "|---|---|---|---|",
    ]
    for name, run in runs.items():
        number = sum(p.numel() for p in run.average.parameters())
        lines.append(f"| {name} | {number:,} | {run.step:,} | {run.seconds:,.0f} |")
    lines.append("")
    return "\n".join(lines)


def _score_table(captions: dict[str, float], passed: dict[str, float], number: int) -> str:
    names = list(captions)
    rows = {"from captions": captions, "true sounds, autoencoder and vocoder only": passed}
    lines = [
        "",
        f"Heard as asked for by `nextgpt_lite.world.hear`, share of {number} sounds, 20 steps,",
        f"guidance {GUIDANCE}:",
        "",
        f"| | {' | '.join(names)} |",
        "|---|" + "---|" * len(names),
    ]
    for row, shares in rows.items():
        lines.append(f"| {row} | {' | '.join(f'{shares[n]:.1%}' for n in names)} |")
    return "\n".join(lines) + "\n"
