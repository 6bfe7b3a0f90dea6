"""Trains the image decoder: autoencoder, text encoder, the UNet under both, and decoding again.

Knows: the UNet's size, the mix of scenes, the pool of latents it learns from, and how the result
is laid out as a Stable Diffusion pipeline.
Leaves to others: the autoencoder (`autoencoder`), what it shares with video (`denoiser`), the steps
(`training.part`).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_model
from torch import Tensor

from nextgpt_lite.media import Video
from nextgpt_lite.model.config import SETTINGS_FILE
from nextgpt_lite.training.part import AVERAGE_FILE, PartRecipe, PartTrainer
from nextgpt_lite.world.pretraining.autoencoder import train_autoencoder, tune_decoding
from nextgpt_lite.world.pretraining.denoiser import (
    LATENT_CHANNELS,
    LATENT_SIDE,
    Denoiser,
    denoising_loss_of,
    frozen_text_encoder,
    layer_matrices,
    new_scheduler,
)
from nextgpt_lite.world.pretraining.latents import LatentPool
from nextgpt_lite.world.pretraining.text import LENGTH, WIDTH
from nextgpt_lite.world.pretraining.tokenizers import caption_tokenizer
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import Clip, Picture, Scene, sample_clip, sample_picture

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel

WIDTHS = (96, 96)
HEAD_WIDTH = 16
TRANSFORMER_LAYERS = 2  # in each attention block: three kinds of things want more than one look
# Shares of what is drawn: what is learnt last comes most. Frames of clips prepare the UNet for the
# video decoder, which starts from it.
SCENE_MIX = {
    "frame of a clip": 0.05, "one thing": 0.1, "several alike": 0.25, "two in a relation": 0.22,
    "two kinds": 0.2, "three kinds": 0.18,
}  # fmt: skip
FIRST_POOL = 2048  # latents there are before the first step
FRESH = 6  # latents added in each step, up to POOL
POOL = 131_072
TUNING = 2500  # steps of the autoencoder's decoding half, in the end


def new_unet() -> UNet2DConditionModel:
    """4.0 M parameters: attention at 8x8 and in the middle, convolutions alone at 4x4."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        block_out_channels=WIDTHS,
        layers_per_block=1,
        transformer_layers_per_block=TRANSFORMER_LAYERS,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=WIDTH,
        attention_head_dim=tuple(width // HEAD_WIDTH for width in WIDTHS),  # = number of heads
        norm_num_groups=16,
        use_linear_projection=True,  # as the video UNet has it, which starts from this one
    )


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
    steps: int = 8000,
    seed: int = 0,
    device: str = "cpu",
    resume: bool = False,
    *,
    batch_size: int = 32,
    start: str | Path | None = None,
    noisier: float = 6.0,
) -> Denoiser:
    """Trains the image decoder in `output` and returns it with averaged weights.

    Args:
        output: holds `vae/` (trained first where it is missing), the pool and the checkpoint.
        start: a decoder folder to go on from instead of from random weights; its text encoder and
            the encoding half of its autoencoder are kept as they are.
        noisier: of `denoising_loss_of`; how many things there are, and where, is settled early.
    """
    from diffusers import AutoencoderKL

    output = Path(output)
    if start is not None:
        vae = AutoencoderKL.from_pretrained(str(Path(start) / "vae"), dtype=torch.float32)
        vae.save_pretrained(output / "vae")
        shutil.copytree(Path(start) / "text_encoder", output / "text_encoder", dirs_exist_ok=True)
    elif (output / "vae").is_dir():
        vae = AutoencoderKL.from_pretrained(str(output / "vae"))
    else:
        vae = train_autoencoder(output, seed=seed, device=device, resume=resume)
    torch.manual_seed(seed)
    denoiser = new_denoiser(output, device) if start is None else load_denoiser(start)
    path = output / "latents.f16"
    pool = LatentPool(vae.to(device), path, seed, POOL, 1, draw_scene, draw_pixels)

    def data(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        pool.grow(FIRST_POOL + FRESH * trainer.step)
        rng = Random(int(torch.randint(2**31, (), generator=generator)))
        return pool.batch(rng, batch_size)

    recipe = PartRecipe(steps=steps, learning_rate=1e-3, seed=seed, device=device)
    loss = denoising_loss_of(new_scheduler(), noisier)
    matrices = layer_matrices(denoiser.unet)
    trainer = PartTrainer(denoiser, loss, data, output, recipe, muon=matrices)
    trainer.run(resume)
    average: Any = trainer.average
    if trainer.step >= steps:
        tuned = tune_decoding(
            vae, average, output / "decoding", steps=TUNING, seed=seed, device=device, resume=resume
        )
        tuned.save_pretrained(output / "vae")
    return average


def new_denoiser(run: str | Path, device: str = "cpu") -> Denoiser:
    return Denoiser(new_unet(), frozen_text_encoder(run, device))


def load_denoiser(folder: str | Path) -> Denoiser:
    """The UNet and text encoder of a decoder folder, in float32."""
    from diffusers import UNet2DConditionModel
    from transformers import CLIPTextModel

    folder = Path(folder)
    return Denoiser(
        UNet2DConditionModel.from_pretrained(str(folder / "unet"), dtype=torch.float32),
        CLIPTextModel.from_pretrained(str(folder / "text_encoder"), dtype=torch.float32),
    )


def export(run: str | Path, folder: str | Path, guidance_scale: float = 2.0) -> None:
    """Writes the averaged weights of a run as a float16 Stable Diffusion pipeline."""
    from diffusers import AutoencoderKL, StableDiffusionPipeline

    run, folder = Path(run), Path(folder)
    denoiser = new_denoiser(run)
    load_model(denoiser, run / AVERAGE_FILE)
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(str(run / "vae")),
        text_encoder=denoiser.text_encoder,
        tokenizer=caption_tokenizer(LENGTH),
        unet=denoiser.unet,
        scheduler=new_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(dtype=torch.float16)
    pipeline.save_pretrained(str(folder), safe_serialization=True)
    settings = {"guidance_scale": guidance_scale}
    (folder / SETTINGS_FILE).write_text(json.dumps(settings) + "\n")
