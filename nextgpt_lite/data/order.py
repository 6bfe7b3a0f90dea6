"""Which record is number i: shares by weight, and every record once before any comes again.

Knows: orders that are found by number alone, so that a run can be stopped and go on anywhere, and
processes never draw the same. Leaves to others: what is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

import numpy as np

BLOCK = 1000  # draws within which shares are exact
TOGETHER = 8  # archives that are read at the same time

K = TypeVar("K")


class Shares:
    """Draws of several kinds in shares: number -> (kind, how many of that kind came before).

    Args:
        weights: of the kinds.
        seed: another seed gives another order.
    """

    def __init__(self, weights: Mapping[K, float], seed: int) -> None:
        self.names, self.seed = [*weights], seed
        exact = BLOCK * np.array([*weights.values()], float) / sum(weights.values())
        counts = np.floor(exact).astype(int)
        short = np.argsort(counts - exact, kind="stable")[: BLOCK - counts.sum()]
        counts[short] += 1
        self.slots = np.repeat(np.arange(len(counts)), counts)  # (BLOCK,)
        self.counts = counts
        self._mixed = lru_cache(maxsize=4)(self._mixed_block)

    def __call__(self, index: int) -> tuple[int, int]:
        block, at = divmod(index, BLOCK)
        slots = self._mixed(block)
        which = int(slots[at])
        return which, block * int(self.counts[which]) + int((slots[:at] == which).sum())

    def needed(self, counts: Sequence[int]) -> int:
        """So many draws bring each kind at least that often."""
        if len(counts) == 1:
            return counts[0]
        shares = zip(counts, self.counts, strict=True)
        return BLOCK * max(-(-count // max(1, int(share))) for count, share in shares)

    def _mixed_block(self, block: int) -> np.ndarray:
        return np.random.default_rng([self.seed, block]).permutation(self.slots)


class Epochs:
    """Numbers below `count`, each once an epoch, in another order each time.

    Args:
        count: of what is drawn.
        seed: another seed gives other orders.
        groups: (count,) archives: those of a few are drawn together, so that a disk or network
            reads one after the other; 0 is none, and anywhere.
    """

    def __init__(self, count: int, seed: int, groups: np.ndarray | None = None) -> None:
        self.count, self.seed = count, seed
        self.groups = groups if groups is not None and groups.any() else None
        self._order = lru_cache(maxsize=2)(self._order_of)

    def __call__(self, index: int) -> int:
        epoch, at = divmod(index, self.count)
        return int(self._order(epoch)[at])

    def _order_of(self, epoch: int) -> np.ndarray:
        """(count,) the numbers in the order of one epoch."""
        rng = np.random.default_rng([self.seed, epoch])
        order = rng.permutation(self.count).astype(np.uint32)
        if self.groups is None:
            return order
        turns = np.append(0, rng.permutation(int(self.groups.max())) // TOGETHER)
        keys = turns[self.groups[order]].astype(float)
        loose = self.groups[order] == 0
        keys[loose] = rng.uniform(0, keys.max() + 1, loose.sum()) // 1
        return order[np.argsort(keys, kind="stable")]
