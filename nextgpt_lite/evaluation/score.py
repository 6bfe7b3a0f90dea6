"""A share of right answers and how far it can be trusted.

Knows: counting and the Wilson interval. Leaves to others: what counts as right.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """`right` of `total`, shown as a percentage with its 95 % Wilson interval."""

    right: int
    total: int

    @classmethod
    def of(cls, answers: Iterable[bool]) -> Score:
        """Counts answers."""
        listed = list(answers)
        return cls(sum(listed), len(listed))

    @property
    def rate(self) -> float:
        """Between 0 and 1; NaN of nothing."""
        return self.right / self.total if self.total else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson score interval of the rate."""
        if not self.total:
            return (0.0, 1.0)
        z, n, p = 1.959964, self.total, self.rate
        centre = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
        return (max(0.0, centre - half), min(1.0, centre + half))

    def to_dict(self) -> dict[str, float | int | list[float]]:
        """Plain numbers for JSON."""
        low, high = self.interval
        return {
            "right": self.right,
            "total": self.total,
            "rate": round(self.rate, 4),
            "interval": [round(low, 4), round(high, 4)],
        }

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.rate:.1f} % [{100 * low:.1f}, {100 * high:.1f}] of {self.total}"
