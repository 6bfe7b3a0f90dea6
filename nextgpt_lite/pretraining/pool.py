"""Rows that are made from rendered scenes when first needed, kept in a file, and drawn again.

Knows: the file, its order, and how it grows with a run.
Leaves to others: which scenes, and what a row of one is (`latents`, `encoder_gather`).
"""

from __future__ import annotations

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
    always the same: a resumed run finds what an uninterrupted one would.

    Args:
        path: the file; made where it is missing.
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
        mode: Literal["r+", "w+"] = "r+" if path.exists() else "w+"
        self.rows: np.memmap = np.memmap(path, np.float16, mode, shape=(size, *shape))
        self.scenes: list[Scene] = []

    def source(self, index: int) -> Random:
        """Where the randomness of scene `index` comes from, from its beginning."""
        return Random(f"{self.seed} {index}")

    def grow(self, count: int) -> None:
        """Makes the pool at least `count` long, as far as its size allows."""
        count = min(count, len(self.rows))
        while len(self.scenes) < count:
            first = len(self.scenes)
            rngs = [self.source(i) for i in range(first, min(first + _AT_ONCE, count))]
            scenes = [self.draw(rng) for rng in rngs]
            self.scenes += scenes
            # An unfilled row is all zeros; a former run may have filled it.
            filled = self.rows[first : len(self.scenes)].reshape(len(scenes), -1)[:, 0].all()
            if not filled:
                self.rows[first : len(self.scenes)] = self.encode(scenes, rngs)
