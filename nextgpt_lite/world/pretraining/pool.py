"""Rows that are made from rendered scenes when first needed, kept in a file, and drawn again.

Knows: the file, its order, how it grows with a run, and which scenes its rows were made of.
Leaves to others: which scenes, and what a row of one is (`latents`, `encoder_gather`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Literal

import numpy as np

from nextgpt_lite.world.scene import Scene

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
    """

    def __init__(
        self,
        path: Path,
        seed: int,
        size: int,
        shape: tuple[int, ...],
        draw: Callable[[Random], Scene],
        encode: Callable[[Sequence[Scene], Sequence[Random]], np.ndarray],
    ) -> None:
        self.seed, self.draw, self.encode = seed, draw, encode
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

    def grow(self, count: int) -> None:
        """Makes the pool at least `count` long, as far as its size allows.

        Raises:
            ValueError: the file holds rows of other scenes.
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
                raise ValueError(
                    f"{self.path} holds rows of other scenes than are drawn now, for the world or "
                    "its mixture has changed since: remove the file, and its rows are made anew."
                )
            self.scenes += scenes


def _digest(scene: Scene) -> int:
    """64 bits of all that a scene says, never 0."""
    return int.from_bytes(hashlib.sha256(repr(scene).encode()).digest()[:8], "big") or 1
