"""The judgements of several people: means, agreement, the tables of appendices F and G.

Knows: rows and tables of judgements. Leaves to others: one person's session (`session`), agreement
(`agreement`), intervals (`statistics`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nextgpt_lite.errors import DataError
from nextgpt_lite.evaluation.comparison.rows import mean, where
from nextgpt_lite.evaluation.ratings.session import (
    MOST,
    QUESTIONS,
    Judgement,
    Mode,
    read_judgements,
)
from nextgpt_lite.evaluation.statistics import Interval, Level, agreement, table

COLUMNS = ("rater", "id", "group", "level", "system", *QUESTIONS)


@dataclass
class Results:
    """The judgements of several people.

    Attributes:
        rows: one for each rater, item and system: `COLUMNS`, aspects from 0 to 100 ("best": 100
            for the chosen one); as `comparison.rows` has them, with raters in place of seeds.
        mode: how they were asked.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    mode: Mode = "points"

    @classmethod
    def of(cls, judgements: Mapping[str, Sequence[Judgement]]) -> Results:
        """The judgements of each rater by name."""
        rows: dict[tuple[str, str, str], dict[str, Any]] = {}
        modes = {each.mode for some in judgements.values() for each in some}
        if len(modes) > 1:
            raise DataError("Some judged by points, others chose the best: give one sort of file.")
        unit = 100 / MOST if modes == {"points"} else 100.0
        for rater, some in judgements.items():
            for said in some:
                for system, points in zip(said.order, said.points, strict=True):
                    about = (rater, said.id, said.group, said.level, system)
                    empty: dict[str, Any] = dict.fromkeys(QUESTIONS, "")
                    row = {**dict(zip(COLUMNS, about, strict=False)), **empty}
                    row = rows.setdefault((rater, said.id, system), row)
                    row[said.aspect] = unit * points
        return cls([*rows.values()], modes.pop() if modes else "points")

    @classmethod
    def read(cls, folder: str | Path) -> Results:
        """Every `RATER.jsonl` of a folder."""
        files = sorted(Path(folder).glob("*.jsonl"))
        return cls.of({path.stem: read_judgements(path) for path in files})

    def mean(self, system: str, aspect: str, **values: str) -> Interval:
        """A system's mean, 0 to 100, with its interval over raters and items."""
        mine = where(self.rows, system=system, **values)
        return mean([{**row, "seed": row["rater"]} for row in mine], aspect)

    def agreement(self, aspect: str, level: Level | None = None) -> Interval:
        """Krippendorff's alpha of an aspect over all answers.

        Args:
            level: None takes "ordinal" for points and "nominal" for choices.
        """
        values, _ = table(self.rows, aspect, prompt=("id", "system"), seed="rater")
        return agreement(values, level or ("ordinal" if self.mode == "points" else "nominal"))

    def markdown(self, by: str = "level") -> str:
        """Systems down, aspects across for each level (appendix G) or group (appendix F)."""
        if not self.rows:
            return "Nobody has judged anything yet.\n"
        kinds = list(dict.fromkeys(row[by] for row in self.rows))
        kinds.sort(key=lambda kind: {"simple": 0, "complex": 1}.get(kind, 2))
        systems = sorted({row["system"] for row in self.rows})
        lines = [["system", *(f"{kind}: {aspect}" for kind in kinds for aspect in QUESTIONS)]]
        for name in systems:
            cells = [self.mean(name, a, **{by: kind}) for kind in kinds for a in QUESTIONS]
            lines.append([name, *(str(cell) for cell in cells)])
        lines.insert(1, ["---"] * len(lines[0]))
        raters = {row["rater"] for row in self.rows}
        items = {row["id"] for row in self.rows}
        said = [f"{aspect} {_two(self.agreement(aspect))}" for aspect in QUESTIONS]
        what = "1 to 10, times ten" if self.mode == "points" else "share of choices, per cent"
        table_lines = [f"| {' | '.join(cells)} |" for cells in lines]
        note = (
            f"{len(raters)} raters, {len(items)} instructions; {what}, mean [95 % interval]. "
            f"Krippendorff's alpha: {', '.join(said)}."
        )
        return "\n".join([*table_lines, "", note]) + "\n"


def _two(value: Interval) -> str:
    if np.isnan(value.mean):
        return "not defined"
    return f"{value.mean:.2f} [{value.low:.2f}, {value.high:.2f}]"
