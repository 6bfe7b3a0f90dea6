"""A cell: the same numbers again, each axis another, and no result before it is whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from filelock import Timeout

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.evaluation.ablation import cells
from nextgpt_lite.evaluation.ablation.grid import read_grid
from nextgpt_lite.evaluation.ablation.runner import ablate
from nextgpt_lite.evaluation.comparison.rows import read_rows
from tests.evaluation.ablation.grids import AXES, GRID, grid_file, plans_of, results


def test_every_axis_trains_scores_and_differs(tmp_path: Path) -> None:
    """A cell of its own for each setting the paper leaves open: none is another's under a name."""
    table = ablate(grid_file(tmp_path, AXES), tmp_path / "out")
    made = json.loads(table.with_suffix(".json").read_text())
    names = [each.name for each in read_grid(tmp_path / "grid.yaml").cells]
    assert [each["cell"] for each in made] == names
    losses = {each["cell"]: [run["loss"] for run in each["stages"]] for each in made}
    assert all(np.isfinite(found).all() for found in losses.values())
    assert len({str(found) for found in losses.values()}) == len(names)
    assert [run["stage"] for run in made[names.index("another order")]["stages"]] == [3, 2]
    rows = read_rows(table)
    assert len(rows) == 2 * (len(names) + 2)
    assert {row["system"] for row in rows} - {*names} == {
        "as the paper, own words", "as the paper, gold caption",
    }  # fmt: skip
    assert all(row["told_right"] == "100.0" for row in rows if "gold" in row["system"])


def test_a_cell_gives_the_same_numbers_again(once: Path, tmp_path: Path) -> None:
    again = plans_of(grid_file(tmp_path, GRID.replace("signal, caption", "signal")), tmp_path)
    other = plans_of(grid_file(tmp_path, GRID.replace("seeds: [0]", "seeds: [1]")), tmp_path)
    for plan in (again[0], other[0]):
        cells.run_cell(plan)
    known = {result["key"]: result for result in results(once)}
    found = {result["key"]: result for result in results(tmp_path)}
    assert found[again[0].key] == known[again[0].key]
    first, second = known[again[0].key]["losses"], found[other[0].key]["losses"]
    assert first[0] == second[0], "its schedule gives stage 1 a seed of its own"
    assert first[1][1] != second[1][1]


def test_a_cell_interrupted_at_its_questions_leaves_no_result(
    once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = plans_of(once.parent / "grid.yaml", once)
    before = plans[0].result.read_text()
    plans[0].result.unlink()

    def cut_off(*_: Any) -> Any:
        yield {"id": "image/simple/000"}
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cells, "score", cut_off)
        with pytest.raises(KeyboardInterrupt):
            cells.run_cell(plans[0])
    assert not plans[0].result.exists()
    cells.run_cell(plans[0])
    assert json.loads(plans[0].result.read_text())["answers"] == json.loads(before)["answers"]


def test_a_cell_may_go_on_from_a_trained_model(
    once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins with that model's weights, and another model's make another cell of it."""
    done = plans_of(once.parent / "grid.yaml", once)[0].stages[1].folder
    text = GRID.replace("signal, caption", "signal")
    text = text.replace("stages: [1, 2]", f"init: {done}\n  stages: [2]")
    (plan,) = plans_of(grid_file(tmp_path, text), tmp_path)
    begun = cells._load(plan, 0, "cpu").state_dict()
    kept = NextGPT.from_config(plan.config)
    fresh = {name: value.clone() for name, value in kept.state_dict().items()}
    kept.load_trained(done)
    assert all(torch.equal(value, begun[name]) for name, value in kept.state_dict().items())
    assert any(not torch.equal(value, begun[name]) for name, value in fresh.items())
    other = text.replace(f"  init: {done}\n", "")
    (without,) = plans_of(grid_file(tmp_path, other), tmp_path)
    assert without.stages[0].key != plan.stages[0].key


def test_a_killed_worker_leaves_no_lock(tmp_path: Path) -> None:
    code = (
        "import sys, time, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); "
        "print('at it', flush=True); time.sleep(60)"
    )
    (tmp_path / "locks").mkdir()
    command = [sys.executable, "-c", code, str(tmp_path / "locks" / "cell.lock")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None and worker.stdout.readline()
        with pytest.raises(Timeout), cells.locked(tmp_path, "cell"):
            pass
        worker.kill()
    with cells.locked(tmp_path, "cell"):
        pass


def test_a_cell_of_another_precision_is_another_one(tmp_path: Path) -> None:
    cell = read_grid(grid_file(tmp_path)).cells[0]
    usual, half = (cells.plan_of(cell, tmp_path, each) for each in (None, "bfloat16"))
    assert half.config.precision == "bfloat16"
    assert usual.key != half.key and usual.stages[0].folder != half.stages[0].folder
