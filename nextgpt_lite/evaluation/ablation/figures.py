"""What a table of results says: means with intervals, differences, one figure; from the CSV alone.

Knows: the order of cells, the figure's form. Leaves to others: the rows (`table`), the statistics
(`evaluation.comparison`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nextgpt_lite.evaluation.comparison.rows import Row, difference, mean, read_rows, where
from nextgpt_lite.evaluation.statistics import caution
from nextgpt_lite.world.comparison.aspects import ASPECTS
from nextgpt_lite.world.comparison.instructions import GROUPS, LEVELS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def summary(path: str | Path) -> str:
    """Each cell's aspects, and its difference to the first cell on the same prompts, as Markdown.

    Means and differences are in points of 100 with 95 % intervals over seeds and prompts; p is of
    the paired permutation test over prompts.
    """
    rows = read_rows(path)
    head = "".join(f" {aspect} | to the first |" for aspect in ASPECTS)
    lines = [
        f"| group, level | cell | seeds x prompts |{head}",
        "|---" * (3 + 2 * len(ASPECTS)) + "|",
    ]
    for group, level in _parts(rows):
        part = where(rows, group=group, level=level)
        names = cells(part)
        for name in names:
            mine = where(part, system=name)
            count = f"{len({r['seed'] for r in mine})} x {len({r['id'] for r in mine})}"
            found = [
                f"{mean(mine, aspect)} | "
                + ("" if name == names[0] else str(difference(part, name, names[0], aspect)))
                for aspect in ASPECTS
            ]
            lines.append(f"| {group}, {level} | {name} | {count} | {' | '.join(found)} |")
    table = "\n".join(lines)
    return f"{table}\n\n{caution(table)}".rstrip()


def figure(path: str | Path, aspect: str = "rationality") -> Figure:
    """One aspect of every cell, groups side by side, levels below each other; bars are 95 %
    intervals, ticks below a mean are its seeds'.
    """
    from matplotlib.figure import Figure

    rows = read_rows(path)
    names, parts = cells(rows), _parts(rows)
    groups, levels = (list(dict.fromkeys(column)) for column in zip(*parts, strict=True))
    made = Figure(
        figsize=(1.6 + 2.2 * len(groups), (0.8 + 0.4 * len(names)) * len(levels)),
        layout="constrained",
    )
    panels = made.subplots(len(levels), len(groups), sharex=True, squeeze=False)
    for group, level in parts:
        axes = panels[levels.index(level), groups.index(group)]
        for place, name in enumerate(names):
            mine = where(rows, group=group, level=level, system=name)
            found = mean(mine, aspect)
            ends = [[found.mean - found.low], [found.high - found.mean]]
            axes.errorbar([found.mean], [place], xerr=ends, fmt="o", capsize=4)
            for seed in sorted({row["seed"] for row in mine}):
                one = mean(where(mine, seed=seed), aspect)
                axes.plot([one.mean], [place + 0.18], "|", color="grey")
        axes.set(title=f"{group}, {level}", xlim=(-2, 102), ylim=(len(names), -1))
        axes.set_yticks(range(len(names)), names if group == groups[0] else [""] * len(names))
        axes.grid(axis="x", alpha=0.3)
    for axes in panels[-1]:
        axes.set_xlabel(aspect)
    return made


def draw(path: str | Path, picture: str | Path) -> Path:
    """Writes `figure` of a table into a file, whose name says the format."""
    figure(path).savefig(picture)
    return Path(picture)


def cells(rows: Sequence[Row]) -> list[str]:
    """The names of the cells, in the order of the table."""
    return list(dict.fromkeys(row["system"] for row in rows))


def _parts(rows: Sequence[Row]) -> list[tuple[str, str]]:
    found = {(row["group"], row["level"]) for row in rows}
    return [(group, level) for group in GROUPS for level in LEVELS if (group, level) in found]
