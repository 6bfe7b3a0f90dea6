"""Trains the image decoder: autoencoder, text encoder, the UNet under both, and decoding again.

Knows: the mix of scenes, the pool of latents it learns from, and how the result is laid out as a
Stable Diffusion pipeline.
Leaves to others: the autoencoder (`autoencoder`), what it shares with video (`denoiser`).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from PIL import Image

from nextgpt_lite.media import Video
from nextgpt_lite.world.pretraining.autoencoder import train_autoencoder, tune_decoding
from nextgpt_lite.world.pretraining.denoiser import Denoiser, frozen_text_encoder, train_denoiser
from nextgpt_lite.world.pretraining.parts import HOW, How, begin, save_pipeline, write_card
from nextgpt_lite.world.pretraining.pool import LatentPool
from nextgpt_lite.world.pretraining.text import LENGTH
from nextgpt_lite.world.pretraining.tokenizers import caption_tokenizer
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import Clip, Picture, Scene, sample_clip, sample_picture

# Shares of what is drawn: what is learnt last comes most. Frames of clips prepare the UNet for the
# video decoder, which starts from it.
SCENE_MIX = {
    "frame of a clip": 0.05, "one thing": 0.1, "several alike": 0.25, "two in a relation": 0.22,
    "two kinds": 0.2, "three kinds": 0.18,
}  # fmt: skip
FIRST_POOL = 2048  # latents there are before the first step
FRESH = 6  # latents added in each step, up to POOL
POOL = 131_072
GUIDANCE = 2.0
TUNING = 2500  # steps of the autoencoder's decoding half, in the end


def draw_scene(rng: Random) -> Picture | Clip:
    """A training scene after `SCENE_MIX`."""
    sort = rng.choices(tuple(SCENE_MIX), tuple(SCENE_MIX.values()))[0]
    if sort == "frame of a clip":
        return sample_clip(rng)
    while True:
        picture = sample_picture(rng, groups=rng.choice((1, 2, 3)))
        if _sort_of(picture) == sort:
            return picture


def _sort_of(picture: Picture) -> str:
    match picture.groups:
        case (group,):
            return "one thing" if group.count == 1 else "several alike"
        case (_, _):
            return "two kinds" if picture.relation is None else "two in a relation"
    return "three kinds"


def draw_pixels(scene: Scene, rng: Random) -> list[Image.Image | np.ndarray]:
    """The picture, or any one frame of the clip."""
    medium = render(scene, rng.getrandbits(31))
    if isinstance(medium, Video):
        return [rng.choice(list(medium.frames))]
    assert isinstance(medium, Image.Image)
    return [medium]


def train(
    output: str | Path,
    how: How = HOW,
    *,
    steps: int = 8000,
    batch_size: int = 32,
    start: str | Path | None = None,
    noisier: float = 6.0,
) -> Path:
    """Trains the image decoder in `output` and writes it to `output/export`, which is returned.

    Args:
        output: holds `vae/` (trained first where it is missing), the pool and the runs.
        start: a decoder folder to go on from instead of from random weights; its text encoder and
            the encoding half of its autoencoder are kept as they are.
        noisier: of `denoising_loss_of`; how many things there are, and where, is settled early.
    """
    from diffusers import AutoencoderKL

    output = Path(output)
    if start is not None:
        vae = begin("image/vae", start)
        vae.save_pretrained(output / "vae")
        shutil.copytree(Path(start) / "text_encoder", output / "text_encoder", dirs_exist_ok=True)
    elif (output / "vae").is_dir():
        vae = AutoencoderKL.from_pretrained(str(output / "vae"))
    else:
        vae = train_autoencoder(output, how)
    torch.manual_seed(how.seed)
    denoiser = Denoiser(begin("image/unet", start), frozen_text_encoder(output, how.device))
    path, growth = output / "latents.f16", (FIRST_POOL, FRESH)
    pool = LatentPool(vae.to(how.device), path, how.seed, POOL, 1, draw_scene, draw_pixels, growth)
    run = train_denoiser(
        denoiser, pool, output, how, batch_size=batch_size, noisier=noisier, steps=steps
    )
    vae = tune_decoding(vae, run.average, output / "decoding", how, steps=TUNING)
    vae.save_pretrained(output / "vae")
    export(run.average, vae, output / "export")
    write_card(output / "export", "image", {"UNet": run})
    return output / "export"


def export(denoiser: Any, vae: Any, folder: Path) -> None:
    """Writes a float16 Stable Diffusion pipeline."""
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=denoiser.text_encoder,
        tokenizer=caption_tokenizer(LENGTH),
        unet=denoiser.unet,
        scheduler=begin("image/scheduler"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    save_pipeline(pipeline, folder, {"guidance_scale": GUIDANCE})
