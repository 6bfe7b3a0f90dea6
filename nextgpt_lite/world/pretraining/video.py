"""Trains the video decoder: the image UNet, grown by motion modules that look along time.

Knows: the motion UNet, how it starts from the image's, and how the result is laid out as a
text-to-video pipeline that borrows the image's autoencoder.
Leaves to others: autoencoder and text encoder (an image run has both), what it shares with images
(`denoiser`, `latents`), the steps (`training.part`).
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import load_model
from torch import Tensor, nn

from nextgpt_lite.media import Video
from nextgpt_lite.model.config import SETTINGS_FILE
from nextgpt_lite.training.part import AVERAGE_FILE, PartRecipe, PartTrainer
from nextgpt_lite.world.pretraining.autoencoder import draw_clip
from nextgpt_lite.world.pretraining.denoiser import (
    Denoiser,
    denoising_loss_of,
    frozen_text_encoder,
    layer_matrices,
    new_scheduler,
)
from nextgpt_lite.world.pretraining.image import HEAD_WIDTH, WIDTHS
from nextgpt_lite.world.pretraining.latents import LatentPool
from nextgpt_lite.world.pretraining.text import LENGTH
from nextgpt_lite.world.pretraining.tokenizers import caption_tokenizer
from nextgpt_lite.world.render import FPS, FRAMES, render
from nextgpt_lite.world.scene import Scene

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel, UNetMotionModel

FIRST_POOL = 512  # clips there are before the first step
FRESH = 4  # clips added in each step, up to POOL
POOL = 32_768
MIRRORED = 0.25  # of `draw_clip`
SHIPPED_IMAGE = Path(__file__).parents[2] / "weights" / "lite" / "image"


def new_unet(image: UNet2DConditionModel) -> UNetMotionModel:
    """The image UNet with silent motion modules: 5.5 M parameters, 1.4 M of them the modules'.

    Each frame is then painted as the image UNet would, and the rest is learnt from there.
    """
    from diffusers import MotionAdapter, UNetMotionModel

    adapter = MotionAdapter(
        block_out_channels=WIDTHS,
        motion_layers_per_block=1,
        motion_num_attention_heads=WIDTHS[0] // HEAD_WIDTH,
        motion_norm_num_groups=image.config.norm_num_groups,
        motion_max_seq_length=FRAMES,
    )
    unet = UNetMotionModel.from_unet2d(image, adapter)
    for name, module in unet.named_modules():
        if name.endswith("proj_out") and "motion_modules" in name:
            assert isinstance(module, nn.Linear)
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
        if name.endswith("pos_embed"):
            module.pe.copy_(frame_codes(module.pe.shape[2]))
        if name.endswith(("attn1.to_q", "attn1.to_k")) and "motion_modules" in name:
            nn.init.eye_(module.weight)
    return unet


def frame_codes(width: int) -> Tensor:
    """Orthogonal codes (1, `FRAMES`, width) of the frames: cosines, as often as they fit.

    A motion module sees frame positions through its attention alone, and sinusoids over 10,000
    positions hardly tell eight frames apart in most heads. With these codes and an identity for
    queries and keys, a module's first attention begins by looking at its own frame and so passes
    its position on; "moves left" can then be learnt as a place for each frame.
    """
    time, wave = torch.arange(FRAMES) + 0.5, torch.arange(FRAMES)
    codes = torch.cos(torch.pi / FRAMES * time[:, None] * wave)  # (T, T), columns orthogonal
    codes[:, 0] /= 2**0.5
    return 2**0.5 * codes.repeat(1, width // FRAMES)[None]


def draw_scene(rng: Random) -> Scene:
    """A training clip."""
    return draw_clip(rng, MIRRORED)


def draw_frames(scene: Scene, rng: Random) -> list[np.ndarray]:
    """The frames of a clip."""
    medium = render(scene, rng.getrandbits(31))
    assert isinstance(medium, Video)
    return list(medium.frames)


def train(
    output: str | Path,
    steps: int = 8000,
    seed: int = 0,
    device: str = "cpu",
    resume: bool = False,
    *,
    image: str | Path = SHIPPED_IMAGE,
    batch_size: int = 8,
    start: str | Path | None = None,
    noisier: float = 2.0,
) -> Denoiser:
    """Trains the video decoder in `output` and returns it with averaged weights.

    Args:
        output: gets the pool of latents and the checkpoint.
        image: an image decoder's folder: its autoencoder, text encoder and UNet are the start.
        start: a video decoder folder to take the UNet from instead.
        noisier: of `denoising_loss_of`; where things go is settled early.
    """
    from diffusers import AutoencoderKL, UNet2DConditionModel, UNetMotionModel

    output, image = Path(output), Path(image)
    vae = AutoencoderKL.from_pretrained(str(image / "vae"), dtype=torch.float32).to(device)
    if not (output / "text_encoder").is_dir():
        shutil.copytree(image / "text_encoder", output / "text_encoder")
    torch.manual_seed(seed)
    if start is not None:
        unet = UNetMotionModel.from_pretrained(str(Path(start) / "unet"), dtype=torch.float32)
    else:
        unet = new_unet(
            UNet2DConditionModel.from_pretrained(str(image / "unet"), dtype=torch.float32)
        )
    denoiser = Denoiser(unet, frozen_text_encoder(output))
    path = output / "latents.f16"
    pool = LatentPool(vae, path, seed, POOL, FRAMES, draw_scene, draw_frames)

    def data(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        pool.grow(FIRST_POOL + FRESH * trainer.step)
        rng = Random(int(torch.randint(2**31, (), generator=generator)))
        return pool.batch(rng, batch_size)

    recipe = PartRecipe(
        steps=steps, learning_rate=1e-3, warmup=50, seed=seed, device=device, ema=0.995
    )
    loss = denoising_loss_of(new_scheduler(), noisier)
    unet.save_config(output / "unet")  # an image UNet of another depth makes another video UNet
    trainer = PartTrainer(denoiser, loss, data, output, recipe, muon=layer_matrices(unet))
    trainer.run(resume)
    average: Any = trainer.average
    return average


def export(run: str | Path, folder: str | Path, guidance_scale: float = 3.0) -> None:
    """Writes the averaged weights of a run as a float16 AnimateDiff pipeline.

    Its autoencoder is not stored: the settings point to the image decoder's in the folder beside.
    """
    from diffusers import AnimateDiffPipeline, AutoencoderKL, UNetMotionModel

    run, folder = Path(run), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    unet = UNetMotionModel.from_config(UNetMotionModel.load_config(run / "unet"))
    denoiser = Denoiser(unet, frozen_text_encoder(run))
    load_model(denoiser, run / AVERAGE_FILE)
    shared = "../image/vae"
    pipeline = AnimateDiffPipeline(
        vae=AutoencoderKL.from_pretrained(str(folder / shared)),
        text_encoder=denoiser.text_encoder,
        tokenizer=caption_tokenizer(LENGTH),
        unet=denoiser.unet,
        motion_adapter=None,  # its modules are in the UNet already
        scheduler=new_scheduler(),
    )
    pipeline.to(dtype=torch.float16)
    pipeline.save_pretrained(str(folder), safe_serialization=True)
    shutil.rmtree(folder / "vae")
    settings = {
        "guidance_scale": guidance_scale,
        "frames": FRAMES,
        "fps": FPS,
        "vae": shared,
    }
    (folder / SETTINGS_FILE).write_text(json.dumps(settings) + "\n")
