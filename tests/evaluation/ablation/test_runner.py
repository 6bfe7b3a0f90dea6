"""Workers at one grid: every cell is run once, whatever interrupts it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from filelock import FileLock

from nextgpt_lite.cli import main
from nextgpt_lite.errors import NumericsError
from nextgpt_lite.evaluation.ablation import cells, runner
from nextgpt_lite.evaluation.ablation.runner import ablate
from nextgpt_lite.evaluation.comparison.rows import read_rows
from nextgpt_lite.training.loop import Trainer
from tests.evaluation.ablation.grids import GRID, grid_file, plans_of, results


def test_what_is_done_is_not_done_again(once: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (once / "grid.csv").read_text()
    other = GRID.replace("  messenger: [signal, caption]", "  messenger: [caption, signal]")
    other = other.replace("product:", "cells: [{name: mine, messenger: signal}]\nproduct:")
    monkeypatch.setattr(runner, "run_cell", lambda plan, _: pytest.fail(f"{plan.cell.name} again"))
    (once / "grid.csv").unlink()
    ablate(once.parent / "grid.yaml", once)
    assert (once / "grid.csv").read_text() == before
    (once.parent / "other.yaml").write_text(other)
    rows = read_rows(ablate(once.parent / "other.yaml", once))
    assert rows[-1]["system"] == "mine", "a cell that another grid did has this grid's name"
    assert rows[-1]["text"] == read_rows(once / "grid.csv")[1]["text"]


def test_all_grids_that_ship_are_run_and_what_is_done_stays(
    once: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {path.stem for path in runner.shipped_grids()}
    assert {"messenger", "loss", "geometry", "recipes", "stages", "budget"} <= names
    monkeypatch.setattr(runner, "run_cell", lambda plan, _: pytest.fail(f"{plan.cell.name} again"))
    monkeypatch.setattr(runner, "shipped_grids", lambda: [once.parent / "grid.yaml"])
    assert main(["ablate", "--all", "--output", str(once)]) == 0
    assert str(once / "grid.csv") in capsys.readouterr().out


def test_an_interrupted_cell_goes_on_from_its_checkpoint(
    once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, steps = Trainer.take_step, []

    def step(self: Trainer) -> Any:
        steps.append((self.stage.number, self.step))
        if steps[-1] == (2, 2) and len(steps) == 5:
            raise KeyboardInterrupt
        return whole(self)

    monkeypatch.setattr(Trainer, "take_step", step)
    with pytest.raises(KeyboardInterrupt):
        ablate(grid_file(tmp_path), tmp_path / "out")
    assert not (tmp_path / "out" / "cells").exists()
    ablate(grid_file(tmp_path), tmp_path / "out")
    assert steps[5] == (2, 2), "stage 1 and two steps of stage 2 were not taken again"
    assert results(tmp_path / "out") == results(once)


def test_two_workers_do_each_cell_once(once: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second arrives while the first is at its first cell, and does the rest."""
    plans = plans_of(once.parent / "grid.yaml", once)
    kept = [plan.result.read_text() for plan in plans]
    done: list[str] = []

    class Enough(Exception): ...

    def enough(_: float) -> None:
        raise Enough

    def run(plan: cells.Plan, _: str) -> None:
        if not done:
            done.append(plan.key)
            monkeypatch.setattr(runner, "time", SimpleNamespace(sleep=enough))
            with pytest.raises(Enough):  # it would wait for the first cell, and look again
                runner._work(plans, "auto")
        else:
            done.append(plan.key)
        plan.result.write_text(kept[plans.index(plan)])

    for plan in plans:
        plan.result.unlink()
    monkeypatch.setattr(runner, "run_cell", run)
    runner._work(plans, "auto")
    assert done == [plan.key for plan in plans]


def test_a_worker_that_dies_leaves_its_cell_to_the_others(
    once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = plans_of(once.parent / "grid.yaml", once)
    kept = {plan.key: plan.result.read_text() for plan in plans}
    table = (once / "grid.csv").read_text()
    lives: list[int] = []  # cells that each worker does before it is killed at the next

    def run(plan: cells.Plan, _: str) -> None:
        if not lives[0]:
            raise SystemExit
        lives[0] -= 1
        plan.result.write_text(kept[plan.key])

    class Process:
        exitcode = 0

        def __init__(self, target: Any, args: tuple[Any, ...], daemon: bool) -> None:
            self.work = partial(target, *args)

        def start(self) -> None:
            try:
                self.work()
            except SystemExit:
                self.exitcode = -9
            lives.pop(0)

        def join(self) -> None: ...

    context = SimpleNamespace(get_context=lambda _: SimpleNamespace(Process=Process))
    monkeypatch.setattr(runner, "multiprocessing", context)
    monkeypatch.setattr(runner, "run_cell", run)
    monkeypatch.setattr(torch, "set_num_threads", lambda _: None)
    for plan in plans:
        plan.result.unlink()
    (once / "grid.csv").unlink()
    lives[:] = [0, 1]
    with pytest.raises(RuntimeError, match="start again with the same --output"):
        ablate(once.parent / "grid.yaml", once, workers=2)
    assert [plan.result.is_file() for plan in plans] == [True, False]
    lives[:] = [0, 1]
    ablate(once.parent / "grid.yaml", once, workers=2)
    assert (once / "grid.csv").read_text() == table


def test_a_stage_that_another_worker_trains_is_waited_for(
    once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead worker's lock is gone with it; a living one's is respected."""
    path = grid_file(tmp_path, GRID.replace("signal, caption", "signal"))
    (plan,) = plans_of(path, tmp_path / "out")
    (tmp_path / "out" / "locks").mkdir(parents=True)
    theirs = FileLock(tmp_path / "out" / "locks" / f"{plan.stages[0].folder.name}.lock")
    theirs.acquire()
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        assert not plan.stages[0].folder.exists()
        theirs.release()

    monkeypatch.setattr(runner, "time", SimpleNamespace(sleep=sleep))
    ablate(path, tmp_path / "out")
    assert len(waited) == 1
    assert results(tmp_path / "out")[0] in results(once)


def test_a_loss_that_is_not_finite_stops_its_cell_only(
    once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = plans_of(once.parent / "grid.yaml", once)
    plans[0].result.unlink()
    plans[1].result.unlink()

    def run(plan: cells.Plan, _: str) -> None:
        if plan is plans[0]:
            raise NumericsError("The loss of step 3 is not finite.")
        plan.result.write_text("{}")

    monkeypatch.setattr(runner, "run_cell", run)
    with pytest.raises(FloatingPointError, match="1 cells failed, the first 'messenger signal, s"):
        runner._work(plans, "auto")
    assert plans[1].result.exists()
