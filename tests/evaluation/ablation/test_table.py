"""The table of a grid, and the figure drawn from it alone."""

from __future__ import annotations

import json
from pathlib import Path

from nextgpt_lite.evaluation.ablation.figures import curves, draw, summary
from nextgpt_lite.evaluation.comparison.rows import read_rows, write_rows
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
    assert rows[0]["samples"] == str(2 * 2 + 3 * 2)
    assert rows[2]["signal_tokens"] == rows[2]["projection"] == ""
    assert len([*(once / "stages").glob("1-*")]) == 1
    assert len([*(once / "stages").glob("2-*")]) == 2
    assert not [*once.rglob("checkpoints")]
    made_by = json.loads((once / "grid.json").read_text())
    assert [made["settings"]["messenger"] for made in made_by] == ["signal", "caption"]
    assert made_by[0]["stages"][1]["schedule"]["steps"] == 3
    assert {"frozen", "versions", "commit", "config", "score"} <= set(made_by[0])
    assert "answers" not in made_by[0]
    assert len({row["parts"] for row in rows}) == 1 and len(rows[0]["parts"]) == 12
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


def test_cells_of_one_name_are_points_of_a_curve(tmp_path: Path) -> None:
    rows = [
        {"system": f"{kind}, {steps}", "seed": seed, "id": f"{level}/{index}", "group": "image",
         "level": level, "wanted": "image", "given": "image", "rationality": 10.0 * number,
         "text": "", "samples": 32 * steps}
        for kind in ("signal", "caption")
        for number, steps in enumerate((250, 1000, 500))
        for seed in (0, 1)
        for level in ("simple", "complex")
        for index in range(3)
    ]  # fmt: skip
    write_rows(tmp_path / "budget.csv", rows)
    made = curves(tmp_path / "budget.csv")
    assert made is not None and len(made.axes) == 2
    line = made.axes[0].containers[0].lines[0]
    assert [*line.get_xdata()] == [8000, 16000, 32000]
    assert [*line.get_ydata()] == [0, 20, 10]
    write_rows(tmp_path / "two.csv", [row for row in rows if "250" not in row["system"]])
    assert curves(tmp_path / "two.csv") is None
