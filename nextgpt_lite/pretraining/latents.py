"""The pool of latents that image and video denoisers learn from.

Knows: how latents of rendered scenes are made when first needed, kept in a file, and drawn.
Leaves to others: which scenes, how they are rendered, the autoencoder, the denoiser.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nextgpt_lite.decoders.image import pictures_to_tensor
from nextgpt_lite.pretraining.denoiser import LATENT_CHANNELS, LATENT_SIDE, caption_ids
from nextgpt_lite.world.scene import Scene

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

_AT_ONCE = 32  # scenes encoded together


class LatentPool:
    """Latents of `size` scenes of `frames` frames each.

    Scene i depends on (seed, i) alone, so a resumed run finds what an uninterrupted one would.

    Args:
        draw: a scene from a source of randomness.
        pixels: a scene's frames, each (64, 64, 3); what the scene leaves open is the rng's.
    """

    def __init__(
        self,
        vae: AutoencoderKL,
        path: Path,
        seed: int,
        size: int,
        frames: int,
        draw: Callable[[Random], Scene],
        pixels: Callable[[Scene, Random], Sequence[Image.Image | np.ndarray]],
    ) -> None:
        self.vae = vae.eval().requires_grad_(False)
        self.seed, self.draw, self.pixels = seed, draw, pixels
        path.parent.mkdir(parents=True, exist_ok=True)
        mode: Literal["r+", "w+"] = "r+" if path.exists() else "w+"
        shape = (size, frames, LATENT_CHANNELS, LATENT_SIDE, LATENT_SIDE)
        self.latents: np.memmap = np.memmap(path, np.float16, mode, shape=shape)
        self.scenes: list[Scene] = []

    def grow(self, count: int) -> None:
        """Makes the pool at least `count` long, as far as its size allows."""
        count = min(count, len(self.latents))
        while len(self.scenes) < count:
            first = len(self.scenes)
            rngs = [Random(f"{self.seed} {i}") for i in range(first, min(first + _AT_ONCE, count))]
            scenes = [self.draw(rng) for rng in rngs]
            self.scenes += scenes
            # An unfilled row is all zeros; a former run may have filled it.
            if not self.latents[first : len(self.scenes), 0, 0, 0, 0].all():
                self._encode(first, scenes, rngs)

    def batch(self, rng: Random, size: int) -> tuple[Tensor, Tensor]:
        """Latents (B, c, T, h, w), or (B, c, h, w) of single frames, and token ids (B, L)."""
        indices = [rng.randrange(len(self.scenes)) for _ in range(size)]
        latents = torch.from_numpy(self.latents[indices].astype(np.float32))  # (B, T, c, h, w)
        latents = latents[:, 0] if latents.shape[1] == 1 else latents.transpose(1, 2)
        return latents, caption_ids([self.scenes[i] for i in indices], rng)

    @torch.no_grad()
    def _encode(self, first: int, scenes: list[Scene], rngs: list[Random]) -> None:
        frames = [f for s, r in zip(scenes, rngs, strict=True) for f in self.pixels(s, r)]
        with torch.autocast(self.vae.device.type, torch.bfloat16):
            latents = torch.cat(
                [
                    self.vae.encode(pictures_to_tensor(part).to(self.vae.device)).latent_dist.mode()
                    for part in (frames[i : i + 64] for i in range(0, len(frames), 64))
                ]
            )  # (B * T, c, h, w)
        rows = latents.float().cpu().numpy().reshape(len(scenes), *self.latents.shape[1:])
        self.latents[first : first + len(scenes)] = rows
