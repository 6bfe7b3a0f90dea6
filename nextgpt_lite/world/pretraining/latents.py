"""The pool of latents that image and video denoisers learn from.

Knows: how frames become latents, and what a batch of latents and captions is.
Leaves to others: the file (`pool`), which scenes, how they are rendered, the autoencoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nextgpt_lite.decoders.image import pictures_to_tensor
from nextgpt_lite.world.pretraining.denoiser import LATENT_CHANNELS, LATENT_SIDE, caption_ids
from nextgpt_lite.world.pretraining.pool import ScenePool
from nextgpt_lite.world.scene import Scene

if TYPE_CHECKING:
    from diffusers import AutoencoderKL


class LatentPool(ScenePool):
    """Latents of `size` scenes of `frames` frames each.

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
        self.vae, self.pixels = vae.eval().requires_grad_(False), pixels
        shape = (frames, LATENT_CHANNELS, LATENT_SIDE, LATENT_SIDE)
        super().__init__(path, seed, size, shape, draw, self._latents)

    def batch(self, rng: Random, size: int) -> tuple[Tensor, Tensor]:
        """Latents (B, c, T, h, w), or (B, c, h, w) of single frames, and token ids (B, L)."""
        indices = [rng.randrange(len(self.scenes)) for _ in range(size)]
        latents = torch.from_numpy(self.rows[indices].astype(np.float32))  # (B, T, c, h, w)
        latents = latents[:, 0] if latents.shape[1] == 1 else latents.transpose(1, 2)
        return latents, caption_ids([self.scenes[i] for i in indices], rng)

    @torch.no_grad()
    def _latents(self, scenes: Sequence[Scene], rngs: Sequence[Random]) -> np.ndarray:
        frames = [f for s, r in zip(scenes, rngs, strict=True) for f in self.pixels(s, r)]
        with torch.autocast(self.vae.device.type, torch.bfloat16):
            latents = torch.cat(
                [
                    self.vae.encode(pictures_to_tensor(part).to(self.vae.device)).latent_dist.mode()
                    for part in (frames[i : i + 64] for i in range(0, len(frames), 64))
                ]
            )  # (B * T, c, h, w)
        return latents.float().cpu().numpy().reshape(len(scenes), *self.rows.shape[1:])
