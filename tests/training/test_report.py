"""What a run tells: its file, trackers, watchers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from accelerate.tracking import GeneralTracker

from nextgpt_lite.errors import PackageError
from nextgpt_lite.training.report import METRICS, TIMES, trackers
from nextgpt_lite.writing import append
from tests.training.runs import (
    LOSSES,
    run,
)


class Tracker(GeneralTracker):
    """Keeps what accelerate hands it."""

    name = "kept"
    requires_logging_directory = False

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[int, dict[str, float]] = {}
        self.config: dict[str, Any] = {}
        self.finished = False

    @property
    def tracker(self) -> None:
        return None

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.config = values

    def log(self, values: dict[str, float], step: int | None = None, **_: Any) -> None:
        assert step is not None
        self.lines[step] = values

    def finish(self) -> None:
        self.finished = True


def test_metrics_go_to_file_trackers_and_watchers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(line: object) -> None:
        raise OSError("no room")

    tracker, watched = Tracker(), []
    lines = run(tmp_path, more={"report_to": tracker, "watchers": [broken, watched.append]})
    assert caplog.text.count("failed; the training goes on") == len(lines)
    written = [json.loads(line) for line in (tmp_path / METRICS).open()]
    assert [line["step"] for line in written] == [1, 2, 3] == [*tracker.lines]
    assert [*tracker.lines.values()] == watched == lines
    assert tracker.config["batch_size"] == 4
    assert tracker.finished
    last = lines[-1]
    assert {*LOSSES, *TIMES, "tokens", "gradient", "rate"} < set(last)
    assert last["seconds_left"] == 0 < lines[0]["seconds_left"]
    assert last["peak_memory"] > 50e6
    assert last["tokens"] > 0 < last["tokens_per_second"]
    assert last["samples_per_second"] > 0
    assert 0 < last["data_share"] < 1


def test_a_tracker_that_is_not_there_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nextgpt_lite.training.report.find_spec", lambda name: None)
    with pytest.raises(PackageError, match="'wandb', which is not installed"):
        trackers("wandb")
    with pytest.raises(ValueError, match="use one of tensorboard"):
        trackers(["paper"])
    assert trackers(None) == []


def test_metrics_that_cannot_be_written_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"metrics\.jsonl cannot be written \(Is a directory\)"):
        (tmp_path / "metrics.jsonl").mkdir()
        append(tmp_path / "metrics.jsonl", "{}")
