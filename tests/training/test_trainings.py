"""Whole runs, killed, spread over two processes and cut in two; see `tests.training.trainings`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from nextgpt_lite.training.report import METRICS
from tests.training import trainings

STAGES = (1, 2, 3)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """All runs, made by one process; it ends with an error when a killed run came out otherwise."""
    folder = tmp_path_factory.mktemp("trainings")
    made = subprocess.run(
        [sys.executable, "-m", "tests.training.trainings", str(folder)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr[-3000:]
    return folder, json.loads(made.stdout)


def losses(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / METRICS).open()]
    return [{k: line[k] for k in trainings.EXACT} for line in lines]


def test_runs_killed_at_random_leave_what_undisturbed_ones_do(
    runs: tuple[Path, dict[str, Any]],
) -> None:
    """The comparison of every bit is in `trainings`; here: was there anything to compare?"""
    _, report = runs
    alone = [report[f"stage-{stage}-by-1"] for stage in STAGES]
    assert sum(row["kills"] for row in alone) >= 20
    assert sum(row["while writing"] for row in alone) >= 1
    assert all(report[f"stage-{stage}-by-2"]["kills"] >= 1 for stage in STAGES)
    assert all(report[f"stage-{stage}-files"]["kills"] >= 3 for stage in STAGES)


def test_a_killed_process_ends_the_others_with_a_sentence(
    runs: tuple[Path, dict[str, Any]],
) -> None:
    said = runs[1]["one killed"]
    assert "1: nextgpt_lite.errors.RunError: another of the 2 processes has ended in step" in said
    assert "go on with --resume" in said


@pytest.mark.parametrize("stage", STAGES)
def test_two_processes_learn_what_one_does(stage: int, runs: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = runs
    one, two = (losses(folder / f"stage-{stage}-by-{count}" / "whole") for count in (1, 2))
    assert len(one) == trainings.STEPS
    for ours, theirs in zip(one, two, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-5)


def test_a_model_cut_over_processes_learns_the_same_and_becomes_whole_again(
    runs: tuple[Path, dict[str, Any]],
) -> None:
    folder, _ = runs
    expected, half = losses(folder / "one"), trainings.STEPS // 2
    assert losses(folder / "by accelerate") == losses(folder / "sharded")
    for name, taken in (("sharded", 0), ("sharded then one", half), ("one then sharded", half)):
        for ours, theirs in zip(expected[taken:], losses(folder / name), strict=True):
            assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-5), name
        for file in ("projections.safetensors", "adapter_model.safetensors"):
            ours, theirs = (load_file(folder / run / file) for run in ("one", name))
            assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
            apart, size = (
                sum(float(((ours[k] - other[k]) ** 2).sum()) for k in ours)
                for other in (theirs, dict.fromkeys(ours, 0.0))
            )
            assert apart < 1e-6 * size, (name, file)  # biases of no effect drift by rounding


def test_accelerate_reads_the_configuration_files() -> None:
    """And each is told of in the folder's README."""
    from accelerate.commands.config.config_args import load_config_from_file

    folder = Path(__file__).parents[2] / "configs" / "accelerate"
    files = {path.name: load_config_from_file(str(path)) for path in folder.glob("*.yaml")}
    kinds = {name: config.distributed_type.value for name, config in files.items()}
    assert kinds == {
        "one_gpu.yaml": "NO",
        "several_gpus.yaml": "MULTI_GPU",
        "several_nodes.yaml": "MULTI_GPU",
        "fsdp2.yaml": "FSDP",
        "deepspeed.yaml": "DEEPSPEED",
    }
    assert files["fsdp2.yaml"].fsdp_config["fsdp_version"] == 2
    settings = files["deepspeed.yaml"].deepspeed_config["deepspeed_config_file"]
    assert json.loads((folder.parents[1] / settings).read_text())["zero_optimization"]["stage"] == 2
    told = (folder / "README.md").read_text()
    assert all(f"`{name}`" in told for name in files)
