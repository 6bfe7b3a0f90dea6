"""Trains the video decoder: the image UNet, grown by motion modules that look along time.

Knows: the motion UNet, how it starts from the image's, and how the result is laid out as a
text-to-video pipeline that borrows the image's autoencoder.
Leaves to others: autoencoder and text encoder (an image decoder has both), what it shares with
images (`denoiser`).
"""

from __future__ import annotations

import shutil
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from nextgpt_lite.media import Video
from nextgpt_lite.model.config import WEIGHTS
from nextgpt_lite.world.pretraining.autoencoder import draw_clip
from nextgpt_lite.world.pretraining.denoiser import Denoiser, frozen_text_encoder, train_denoiser
from nextgpt_lite.world.pretraining.parts import HOW, How, begin, save_pipeline, write_card
from nextgpt_lite.world.pretraining.pool import LatentPool
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
GUIDANCE = 3.0
SHIPPED_IMAGE = WEIGHTS / "lite" / "image"


def new_unet(image: UNet2DConditionModel) -> UNetMotionModel:
    """The image UNet with silent motion modules: 5.5 M parameters, 1.4 M of them the modules'.

    Each frame is then painted as the image UNet would, and the rest is learnt from there.
    """
    from diffusers import MotionAdapter, UNetMotionModel

    adapter = MotionAdapter(
        block_out_channels=image.config.block_out_channels,
        motion_layers_per_block=1,
        motion_num_attention_heads=image.config.attention_head_dim[0],
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
    how: How = HOW,
    *,
    steps: int = 8000,
    image: str | Path = SHIPPED_IMAGE,
    batch_size: int = 8,
    start: str | Path | None = None,
    noisier: float = 2.0,
) -> Path:
    """Trains the video decoder in `output` and writes it to `output/export`, which is returned.

    Args:
        output: holds the pool and the run.
        image: an image decoder's folder: its autoencoder, text encoder and UNet are the start.
        start: a video decoder folder to take the UNet from instead.
        noisier: of `denoising_loss_of`; which way a thing moves is settled early.
    """
    output = Path(output)
    vae = begin("image/vae", image).to(how.device)
    if not (output / "text_encoder").is_dir():
        shutil.copytree(Path(image) / "text_encoder", output / "text_encoder")
    torch.manual_seed(how.seed)
    unet = new_unet(begin("image/unet", image)) if start is None else begin("video/unet", start)
    denoiser = Denoiser(unet, frozen_text_encoder(output))
    path, growth = output / "latents.f16", (FIRST_POOL, FRESH)
    pool = LatentPool(vae, path, how.seed, POOL, FRAMES, draw_scene, draw_frames, growth)
    run = train_denoiser(
        denoiser, pool, output, how, batch_size=batch_size, noisier=noisier,
        steps=steps, warmup=50, ema=0.995,
    )  # fmt: skip
    export(run.average, vae, output / "export")
    write_card(output / "export", "video", {"UNet": run})
    return output / "export"


def export(denoiser: Any, vae: Any, folder: Path) -> None:
    """Writes a float16 AnimateDiff pipeline.

    Its autoencoder is not stored: the settings point to the image decoder's in the folder beside.
    """
    from diffusers import AnimateDiffPipeline

    pipeline = AnimateDiffPipeline(
        vae=vae,
        text_encoder=denoiser.text_encoder,
        tokenizer=caption_tokenizer(LENGTH),
        unet=denoiser.unet,
        motion_adapter=None,  # its modules are in the UNet already
        scheduler=begin("video/scheduler"),
    )
    settings = {
        "guidance_scale": GUIDANCE, "frames": FRAMES, "fps": FPS, "vae": "../image/vae",
    }  # fmt: skip
    save_pipeline(pipeline, folder, settings)
    shutil.rmtree(folder / "vae")
