"""How far a number can be trusted: shares, means under several training seeds, tests, agreement.

Knows: Wilson's interval, resampling seeds and prompts, sign flips, precision and recall,
Krippendorff's alpha. Leaves to others: what is measured, and how it is shown.

A result is a table of seeds x prompts, with NaN where there is none. A difference between two
systems is uncertain because other seeds would have trained other models and because other prompts
would have been harder or easier. The bootstrap therefore draws whole rows and whole columns anew
(every seed answers the same prompts, so the two are crossed, not nested), which scipy's, of one
axis, cannot. With one seed it draws prompts alone, and what it says holds for that one model.

Three seeds cannot tell how far a fourth would be. In simulations with 3 seeds and 100 prompts the
interval held the truth in 95 of 100 cases where seeds added as much spread to the mean as prompts
did, in 82 where they added twice as much, and in 75 (5 seeds: 82) where they were nearly all of it:
look at the seeds one by one before you trust a narrow one.

Letters: S seeds, P prompts, R rounds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nextgpt_lite.errors import DataError, extra

ROUNDS = 2000
EXACT = 12  # up to so many prompts every sign flip is tried
LEVEL = 95.0  # per cent
Array = NDArray[np.float64]
Level = Literal["nominal", "ordinal", "interval"]


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
        from scipy.stats import binomtest  # takes half a second to import

        found = binomtest(self.right, self.total).proportion_ci(LEVEL / 100, "wilson")
        return (float(found.low), float(found.high))

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.rate:.1f} % [{100 * low:.1f}, {100 * high:.1f}] of {self.total}"


class Interval(NamedTuple):
    """A mean with the ends of its 95 % interval."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.1f} [{self.low:.1f}, {self.high:.1f}]"


class Difference(NamedTuple):
    """First minus second, on the same prompts: its interval, and the p-value of no difference."""

    interval: Interval
    p: float

    def __str__(self) -> str:
        return f"{self.interval}, p = {self.p:.3g}"


class Decisions(NamedTuple):
    """How well it is decided whether a modality is made: per cent."""

    precision: Interval
    recall: Interval
    f1: Interval


def table(
    rows: Iterable[Mapping[str, Any]],
    value: str,
    *,
    prompt: Sequence[str] = ("id",),
    seed: str = "seed",
    prompts: Sequence[tuple[Any, ...]] | None = None,
) -> tuple[Array, list[tuple[Any, ...]]]:
    """One system's rows as (S, P), and which prompt each column is.

    Args:
        rows: one for each seed and prompt.
        value: the column to be read as a number; an empty one is NaN.
        prompt: the columns that tell prompts apart.
        seed: the column that tells training seeds apart.
        prompts: the columns wanted, in this order; None takes all that occur, sorted.

    Raises:
        DataError: a seed answered a prompt twice.
    """
    found: dict[tuple[Any, tuple[Any, ...]], float] = {}
    for row in rows:
        key = (row[seed], tuple(row[name] for name in prompt))
        if key in found:
            raise DataError(f"Seed {key[0]} answered {key[1]} twice: give one system's rows.")
        found[key] = float("nan") if row[value] in ("", None) else float(row[value])
    seeds = sorted({at for at, _ in found})
    columns = sorted({name for _, name in found}) if prompts is None else list(prompts)
    cells = [[found.get((at, name), np.nan) for name in columns] for at in seeds]
    return np.array(cells, float).reshape(len(seeds), len(columns)), columns


def interval(values: Array, rounds: int = ROUNDS, seed: int = 0) -> Interval:
    """The mean of (S, P) values with its bootstrap interval; NaN counts as absent."""
    here = ~np.isnan(values)
    if not here.any():
        return Interval(np.nan, np.nan, np.nan)
    filled = np.where(here, values, 0.0)

    def mean(by_seed: Array, by_prompt: Array) -> Array:
        total = _weighted(filled, by_seed, by_prompt)
        return total / np.maximum(_weighted(here.astype(float), by_seed, by_prompt), 1e-12)

    return _bootstrapped(mean, values.shape, rounds, seed)


def compare(first: Array, second: Array, rounds: int = ROUNDS, seed: int = 0) -> Difference:
    """First minus second, (S, P) each, for the same seeds and prompts in the same order.

    The p-value is that of a two-sided permutation test: were both systems alike, each prompt's
    difference (its mean over seeds) would be as likely to have the other sign. It speaks of
    prompts, given these seeds; the interval speaks of both.

    Raises:
        DataError: the tables have different shapes.
    """
    if first.shape != second.shape:
        raise DataError(
            f"Tables of {first.shape} and {second.shape} cannot be paired: give the same seeds "
            "and prompts."
        )
    difference = first - second
    by_prompt = np.array([c[~np.isnan(c)].mean() for c in difference.T if not np.isnan(c).all()])
    return Difference(interval(difference, rounds, seed), sign_flip_p(by_prompt, seed=seed))


def sign_flip_p(differences: Array, rounds: int = 9999, seed: int = 0) -> float:
    """Two-sided p-value of the mean of (P,) differences under random signs.

    Exact for up to `EXACT` of them: the share of all 2^P sign patterns whose mean is at least as
    far from zero. Otherwise (more extreme + 1) / (rounds + 1) of random patterns, as
    `scipy.stats.permutation_test` has it, but with signs drawn as in the tables that are shipped.
    """
    count = len(differences)
    if not count:
        return float("nan")
    observed = abs(differences.sum()) - 1e-9 * max(1.0, np.abs(differences).max())
    if count <= EXACT:
        bits = np.arange(2**count)[:, None] >> np.arange(count) & 1
    else:
        bits = np.random.default_rng(seed).integers(0, 2, (rounds, count))
    extreme = np.abs((1.0 - 2.0 * bits) @ differences) >= observed
    if count <= EXACT:
        return float(extreme.mean())
    return float((extreme.sum() + 1) / (rounds + 1))


def caution(text: str) -> str:
    """What to mind where a text shows several differences with their p-values; "" for fewer."""
    tests = text.count(", p = ")
    if tests < 2:
        return ""
    return (
        f"{tests} tests, not corrected for their number: of twenty tests of nothing one is below "
        f"0.05; Bonferroni's bound for all of them together is {0.05 / tests:.2g}."
    )


def decisions(wanted: Array, given: Array, rounds: int = ROUNDS, seed: int = 0) -> Decisions:
    """Precision, recall and F1 of making a modality.

    Args:
        wanted, given: (S, P) ones where the modality should be, and is, in the answer.
    """
    true, made, asked = wanted * given, given, wanted
    shares = ((true, made), (true, asked), (2 * true, made + asked))
    return Decisions(*(ratio(part, whole, rounds, seed) for part, whole in shares))


def ratio(part: Array, whole: Array, rounds: int = ROUNDS, seed: int = 0) -> Interval:
    """The sum of (S, P) values in per cent of the sum of others; NaN of nothing."""

    def share(by_seed: Array, by_prompt: Array) -> Array:
        below = _weighted(whole, by_seed, by_prompt)
        above = _weighted(part, by_seed, by_prompt)
        return np.where(below > 0, 100 * above / np.maximum(below, 1e-12), np.nan)

    return _bootstrapped(share, whole.shape, rounds, seed)


def _weighted(values: Array, by_seed: Array, by_prompt: Array) -> Array:
    """(R,) sums of (S, P) values, rows and columns counted as often as (R, S), (R, P) say."""
    return np.einsum("rp,rp->r", by_seed @ values, by_prompt)


def _bootstrapped(
    statistic: Callable[[Array, Array], Array], shape: tuple[int, ...], rounds: int, seed: int
) -> Interval:
    if 0 in shape:
        return Interval(math.nan, math.nan, math.nan)
    random = np.random.default_rng(seed)
    seeds, prompts = shape
    by_seed = random.multinomial(seeds, np.full(seeds, 1 / seeds), rounds).astype(float)
    by_prompt = random.multinomial(prompts, np.full(prompts, 1 / prompts), rounds).astype(float)
    drawn = statistic(by_seed, by_prompt)  # (R,)
    (mean,) = statistic(np.ones((1, seeds)), np.ones((1, prompts)))
    return _with_ends(float(mean), drawn)


def _with_ends(value: float, drawn: Array) -> Interval:
    """A value and the ends of the middle 95 % of what was drawn."""
    if np.isnan(drawn).all():
        return Interval(value, np.nan, np.nan)
    margin = (100 - LEVEL) / 2
    low, high = np.nanpercentile(drawn, [margin, 100 - margin])
    return Interval(value, float(low), float(high))


@extra("eval")
def alpha(ratings: Sequence[Sequence[float]] | Array, level: Level = "interval") -> float:
    """Krippendorff's alpha (2011): 1 for full agreement, 0 for that of chance, below 0 for less.

    Args:
        ratings: (raters, units), NaN where a rater left a unit out; units with fewer than two
            ratings say nothing and are skipped.
        level: "nominal" counts values as equal or not, "ordinal" by how many ratings lie between
            them, "interval" by their difference.

    Returns:
        NaN where there is nothing to compare: no unit with two ratings, or one value everywhere.
    """
    import krippendorff

    table = np.asarray(ratings, float)
    if table.ndim != 2:
        raise DataError(f"ratings have {table.ndim} dimensions: give raters x units.")
    table = table[:, (~np.isnan(table)).sum(0) > 1]
    if len(np.unique(table[~np.isnan(table)])) < 2:
        return math.nan
    return float(krippendorff.alpha(table, level_of_measurement=level))


def agreement(ratings: Array, level: Level = "interval", seed: int = 0) -> Interval:
    """Alpha with its 95 % interval over 1000 resamples of the units."""
    random = np.random.default_rng(seed)
    units = ratings.shape[1]
    drawn = [alpha(ratings[:, random.integers(0, units, units)], level) for _ in range(1000)]
    return _with_ends(alpha(ratings, level), np.array(drawn))
