"""Do people agree? Krippendorff's alpha for ratings of any level, gaps included.

Source: Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), and Hayes and
Krippendorff, "Answering the Call for a Standard Reliability Measure" (2007).
Knows: coincidences, distances between values. Leaves to others: where ratings come from
(`session`).

Letters: R raters, U units (what was rated), V different values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from nextgpt_lite.evaluation.statistics import Array, Interval

Level = Literal["nominal", "ordinal", "interval"]
ROUNDS = 1000


def alpha(ratings: Sequence[Sequence[float]] | Array, level: Level = "interval") -> float:
    """1 for full agreement, 0 for that of chance, below 0 for less.

    Args:
        ratings: (R, U) numbers, NaN where a rater left a unit out; units with fewer than two
            ratings say nothing and are skipped.
        level: "nominal" counts values as equal or not, "ordinal" by how many ratings lie between
            them, "interval" by their difference.

    Returns:
        NaN where there is nothing to compare: no unit with two ratings, or one value everywhere.
    """
    table = np.asarray(ratings, float)
    if table.ndim != 2:
        raise ValueError(f"ratings have {table.ndim} dimensions: give raters x units.")
    values = np.unique(table[~np.isnan(table)])  # (V,)
    counts = (table[:, :, None] == values).sum(0).astype(float)  # (U, V) who gave which
    counts = counts[counts.sum(1) > 1]
    per_unit = counts.sum(1, keepdims=True)  # (U, 1)
    pairs = counts.T @ (counts / np.maximum(per_unit - 1, 1))
    pairs -= np.diag((counts / np.maximum(per_unit - 1, 1)).sum(0))  # (V, V) nobody with himself
    totals = pairs.sum(1)  # (V,)
    number = totals.sum()
    distance = _distances(values, totals, level)
    expected = (np.outer(totals, totals) * distance).sum()
    if number < 2 or expected == 0:
        return float("nan")
    return float(1 - (number - 1) * (pairs * distance).sum() / expected)


def agreement(ratings: Array, level: Level = "interval", seed: int = 0) -> Interval:
    """Alpha with its 95 % interval over resampled units."""
    random = np.random.default_rng(seed)
    units = ratings.shape[1]
    drawn = [alpha(ratings[:, random.integers(0, units, units)], level) for _ in range(ROUNDS)]
    if np.isnan(drawn).all():
        return Interval(alpha(ratings, level), float("nan"), float("nan"))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Interval(alpha(ratings, level), float(low), float(high))


def _distances(values: Array, totals: Array, level: Level) -> Array:
    """(V, V) squared distances; an ordinal one counts the ratings from value to value."""
    if level == "nominal":
        return (values[:, None] != values).astype(float)
    if level == "interval":
        return (values[:, None] - values) ** 2
    middle = totals.cumsum() - totals / 2  # where a value stands in the ranking
    return (middle[:, None] - middle) ** 2
