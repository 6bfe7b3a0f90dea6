"""The ablation runner on tiny random models: one answer a cell, whatever interrupts it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from filelock import FileLock, Timeout

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.cli import main
from nextgpt_lite.errors import NumericsError
from nextgpt_lite.evaluation.ablation import cells, runner
from nextgpt_lite.evaluation.ablation.figures import draw, summary
from nextgpt_lite.evaluation.ablation.grid import read_grid
from nextgpt_lite.evaluation.ablation.runner import ablate
from nextgpt_lite.evaluation.comparison.rows import read_rows
from nextgpt_lite.model.config import NextGPTConfig
from nextgpt_lite.training.loop import Trainer
from tests.tiny import tiny_model

GRID = """
title: a small grid
seeds: [0]
fixed:
  schedule:
    1: {steps: 2, batch_size: 2, warmup: 1, seed: 0}
    2: {steps: 3, batch_size: 2, warmup: 1, checkpoint_every: 1}
  stages: [1, 2]
product:
  messenger: [signal, caption]
score: {groups: [image], prompts: 1, num_inference_steps: 1}
"""


def from_config(config: NextGPTConfig, seed: int = 0, new: bool = True) -> NextGPT:
    """A tiny model with the settings that the grid varies; its frozen parts are always the same."""
    kind = {"hidden": 16, "layers": 1, "heads": 2, "feed_forward": 32, "dropout": 0.0,
            "kind": config.output_projection.kind}  # fmt: skip
    model = tiny_model(
        0,
        messenger=config.messenger,
        signal_tokens=config.signal_tokens,
        output_projection=kind,
        lora=asdict(config.lora),
        distance=config.distance,
        denoising=config.denoising,
        hidden_layer=config.hidden_layer,
    )
    torch.manual_seed(seed)
    for name, parameter in model.named_parameters():
        if name.startswith(("input_projection", "output_projections")):
            torch.nn.init.normal_(parameter, std=0.02)
    return model


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NextGPT, "from_config", staticmethod(from_config))


AXES = """
seeds: [0]
fixed:
  schedule: &two
    1: {steps: 2, batch_size: 2, warmup: 1}
    2: {steps: 2, batch_size: 2, warmup: 1}
    3: {steps: 2, batch_size: 2, warmup: 1}
  stages: [2, 3]
cells:
  - {name: as the paper}
  - {name: captions, messenger: caption}
  - {name: 1 token, signal_tokens: 1}
  - {name: 16 tokens, signal_tokens: 16}
  - {name: linear, projection: linear}
  - {name: mlp, projection: mlp}
  - {name: qformer, projection: qformer}
  - {name: cosine, distance: cosine}
  - {name: norm-matched, distance: norm-matched}
  - {name: denoising, denoising: 1.0}
  - {name: a layer earlier, hidden_layer: 1}
  - {name: rank 4, lora_rank: 4}
  - {name: another order, stages: [3, 2]}
  - {name: without stage 2, stages: [3]}
  - {name: without stage 3, stages: [2]}
  - {name: requests alone, mixture: {3: {t2m: 1.0}}}
  - {name: pictures alone, modalities: {2: [image], 3: [image]}}
score: {groups: [image], prompts: 1, num_inference_steps: 1}
"""


def grid_file(folder: Path, text: str = GRID) -> Path:
    path = folder / "grid.yaml"
    path.write_text(text)
    return path


def results(output: Path) -> list[dict[str, Any]]:
    """What the cells found, without what a clock says."""
    found = []
    for path in sorted((output / "cells").glob("*.json")):
        result = json.loads(path.read_text())
        losses = [(run["key"], run["loss"]) for run in result["stages"]]
        found.append({"key": result["key"], "losses": losses, "answers": result["answers"]})
    return found


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The whole grid, run once without a disturbance."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NextGPT, "from_config", staticmethod(from_config))
        folder = tmp_path_factory.mktemp("once")
        ablate(grid_file(folder), folder / "out")
    return folder / "out"


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
    assert len(read_rows(table)) == 2 * len(names)


def test_a_cell_gives_the_same_numbers_again(once: Path, tmp_path: Path) -> None:
    again = _plans(grid_file(tmp_path, GRID.replace("signal, caption", "signal")), tmp_path)
    other = _plans(grid_file(tmp_path, GRID.replace("seeds: [0]", "seeds: [1]")), tmp_path)
    for plan in (again[0], other[0]):
        cells.run_cell(plan)
    known = {result["key"]: result for result in results(once)}
    found = {result["key"]: result for result in results(tmp_path)}
    assert found[again[0].key] == known[again[0].key]
    first, second = known[again[0].key]["losses"], found[other[0].key]["losses"]
    assert first[0] == second[0], "its schedule gives stage 1 a seed of its own"
    assert first[1][1] != second[1][1]


def test_what_is_done_is_not_done_again(once: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (once / "grid.csv").read_text()
    other = GRID.replace("  messenger: [signal, caption]", "  messenger: [caption, signal]")
    other = other.replace("product:", "cells: [{name: mine, messenger: signal}]\nproduct:")
    monkeypatch.setattr(runner, "run_cell", lambda plan: pytest.fail(f"{plan.cell.name} again"))
    (once / "grid.csv").unlink()
    ablate(once.parent / "grid.yaml", once)
    assert (once / "grid.csv").read_text() == before
    (once.parent / "other.yaml").write_text(other)
    rows = read_rows(ablate(once.parent / "other.yaml", once))
    assert rows[-1]["system"] == "mine", "a cell that another grid did has this grid's name"
    assert rows[-1]["text"] == read_rows(once / "grid.csv")[1]["text"]


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


def test_a_cell_interrupted_at_its_questions_leaves_no_result(
    once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = _plans(once.parent / "grid.yaml", once)
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


def _plans(path: Path, output: Path) -> list[cells.Plan]:
    return [cells.plan_of(cell, output) for cell in read_grid(path).cells]


def test_two_workers_do_each_cell_once(once: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second arrives while the first is at its first cell, and does the rest."""
    plans = _plans(once.parent / "grid.yaml", once)
    kept = [plan.result.read_text() for plan in plans]
    done: list[str] = []

    class Enough(Exception): ...

    def enough(_: float) -> None:
        raise Enough

    def run(plan: cells.Plan) -> None:
        if not done:
            done.append(plan.key)
            monkeypatch.setattr(runner, "time", SimpleNamespace(sleep=enough))
            with pytest.raises(Enough):  # it would wait for the first cell, and look again
                runner._work(plans)
        else:
            done.append(plan.key)
        plan.result.write_text(kept[plans.index(plan)])

    for plan in plans:
        plan.result.unlink()
    monkeypatch.setattr(runner, "run_cell", run)
    runner._work(plans)
    assert done == [plan.key for plan in plans]


def test_a_worker_that_dies_leaves_its_cell_to_the_others(
    once: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = _plans(once.parent / "grid.yaml", once)
    kept = {plan.key: plan.result.read_text() for plan in plans}
    table = (once / "grid.csv").read_text()
    lives: list[int] = []  # cells that each worker does before it is killed at the next

    def run(plan: cells.Plan) -> None:
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


def test_a_stage_that_another_worker_trains_is_waited_for(
    once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead worker's lock is gone with it; a living one's is respected."""
    path = grid_file(tmp_path, GRID.replace("signal, caption", "signal"))
    (plan,) = _plans(path, tmp_path / "out")
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
    plans = _plans(once.parent / "grid.yaml", once)
    plans[0].result.unlink()
    plans[1].result.unlink()

    def run(plan: cells.Plan) -> None:
        if plan is plans[0]:
            raise NumericsError("The loss of step 3 is not finite.")
        plan.result.write_text("{}")

    monkeypatch.setattr(runner, "run_cell", run)
    with pytest.raises(FloatingPointError, match="1 cells failed, the first 'messenger signal, s"):
        runner._work(plans)
    assert plans[1].result.exists()


@pytest.mark.parametrize(
    ("line", "wrong", "said"),
    [
        ("seeds: [0]", "seeds: 0", "field 'seeds' is 0: it should be a valid list"),
        ("seeds: [0]", "seeds: [-1]", "field 'seeds.0' is -1: it should be greater"),
        ("seeds: [0]", "sceds: [0]", "unknown field 'sceds'"),
        ("signal, caption", "pigeon", "field 'messenger' is 'pigeon'"),
        ("messenger: [signal, caption]", "messanger: [signal]", "unknown field 'messanger'"),
        ("messenger: [signal, caption]", "hidden_layer: [99]", "'hidden_layer' is 99"),
        ("messenger: [signal, caption]", "signal_tokens: [0]", "'signal_tokens' is 0"),
        ("messenger: [signal, caption]", "projection: [rnn]", "'output_projection.kind' is 'rnn'"),
        ("stages: [1, 2]", "stages: [1, 4]", "field 'stages.1' is 4: it should be less"),
        ("{steps: 2,", "{stepz: 2,", "stepz"),
        (
            "{steps: 2,",
            "{steps: two,",
            "field 'schedule.1.steps' is 'two': it should be",
        ),
        ("{steps: 2,", "{steps: 2, learning_rate: 1e-3,", "YAML reads 1e-3 as a text"),
        (
            "stages: [1, 2]",
            "mixture: {2: {gossip: 1}}",
            "'mixture.2.gossip' is 'gossip'",
        ),
        (
            "stages: [1, 2]",
            "mixture: {2: {caption: 0}}",
            "'mixture.2.caption' is 0: it should",
        ),
        ("groups: [image]", "groups: [smell]", "'score': Group 'smell' is unknown"),
        ("stages: [1, 2]", "modalities: {2: [smell]}", "'modalities.2' has 'smell'"),
        ("prompts: 1", "prompts: none", "'score.prompts' is 'none'"),
        ("product:", "product: [", "is no YAML"),
    ],
)
def test_a_mistake_in_the_grid_is_one_sentence(
    line: str, wrong: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = grid_file(tmp_path, GRID.replace(line, wrong))
    assert main(["ablate", str(path), "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert str(path) in error
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out" / "stages").exists()


@pytest.mark.parametrize("path", sorted(Path("configs/ablation").glob("*.yaml")), ids=str)
def test_the_shipped_grids_can_be_read(path: Path) -> None:
    assert len(read_grid(path).cells) > 1


def test_figures_come_from_the_table_alone(once: Path, tmp_path: Path) -> None:
    table = tmp_path / "grid.csv"
    table.write_bytes((once / "grid.csv").read_bytes())
    lines = summary(table).splitlines()
    assert lines[2].startswith("| image, simple | messenger signal | 1 x 1 |")
    assert len(lines) == 2 + 4 + 2
    assert lines[-1].startswith("6 tests, not corrected")
    assert draw(table, tmp_path / "figure.svg").stat().st_size > 1000
