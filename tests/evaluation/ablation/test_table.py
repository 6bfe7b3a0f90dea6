"""The table of a grid, and the figure drawn from it alone."""

from __future__ import annotations

import json
from pathlib import Path

from nextgpt_lite.evaluation.ablation.figures import draw, summary
from nextgpt_lite.evaluation.comparison.rows import read_rows
from tests.evaluation.ablation.grids import results


def test_a_grid_makes_one_table_and_shares_its_first_stage(once: Path) -> None:
    rows = read_rows(once / "grid.csv")
    assert [(row["system"], row["id"]) for row in rows] == [
        (f"messenger {name}", f"image/{level}/000")
        for name in ("signal", "caption")
        for level in ("simple", "complex")
    ]
    assert rows[0]["signal_tokens"] == "5/9/25"
    assert rows[0]["steps"] == "2-3"
    assert rows[2]["signal_tokens"] == rows[2]["projection"] == ""
    assert len([*(once / "stages").glob("1-*")]) == 1
    assert len([*(once / "stages").glob("2-*")]) == 2
    assert not [*once.rglob("checkpoints")]
    made_by = json.loads((once / "grid.json").read_text())
    assert [made["settings"]["messenger"] for made in made_by] == ["signal", "caption"]
    assert made_by[0]["stages"][1]["schedule"]["steps"] == 3
    assert {"frozen", "versions", "commit", "config", "score"} <= set(made_by[0])
    assert "answers" not in made_by[0]
    first, second = results(once)
    assert first["losses"][0] == second["losses"][0]
    assert first["losses"][1] != second["losses"][1]


def test_figures_come_from_the_table_alone(once: Path, tmp_path: Path) -> None:
    table = tmp_path / "grid.csv"
    table.write_bytes((once / "grid.csv").read_bytes())
    lines = summary(table).splitlines()
    assert lines[2].startswith("| image, simple | messenger signal | 1 x 1 |")
    assert len(lines) == 2 + 4 + 2
    assert lines[-1].startswith("6 tests, not corrected")
    assert draw(table, tmp_path / "figure.svg").stat().st_size > 1000
