"""What a table of results says: means with intervals, differences, one figure; from the CSV alone.

Knows: the order of cells, the figure's form. Leaves to others: the rows (`table`), the statistics
(`evaluation.comparison`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nextgpt_lite.evaluation.ablation.table import outdated
from nextgpt_lite.evaluation.comparison.decomposition import decomposition
from nextgpt_lite.evaluation.comparison.rows import (
    Row,
    aspects_of,
    difference,
    markdown,
    mean,
    read_rows,
    size,
    values_of,
    where,
)
from nextgpt_lite.evaluation.statistics import caution

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def summary(path: str | Path) -> str:
    """Each cell's aspects, and its difference to the first cell on the same prompts, as Markdown.

    Means and differences are in points of 100 with 95 % intervals over seeds and prompts; p is of
    the paired permutation test over prompts.
    """
    rows = read_rows(path)
    aspects = aspects_of(rows)
    head = [name for aspect in aspects for name in (aspect, "to the first")]
    lines = [["group, level", "cell", "seeds x prompts", *head]]
    for group, level in _parts(rows):
        part = where(rows, group=group, level=level)
        first, *_ = names = values_of(part, "system")
        for name in names:
            mine = where(part, system=name)
            line = [f"{group}, {level}", name, size(mine)]
            for aspect in aspects:
                if not any(row[aspect] for row in mine):  # it says nothing of this group
                    line += ["", ""]
                    continue
                gap = "" if name == first else str(difference(part, name, first, aspect))
                line += [str(mean(mine, aspect)), gap]
            lines.append(line)
    found = [outdated(path), markdown(lines), caution(markdown(lines))]
    for group in values_of(rows, "group"):
        if apart := decomposition(rows, group):
            found.append(f"{group}: words x channel x decoder, per cent\n\n{apart}")
    return "\n\n".join(filter(None, found))


def figure(path: str | Path, aspect: str = "") -> Figure:
    """One aspect of every cell, groups side by side, levels below each other; bars are 95 %
    intervals, ticks below a mean are its seeds'.

    Args:
        aspect: none given takes rationality, or the first that there is.
    """
    from matplotlib.figure import Figure

    rows = read_rows(path)
    known = aspects_of(rows)
    aspect = aspect or ("rationality" if "rationality" in known else known[0])
    names, parts = values_of(rows, "system"), _parts(rows)
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


def curves(path: str | Path, aspect: str = "rationality", group: str = "image") -> Figure | None:
    """Learning curves: an aspect against the conversations trained on, levels side by side.

    Cells whose names agree up to their last comma ("end-to-end, 250") are points of one curve;
    None where there is no curve of three. Bars are 95 % intervals, ticks beside them the seeds'.
    """
    from matplotlib.figure import Figure

    rows = where(read_rows(path), group=group)
    points: dict[str, dict[int, str]] = {}
    for row in rows:
        kind, comma, point = row["system"].rpartition(", ")
        if comma and point.isdigit():
            points.setdefault(kind, {})[int(row["samples"])] = row["system"]
    points = {kind: some for kind, some in points.items() if len(some) > 2}
    if not points:
        return None
    levels = values_of(rows, "level")
    made = Figure(figsize=(1.2 + 3.2 * len(levels), 3.0), layout="constrained")
    for axes, level in zip(made.subplots(1, len(levels), squeeze=False)[0], levels, strict=True):
        for number, (kind, some) in enumerate(points.items()):
            samples = sorted(some)
            mine = [where(rows, level=level, system=some[count]) for count in samples]
            found = [mean(part, aspect) for part in mine]
            ends = [[one.mean - one.low for one in found], [one.high - one.mean for one in found]]
            middle = [one.mean for one in found]
            axes.errorbar(samples, middle, yerr=ends, fmt="o-", capsize=3, label=kind)
            for count, part in zip(samples, mine, strict=True):
                for seed in values_of(part, "seed"):
                    one = mean(where(part, seed=seed), aspect)
                    axes.plot([1.03 * count], [one.mean], "_", color=f"C{number}")
        axes.set(title=f"{group}, {level}", xscale="log", xlabel="samples", ylabel=aspect)
        axes.grid(alpha=0.3)
    made.axes[0].legend(frameon=False, fontsize=8)
    return made


def draw(path: str | Path, picture: str | Path) -> Path:
    """Writes `figure` of a table into a file, whose name says the format."""
    figure(path).savefig(picture)
    return Path(picture)


def _parts(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Groups and their levels, in the order in which each is asked."""
    found = {(row["group"], row["level"]) for row in rows}
    groups, levels = values_of(rows, "group"), values_of(rows, "level")
    return [(group, level) for group in groups for level in levels if (group, level) in found]
