"""The autoencoder that image and video decoders share: 64x64 pixels <-> 8x8 latents.

Knows: an `AutoencoderKL` of diffusers at small width, how it is trained on pictures and on frames
of clips, and how its latents are brought to mean 0 and deviation 1.
Leaves to others: the steps (`training.part`), the world, and what is diffused in latent space
(`image`, `video`).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from nextgpt_lite.decoders.noise import question
from nextgpt_lite.training.part import LossParts
from nextgpt_lite.world.pretraining.denoiser import caption_ids
from nextgpt_lite.world.pretraining.parts import HOW, How, begin
from nextgpt_lite.world.render import render_clip, render_picture
from nextgpt_lite.world.scene import Clip, Picture, sample_clip, sample_picture
from nextgpt_lite.world.sprites import SIDE, background

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

CROP = 32
CLIP_SHARE = 0.5  # of a batch: frames of clips, whose things are smaller and off the grid
MIRRORED = 0.4  # of these show a thing that moves left: drawn mirrored, as nothing else is
FOREGROUND_WEIGHT = 5.0
FOREGROUND_STEP = 8  # of 255: how far a pixel must be from the background to count
KL_WEIGHT = 3e-4
SLIPS = 0.3  # largest deviation of the noise that the decoding half learns to bear
GUESSED_FROM = 0.5  # of all timesteps: up to where it is given what a denoiser guesses


def train_autoencoder(
    output: str | Path, how: How = HOW, *, steps: int = 3000, batch_size: int = 32
) -> AutoencoderKL:
    """Trains the autoencoder and saves it, normalised, to `output/vae`.

    The first half of the steps sees `batch_size` crops around things, the rest a quarter as many
    whole pictures, which are as many pixels.
    """
    output = Path(output)

    def data(generator: torch.Generator) -> dict[str, Any]:
        rng = Random(int(torch.randint(2**31, (), generator=generator)))
        crops = trainer.step < steps // 2
        return _batch(rng, batch_size if crops else batch_size // 4, crops)

    numbers: dict[str, Any] = {"steps": steps, "learning_rate": 2e-3, "ema": 0.995}
    trainer = how.trainer(begin("image/vae"), _loss, data, output / "autoencoder", **numbers)
    trainer.run(how.resume)
    vae: Any = trainer.average
    normalise_latents(vae, _batch(Random(how.seed), 512, crops=False)["pixels"].to(how.device))
    vae.save_pretrained(output / "vae")
    return vae


def tune_decoding(
    vae: AutoencoderKL,
    denoiser: nn.Module,
    output: str | Path,
    how: How = HOW,
    *,
    steps: int = 2500,
    batch_size: int = 8,
) -> AutoencoderKL:
    """Trains the decoding half alone, in `output`, on latents that are a little off.

    The encoding half stays as it is, so what a denoiser knows of its latents stays true; where the
    denoiser is not quite right, this half learns to paint the nearest right thing.

    Args:
        denoiser: of pictures, whose slips to learn from.
    """
    vae.requires_grad_(False)
    vae.decoder.requires_grad_(True)
    vae.post_quant_conv.requires_grad_(True)
    device = how.device
    denoiser.requires_grad_(False).to(device)

    def data(generator: torch.Generator) -> dict[str, Any]:
        rng = Random(int(torch.randint(2**31, (), generator=generator)))
        return {**_batch(rng, batch_size, crops=False), "rng": rng}

    def loss(vae: Any, batch: dict[str, Any], generator: torch.Generator) -> LossParts:
        pixels, weights = batch["pixels"].to(device), batch["weights"].to(device)
        with torch.no_grad():
            latents = vae.encode(pixels).latent_dist.mode()  # (B, c, h, w)
            ids = caption_ids(batch["scenes"], batch["rng"]).to(device)
            latents = _slip(latents, ids, denoiser, generator)
        error = vae.decode(latents).sample.float() - pixels  # (B, 3, H, W)
        return {"l1": (weights * error.abs()).mean(), "l2": (weights * error**2).mean()}

    numbers: dict[str, Any] = {"steps": steps, "learning_rate": 5e-4, "ema": 0.995}
    tuned: Any = how.learn(vae, loss, data, output, **numbers).average
    return tuned


def _slip(latents: Tensor, ids: Tensor, denoiser: nn.Module, generator: torch.Generator) -> Tensor:
    """The latents (B, c, h, w), half with noise, half as the denoiser guesses them from worse."""
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    share = torch.rand(len(latents), 1, 1, 1, generator=generator).to(latents)
    half = len(latents) // 2
    noisy = latents[:half] + SLIPS * share[:half] ** 2 * noise[:half]
    scheduler = begin("image/scheduler")
    steps = (share[half:, 0, 0, 0] * GUESSED_FROM * scheduler.config.num_train_timesteps).long()
    worse, steps, _ = question(scheduler, latents[half:], noise[half:], steps)
    velocity = denoiser(worse, steps, ids[half:]).to(latents)
    kept = scheduler.alphas_cumprod.to(latents)[steps].reshape(-1, 1, 1, 1)
    return torch.cat([noisy, kept.sqrt() * worse - (1 - kept).sqrt() * velocity])


@torch.no_grad()
def normalise_latents(vae: AutoencoderKL, pixels: Tensor) -> None:
    """Folds the latents' mean and deviation on these pixels (B, 3, H, W) into the 1x1 convolutions.

    Afterwards every latent channel has mean 0 and deviation 1 there and pictures decode as before,
    so a denoiser needs no scaling factor.
    """
    latents = torch.cat([vae.encode(p).latent_dist.mode() for p in pixels.split(64)])
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))  # (c,), (c,)
    quant, post = vae.quant_conv, vae.post_quant_conv
    assert isinstance(quant, nn.Conv2d)
    assert isinstance(post, nn.Conv2d)
    assert quant.bias is not None
    assert post.bias is not None
    channels = len(mean)
    quant.bias[:channels] -= mean
    quant.bias[:channels] /= deviation
    quant.weight[:channels] /= deviation[:, None, None, None]
    quant.bias[channels:] -= 2 * deviation.log()  # these rows are the logarithm of the variance
    post.bias += post.weight[:, :, 0, 0] @ mean
    post.weight *= deviation[None, :, None, None]


def _loss(vae: Any, batch: dict[str, Any], generator: torch.Generator) -> LossParts:
    device = vae.device
    pixels, weights = batch["pixels"].to(device), batch["weights"].to(device)
    posterior = vae.encode(pixels).latent_dist
    noise = torch.randn(posterior.mean.shape, generator=generator).to(device)
    latents = posterior.mean + posterior.std * noise  # (B, c, h, w)
    error = vae.decode(latents).sample.float() - pixels  # (B, 3, H, W)
    kl = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).float().mean()
    return {
        "l1": (weights * error.abs()).mean(),
        "l2": (weights * error**2).mean(),
        "kl": KL_WEIGHT * kl,
    }


def _batch(rng: Random, size: int, crops: bool) -> dict[str, Any]:
    """Pixels (B, 3, H, W) in [-1, 1], weights (B, 1, H, W), heavier on things, and the scenes."""
    pictures, weights, scenes = [], [], []
    for _ in range(size):
        frame, scene = _frame(rng)  # (64, 64, 3) uint8
        scenes.append(scene)
        distance = np.abs(frame.astype(np.int16) - background(scene.place)).max(-1)
        thing = distance > FOREGROUND_STEP  # (64, 64)
        weight = np.where(thing, FOREGROUND_WEIGHT, 1.0).astype(np.float32)
        if crops:
            centres = np.argwhere(thing)
            row, column = centres[rng.randrange(len(centres))] if len(centres) else (32, 32)
            top, left = (
                min(max(int(c) - CROP // 2 + rng.randint(-8, 8), 0), SIDE - CROP)
                for c in (row, column)
            )
            window = np.s_[top : top + CROP, left : left + CROP]
            frame, weight = frame[window], weight[window]
        pictures.append(frame)
        weights.append(weight)
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1
    heavier = torch.from_numpy(np.stack(weights))[:, None]
    return {"pixels": pixels, "weights": heavier, "scenes": scenes}


def draw_clip(rng: Random, mirrored: float) -> Clip:
    """A clip; a share of them moves left whatever was drawn: there alone things are mirrored."""
    clip = sample_clip(rng)
    return replace(clip, motion="left") if rng.random() < mirrored else clip


def _frame(rng: Random) -> tuple[np.ndarray, Picture | Clip]:
    """One picture or one frame of a clip, and its scene."""
    if rng.random() < CLIP_SHARE:
        clip = draw_clip(rng, MIRRORED)
        return rng.choice(render_clip(clip, rng.getrandbits(31)).frames), clip
    picture = sample_picture(rng)
    return np.asarray(render_picture(picture, rng.getrandbits(31))), picture
