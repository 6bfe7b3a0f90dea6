"""Where an answer is lost: in its words, between words and condition, or in the decoder.

An answer is right (its rationality) if the LLM understood, if what it hands over says so, and if
the decoder makes that. Three factors of one product, each a share of the answers that are left:

- **words**: the reply's words tell exactly what was wanted;
- **decoder**: of these, what a reference gets right that hands over the true caption;
- **channel**: the system's right ones as a share of the reference's. 100 is a messenger that loses
  nothing which a caption keeps, and more than 100 is what no caption can do.

words x channel x decoder is the share of answers whose words and media are both right.

Knows: these shares, from rows alone. Leaves to others: rows (`rows`), intervals
(`evaluation.statistics`), what words tell (a judge, in its columns `told` and `told_right`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nextgpt_lite.errors import DataError
from nextgpt_lite.evaluation.comparison.rows import Row, markdown, values_of, where
from nextgpt_lite.evaluation.statistics import (
    Array,
    Difference,
    Interval,
    compare,
    interval,
    ratio,
    table,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REFERENCE = "gold caption"
FACTORS = ("words", "channel", "decoder")
RIGHT = "rationality"


class Factors(NamedTuple):
    """In per cent, with 95 % intervals over seeds and prompts.

    Attributes:
        told: answers whose words are right, as counted.
        answers: all that were counted.
    """

    words: Interval
    channel: Interval
    decoder: Interval
    told: int
    answers: int


class Both(NamedTuple):
    """Two systems on the answers whose words both have right."""

    answers: int
    first: Interval
    second: Interval
    difference: Difference


def factors(rows: Sequence[Row], system: str, reference: str = REFERENCE) -> Factors:
    """The three factors of one system's answers, in rows of one group.

    Args:
        reference: the system that hands over true captions. Where several cells have one, that of
            the very cell goes first; one of a single seed stands beside every seed.

    Raises:
        DataError: there are no answers of the reference, or the rows do not say what was told.
    """
    reference = _beside(values_of(rows, "system"), system, reference) or reference
    (told, right), (_, best) = _paired(rows, system, reference)
    here = ~np.isnan(told + right + best)
    told, right, best = (np.where(here, values, 0.0) for values in (told, right, best))
    return Factors(
        ratio(told, here.astype(float)),
        ratio(told * right, told * best),
        ratio(told * best, told),
        int(told.sum()),
        int(here.sum()),
    )


def both_told(rows: Sequence[Row], first: str, second: str) -> Both:
    """What two systems make of the same answers, told rightly by both, in rows of one group."""
    (told, mine), (also, theirs) = _paired(rows, first, second)
    counted = (told == 1) & (also == 1)
    mine, theirs = (np.where(counted, 100 * values, np.nan) for values in (mine, theirs))
    return Both(int(counted.sum()), interval(mine), interval(theirs), compare(mine, theirs))


def decomposition(rows: Sequence[Row], group: str = "image", reference: str = REFERENCE) -> str:
    """The factors of every system, by level, as Markdown; "" where rows do not hold them."""
    mine = where(rows, group=group)
    lines = [["told right, of", "level", "system", *FACTORS, "all three"]]
    for level, name in _known(mine, reference):
        found = factors(where(mine, level=level), name, reference)
        product = found.words.mean * found.channel.mean * found.decoder.mean / 1e4
        each = (str(getattr(found, name)) for name in FACTORS)
        lines.append([f"{found.told}, {found.answers}", level, name, *each, f"{product:.1f}"])
    return markdown(lines) if len(lines) > 1 else ""


def factors_figure(rows: Sequence[Row], group: str = "image", reference: str = REFERENCE) -> Figure:
    """The factors of every system, levels side by side; bars are 95 % intervals."""
    from matplotlib.figure import Figure

    mine = where(rows, group=group)
    known = _known(mine, reference)
    levels, names = (list(dict.fromkeys(column)) for column in zip(*known, strict=True))
    made = Figure(figsize=(3 + 3.4 * len(levels), 1 + 0.7 * len(names)), layout="constrained")
    panels = made.subplots(1, len(levels), sharex=True, sharey=True, squeeze=False)[0]
    for axes, level in zip(panels, levels, strict=True):
        for place, name in enumerate(names):
            if (level, name) not in known:
                continue
            found = factors(where(mine, level=level), name, reference)
            for number, (factor, mark) in enumerate(zip(FACTORS, "os^", strict=True)):
                one: Interval = getattr(found, factor)
                axes.errorbar(
                    [one.mean], [place + 0.22 * (number - 1)], fmt=mark, color=f"C{number}",
                    xerr=[[one.mean - one.low], [one.high - one.mean]], capsize=3, markersize=5,
                    label=factor if not place else None,
                )  # fmt: skip
        axes.set(title=f"{group}, {level}", xlabel="per cent", ylim=(len(names) - 0.5, -0.5))
        axes.set_yticks(range(len(names)), names)
        axes.grid(axis="x", alpha=0.3)
    panels[0].legend()
    return made


def _known(rows: Sequence[Row], reference: str) -> list[tuple[str, str]]:
    """Level and name of every system that can be taken apart."""
    if not rows or not {"told_right", RIGHT} <= rows[0].keys():
        return []
    found = []
    for level in values_of(rows, "level"):
        part = where(rows, level=level)
        names = values_of(part, "system")
        own = f", {reference}"
        bounds = [n for n in names if f", {n}".endswith(own) or n.startswith("ground truth")]
        if _beside(names, "", reference):
            found += [(level, name) for name in names if name not in bounds]
    return found


def _beside(names: Sequence[str], system: str, reference: str) -> str | None:
    """The reference's name for a system: the cell's own, that of no cell, or the first cell's."""
    first = system.split(", ")[0]
    wished = (f"{system}, {reference}", f"{first}, {reference}", reference)
    others = (name for name in names if name.endswith(f", {reference}"))
    return next((name for name in (*wished, *others) if name in names), None)


def _paired(rows: Sequence[Row], *names: str) -> list[tuple[Array, Array]]:
    """Of each system (S, P) ones where words, and where media are right, on common prompts."""
    each = [[row for row in rows if row["system"] == name] for name in names]
    for name, mine in zip(names, each, strict=True):
        if not mine or not {"told_right", RIGHT} <= mine[0].keys():
            raise DataError(f"No answers of {name!r} with the columns 'told_right' and {RIGHT!r}.")
    common = sorted(set.intersection(*({(row["id"],) for row in mine} for mine in each)))
    found = [
        [table(mine, column, prompts=common)[0] / 100 for column in ("told_right", RIGHT)]
        for mine in each
    ]
    seeds = max(len(told) for told, _ in found)
    shape = (seeds, len(common))
    return [
        (np.broadcast_to(told, shape), np.broadcast_to(right, shape))
        if len(told) == 1
        else (told, right)
        for told, right in found
    ]
