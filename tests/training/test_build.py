"""A cache that is built beforehand leaves a training nothing to compute."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nextgpt_lite.cli import main
from nextgpt_lite.training import build
from nextgpt_lite.training.run import train
from tests.tiny import tiny_model


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Fifty pairs in CC3M's layout, of which two are broken, and a tiny model."""
    monkeypatch.setenv("NEXTGPT_LITE_CACHE", str(tmp_path / "kept"))
    monkeypatch.setattr("nextgpt_lite.chat.NextGPT.from_config", lambda *_, **__: tiny_model())
    data = tmp_path / "cc3m"
    (data / "images").mkdir(parents=True)
    rows = []
    for number in range(50):
        Image.new("RGB", (8, 8), (5 * number, 0, 0)).save(data / "images" / f"{number}.png")
        rows.append(f"{number} apples\thttp://x.org/{number}.png\n")
    for number in (7, 31):
        (data / "images" / f"{number}.png").write_bytes(b"\x89PNG")
    (data / "Train_GCC-training.tsv").write_text("".join(rows))
    return data


def test_what_two_processes_built_a_training_takes(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = folder.parent / "cache"
    command = ["cache", "build", "--stage", "1", "--data", str(folder), "--cache", str(cache)]
    monkeypatch.setenv("WORLD_SIZE", "2")
    told = []
    for rank in "01":
        monkeypatch.setenv("RANK", rank)
        assert main([*command, "--batch-size", "5"]) == 0
        told.append(capsys.readouterr().out)
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    assert all("records: 25" in text for text in told)
    again = build.build_cache(1, cache, data=folder, batch_size=5)
    assert again["computed"] == 0 < again["replaced"]
    run = train(1, folder.parent / "run", data=folder, cache=cache, steps=2, batch_size=5)
    assert run.features.computed == 0


def test_broken_items_end_no_run_and_two_runs_are_equal(folder: Path) -> None:
    logged = []
    for name in ("one", "two"):
        output = folder.parent / name
        train(1, output, data=folder, steps=12, batch_size=5, log_every=1, held_out=0.1)
        lines = [json.loads(line) for line in (output / "metrics.jsonl").read_text().splitlines()]
        exact = ("total", "gradient", "held_out", "replaced")
        logged.append([{k: v for k, v in line.items() if k in exact} for line in lines])
    assert logged[0] == logged[1]
    assert logged[0][-1]["replaced"] > 0
    assert np.isfinite(logged[0][-1]["held_out"]) and "held_out" not in logged[0][0]
