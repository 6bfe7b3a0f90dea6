"""A row of the table: what was measured, how far it can be trusted, and the bar beside it.

Knows: kinds of measures (shares, ratios, differences, seconds, megabytes) and how they are written.
Leaves to others: how they were measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

import numpy as np

from nextgpt_lite.evaluation.statistics import Score, interval


@dataclass(frozen=True)
class Row:
    """One measure of one part.

    Attributes:
        part, measure: what it is about, in words.
        value, low, high: the value and its 95 % interval (of seconds: the least and the most).
        count: answers, media or repetitions behind it.
        bar: what it should reach; None where nothing was asked for.
        unit: written behind the value.
        at_most: the bar is an upper one.
        note: what the value hides, such as the weakest of several kinds.
    """

    part: str
    measure: str
    value: float
    low: float
    high: float
    count: int
    bar: float | None = None
    unit: str = "%"
    at_most: bool = False
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the value, as measured, reaches its bar; None without a bar."""
        if self.bar is None:
            return None
        return self.value <= self.bar if self.at_most else self.value >= self.bar

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, "met" among them."""
        rounded = {name: round(getattr(self, name), 4) for name in ("value", "low", "high")}
        return {**asdict(self), **rounded, "met": self.met}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Row:
        """Inverts `to_dict`."""
        return cls(**{name: value for name, value in values.items() if name != "met"})


def share(part: str, measure: str, score: Score, bar: float | None = None, note: str = "") -> Row:
    """A share of right answers, in per cent, with its Wilson interval."""
    low, high = score.interval
    return Row(part, measure, 100 * score.rate, 100 * low, 100 * high, score.total, bar, note=note)


def mean(
    part: str, measure: str, values: Sequence[float], bar: float | None = None, **options: Any
) -> Row:
    """A mean with its bootstrap interval; `options` are fields of `Row`."""
    found = interval(np.array([values]))
    return Row(part, measure, *found, len(values), bar, **options)


def resampled(
    part: str,
    measure: str,
    items: Sequence[Any],
    statistic: Callable[[Sequence[Any]], float],
    bar: float | None = None,
    **options: Any,
) -> Row:
    """A statistic of items with the 95 % interval of 200 seeded resamples (bootstrap)."""
    rng = Random(0)
    found = sorted(statistic(rng.choices(items, k=len(items))) for _ in range(200))
    value = statistic(items)
    return Row(part, measure, value, found[4], found[194], len(items), bar, **options)


def weakest(answers: Iterable[tuple[str, bool]]) -> str:
    """The note "least: left of 91.2 %" of answers of several kinds."""
    kinds: dict[str, list[bool]] = {}
    for kind, right in answers:
        kinds.setdefault(kind, []).append(right)
    rates = {kind: Score.of(rights).rate for kind, rights in kinds.items()}
    least = min(rates, key=lambda kind: rates[kind])
    return f"least: {least}, {100 * rates[least]:.1f} % of {len(kinds[least])}"


def markdown(rows: Iterable[Row]) -> str:
    """The rows as a table with the bar beside each value."""
    lines = ["| part | measure | measured | 95 % interval | n | bar | met |", "|" + "---|" * 7]
    for row in rows:
        space = " " if row.unit else ""
        measure = row.measure + (f" ({row.note})" if row.note else "")
        bar = (
            "" if row.bar is None else f"{'≤' if row.at_most else '≥'} {row.bar:g}{space}{row.unit}"
        )
        met = {None: "", True: "yes", False: "no"}[row.met]
        digits = 2 if row.unit in ("", "s") else 1
        value, low, high = (f"{v:.{digits}f}" for v in (row.value, row.low, row.high))
        lines.append(
            f"| {row.part} | {measure} | {value}{space}{row.unit} | {low}-{high} | {row.count} "
            f"| {bar} | {met} |"
        )
    return "\n".join(lines) + "\n"
