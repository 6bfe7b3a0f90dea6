"""Rows that are made from rendered scenes when first needed, kept in a file, and drawn again.

Knows: the file, its order, how it grows with a run, which scenes its rows were made of, and rows
that are an autoencoder's latents.
Leaves to others: which scenes, how they are rendered, and other rows (`encoder_gather`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nextgpt_lite.decoders.image import images_to_tensor
from nextgpt_lite.errors import DataError
from nextgpt_lite.world.scene import Scene

if TYPE_CHECKING:
    from diffusers import AutoencoderKL

LATENT_CHANNELS, LATENT_SIDE = 16, 8

_AT_ONCE = 32  # scenes whose rows are made together


class ScenePool:
    """Rows of `size` scenes, float16, of one shape each.

    Scene i depends on (seed, i) alone, and its row on the scenes of its portion besides, which are
    always the same: a resumed run finds what an uninterrupted one would. A second file, of digests,
    says of each row whether it is filled, and of which scene it was made.

    Args:
        path: the file; made where it or its digests are missing.
        size: how many scenes there are at most.
        shape: of a row.
        draw: a scene from a source of randomness.
        encode: rows (B, *shape) of scenes; what they leave open comes from their own sources.
        growth: rows there are before the first step, and rows that each step adds.
    """

    def __init__(
        self,
        path: Path,
        seed: int,
        size: int,
        shape: tuple[int, ...],
        draw: Callable[[Random], Scene],
        encode: Callable[[Sequence[Scene], Sequence[Random]], np.ndarray],
        growth: tuple[int, int] = (0, 0),
    ) -> None:
        self.seed, self.draw, self.encode, self.growth = seed, draw, encode, growth
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f"{path.name}.digests")
        mode: Literal["r+", "w+"] = "r+" if path.exists() and beside.exists() else "w+"
        self.rows: np.memmap = np.memmap(path, np.float16, mode, shape=(size, *shape))
        self.digests: np.memmap = np.memmap(beside, np.uint64, mode, shape=(size,))  # 0: unfilled
        self.path = path
        self.scenes: list[Scene] = []

    def source(self, index: int) -> Random:
        """Where the randomness of scene `index` comes from, from its beginning."""
        return Random(f"{self.seed} {index}")

    def grow_to(self, step: int) -> None:
        """Makes the pool as long as it is in a step of a run."""
        self.grow(self.growth[0] + self.growth[1] * step)

    def grow(self, count: int) -> None:
        """Makes the pool at least `count` long, as far as its size allows.

        Raises:
            DataError: the file holds rows of other scenes.
        """
        count = min(count, len(self.rows))
        while len(self.scenes) < count:
            first = len(self.scenes)
            rngs = [self.source(i) for i in range(first, min(first + _AT_ONCE, count))]
            scenes = [self.draw(rng) for rng in rngs]
            digests = np.array([_digest(scene) for scene in scenes], np.uint64)
            portion = slice(first, first + len(scenes))
            found = self.digests[portion]
            if not found.all():  # new, or not finished by a former run
                self.rows[portion] = self.encode(scenes, rngs)
                self.digests[portion] = digests
            elif (found != digests).any():
                raise DataError(
                    f"{self.path} holds rows of other scenes than are drawn now, for the world or "
                    "its mixture has changed since: remove the file, and its rows are made anew."
                )
            self.scenes += scenes


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
        growth: tuple[int, int] = (0, 0),
    ) -> None:
        self.vae, self.pixels = vae.eval().requires_grad_(False), pixels
        shape = (frames, LATENT_CHANNELS, LATENT_SIDE, LATENT_SIDE)
        super().__init__(path, seed, size, shape, draw, self._latents, growth)

    def batch(self, rng: Random, size: int) -> tuple[Tensor, list[Scene]]:
        """Latents (B, c, T, h, w), or (B, c, h, w) of single frames, and their scenes."""
        indices = [rng.randrange(len(self.scenes)) for _ in range(size)]
        latents = torch.from_numpy(self.rows[indices].astype(np.float32))  # (B, T, c, h, w)
        latents = latents[:, 0] if latents.shape[1] == 1 else latents.transpose(1, 2)
        return latents, [self.scenes[i] for i in indices]

    @torch.no_grad()
    def _latents(self, scenes: Sequence[Scene], rngs: Sequence[Random]) -> np.ndarray:
        frames = [f for s, r in zip(scenes, rngs, strict=True) for f in self.pixels(s, r)]
        with torch.autocast(self.vae.device.type, torch.bfloat16):
            latents = torch.cat(
                [
                    self.vae.encode(images_to_tensor(part).to(self.vae.device)).latent_dist.mode()
                    for part in (frames[i : i + 64] for i in range(0, len(frames), 64))
                ]
            )  # (B * T, c, h, w)
        return latents.float().cpu().numpy().reshape(len(scenes), *self.rows.shape[1:])


def _digest(scene: Scene) -> int:
    """64 bits of all that a scene says, never 0."""
    return int.from_bytes(hashlib.sha256(repr(scene).encode()).digest()[:8], "big") or 1
