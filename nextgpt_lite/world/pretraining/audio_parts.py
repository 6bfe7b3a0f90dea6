"""What the parts of the lite audio decoder train on and what they minimise.

Knows: the spectrogram, the cached sounds, the losses of autoencoder, vocoder and denoiser.
Leaves to others: captions (`audio_text`), order and export (`audio`), inference (`decoders`).

The parts are the classes AudioLDM is made of (Liu et al. 2023), at small width. Shape letters:
B batch, T mel frames (128), M mel bands (64), C condition width.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nextgpt_lite.decoders.mel import LogMel
from nextgpt_lite.decoders.noise import question
from nextgpt_lite.world.pretraining.audio_text import EMPTY, SOUNDS, WIDTH, WORDINGS
from nextgpt_lite.world.pretraining.parts import begin
from nextgpt_lite.world.sounds import RATE, render_sound

FRAMES, BANDS, HOP = 128, 64, 256
MEL: dict[str, Any] = {
    "n_fft": 512,
    "floor": 1e-3,
    "scaled": True,
}  # the rest follows from the vocoder
KL_WEIGHT = 3e-4
# Its tone sweeps between 3 and 7 kHz in a twentieth of a second, where bands are wide: learnt last,
# it stays a hiss when it comes no more often than others.
HARDEST = ("bird", "high")
Batch: TypeAlias = tuple[Tensor, Tensor]


def log_mel() -> LogMel:
    """The spectrogram all parts share."""
    return LogMel(RATE, hop=HOP, bands=BANDS, **MEL)


def begin_vocoder(start: str | Path | None = None) -> Any:
    """Log-mel (B, T, 64) -> samples (B, 256 T)."""
    vocoder = begin("audio/vocoder", start)
    if start is None:  # the library's start (deviation 0.01) makes silence for long
        for layer in vocoder.modules():
            if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
                layer.reset_parameters()
    return vocoder


@dataclass
class Cache:
    """Sounds of the world in memory; row i of every tensor is sound i.

    Attributes:
        scene: index into SOUNDS, (N,).
        waves: (N, T * HOP) float16.
        mels: (N, T, M) float16.
    """

    scene: Tensor
    waves: Tensor
    mels: Tensor


@torch.no_grad()
def render_cache(number: int, seed: int, device: str, weight_hard: bool = False) -> Cache:
    """Renders `number` sounds, each scene as often as any other.

    `weight_hard` is for the vocoder. It draws sounds of three and four events more often, for there
    is more to hear in a second, and those of `HARDEST`.
    """
    rng = Random(seed)
    weights = [1] * len(SOUNDS)
    if weight_hard:
        weights = [s.times**2 * (8 if (s.kind, s.pitch) == HARDEST else 1) for s in SOUNDS]
    scene = rng.choices(range(len(SOUNDS)), weights, k=number)
    mel = log_mel().to(device)
    waves = torch.zeros(number, FRAMES * HOP, dtype=torch.float16)
    mels = torch.empty(number, FRAMES, BANDS, dtype=torch.float16)
    for start in range(0, number, 256):
        rows = range(start, min(start + 256, number))
        for row in rows:
            samples = render_sound(SOUNDS[scene[row]], rng.getrandbits(32)).samples[0]
            waves[row, : len(samples)] = torch.from_numpy(samples)
        mels[start : rows.stop] = mel(waves[start : rows.stop].to(device).float()).half().cpu()
    return Cache(torch.tensor(scene), waves, mels)


def autoencoder_loss(vae: Any, mels: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
    """Distance of mels (B, T, M) to reconstructions; what sounds weighs five times silence."""
    target = mels[:, None]  # (B, 1, T, M)
    posterior = vae.encode(target).latent_dist
    noise = torch.randn(posterior.mean.shape, generator=generator).to(posterior.mean)
    difference = vae.decode(posterior.mean + posterior.std * noise).sample.float() - target
    kl = 0.5 * (posterior.mean**2 + posterior.var - 1 - posterior.logvar).float()
    weight = 1 + 4 * (target > -0.95)
    distance = difference.abs() + 2 * difference.square()
    return {"mel": (weight * distance).sum() / weight.sum(), "kl": KL_WEIGHT * kl.mean()}


class VocoderLoss:
    """How differently two waves sound: magnitudes at three resolutions, and the mel itself.

    Phases do not count: a mel does not know them. (Yamamoto et al. 2020, Parallel WaveGAN, eq. 6.)
    """

    def __init__(self, device: str) -> None:
        self.mel = log_mel().to(device)
        self.windows = [torch.hann_window(n, device=device) for n in (256, 512, 1024)]

    def __call__(
        self, vocoder: nn.Module, batch: Batch, generator: torch.Generator
    ) -> dict[str, Tensor]:
        mels, waves = batch  # (B, T, M), (B, T * HOP)
        made = vocoder(mels)
        with torch.autocast(made.device.type, enabled=False):
            made, waves = made.float(), waves.float()
            shape, level = made.new_zeros(()), made.new_zeros(())
            for window in self.windows:
                ours, theirs = (self._magnitude(w, window) for w in (made, waves))
                shape = shape + (ours - theirs).norm() / theirs.norm()
                level = level + (ours.log() - theirs.log()).abs().mean()
            number = len(self.windows)
            mel = (self.mel(made) - self.mel(waves)).abs().mean()
        return {"shape": shape / number, "level": level / number, "mel": 5 * mel}

    @staticmethod
    def _magnitude(waves: Tensor, window: Tensor) -> Tensor:
        size = len(window)
        spectrum = torch.stft(waves, size, size // 4, window=window, return_complex=True)
        return (spectrum.real.square() + spectrum.imag.square() + 1e-5).sqrt()


class DenoiserLoss:
    """Denoising error under caption conditions, which are frozen by now.

    Args:
        conditions: (scenes + 1, WORDINGS, C); the last is the empty caption's, used for one sound
            in ten so that classifier-free guidance has its other branch.
    """

    drop = 0.1
    blur = 0.25  # length of the noise on a unit condition: projected signal tokens are not exact

    def __init__(self, conditions: Tensor) -> None:
        self.conditions = conditions
        self.scheduler = begin("audio/scheduler")

    def __call__(self, unet: Any, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        latents, scene = batch  # (B, 8, 16, 8), (B,)
        number, device = len(latents), latents.device
        dropped = torch.rand(number, generator=generator) < self.drop
        scene = torch.where(dropped, EMPTY, scene)
        wording = torch.randint(WORDINGS, (number,), generator=generator)
        wording[::2] = 0  # the canonical caption
        condition = self.conditions[scene, wording]  # (B, C)
        blur = torch.randn(condition.shape, generator=generator) * self.blur / WIDTH**0.5
        blur[dropped] = 0
        labels = F.normalize(condition + blur, dim=-1).to(device)
        noise = torch.randn(latents.shape, generator=generator).to(device)
        timesteps = torch.randint(1000, (number,), generator=generator).to(device)
        noisy, times, target = question(self.scheduler, latents, noise, timesteps)
        made = unet(noisy, times, encoder_hidden_states=None, class_labels=labels).sample
        return {"denoise": F.mse_loss(made.float(), target)}


def segments(cache: Cache, rows: Tensor, starts: Tensor, frames: int) -> Batch:
    """Cuts `frames` frames at `starts` out of the sounds `rows`.

    Returns:
        mels (B, frames, M) and waves (B, frames * HOP), float32.
    """
    frame = starts[:, None] + torch.arange(frames)  # (B, frames)
    sample = starts[:, None] * HOP + torch.arange(frames * HOP)
    return cache.mels[rows[:, None], frame].float(), cache.waves[rows[:, None], sample].float()
