"""Rows on disk: shared, damaged, limited, listed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from nextgpt_lite.cli import main
from nextgpt_lite.training import cache as cache_module
from nextgpt_lite.training.cache import Rows, hash_files, listing, prune

KEYS = [bytes([n]) * 32 for n in range(8)]


PROCESS = """
import sys, torch
from pathlib import Path
from nextgpt_lite.training.cache import Rows
for turn in range(20):
    rows = Rows(Path(sys.argv[1]) / "part")
    for n in range(8):
        key = bytes([n]) * 32
        if key not in rows:
            rows.add([key], [torch.full((3,), float(n))])
            rows.flush()
"""


def test_several_processes_share_a_cache(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROCESS, str(tmp_path)]
    running = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(120) for process in running] == [0, 0]
    rows = Rows(tmp_path / "part")
    assert torch.equal(rows.stack(KEYS)[:, 0], torch.arange(8.0))
    assert not list(tmp_path.rglob(".*.safetensors")), "no draft is left"


def test_a_damaged_segment_is_named_and_computed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = Rows(tmp_path / "part")
    rows.add(KEYS, torch.arange(8.0)[:, None])
    rows.flush()
    (segment,) = (tmp_path / "part").glob("*.safetensors")
    segment.write_bytes(segment.read_bytes()[:-9])
    assert KEYS[0] not in Rows(tmp_path / "part")
    assert "its rows are computed again" in caplog.text


def test_a_disk_that_refuses_costs_a_warning_and_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache_module, "save_file", full)
    rows = Rows(tmp_path / "part")
    rows.add(KEYS, torch.arange(8.0)[:, None])
    rows.flush()
    assert "No space left" in caplog.text
    assert torch.equal(rows.stack(KEYS)[:, 0], torch.arange(8.0))


def test_at_its_limit_a_cache_deletes_what_was_used_longest_ago(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "one", limit=10_000)
    for number in range(6):
        rows.add([KEYS[number]], [torch.full((500,), float(number))])
        rows.flush()
        past = 1e9 + number
        for path in set(tmp_path.rglob("*.safetensors")) - {p for _, _, p in rows._stored.values()}:
            raise AssertionError(f"{path} is not mapped")
        os.utime(rows._stored[KEYS[number]][2], (past, past))
        if number == 3:
            rows.stack(KEYS[:1])  # used since
    assert sum(p.stat().st_size for p in tmp_path.rglob("*.safetensors")) <= 10_000
    assert rows.stack(KEYS[1:2])[0, 0] == 1, "what a batch has begun with stays for it"
    rows.settle()
    assert KEYS[1] not in rows and KEYS[0] in rows and KEYS[5] in rows
    assert len(Rows(tmp_path / "one")) == len(rows) < 6


def test_without_a_disk_only_the_newest_rows_stay_in_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cache_module, "MEMORY", 5000)
    rows = Rows(None)
    for number in range(8):
        rows.settle()
        rows.add([KEYS[number]], [torch.zeros(500)])
    rows.settle()
    assert [key in rows for key in KEYS] == [False] * 6 + [True] * 2
    rows = Rows(None, limit=0)  # --cache none
    rows.add(KEYS, torch.zeros(8, 500))
    assert rows.stack(KEYS).shape == (8, 500), "for the batch in hand"
    rows.settle()
    assert not len(rows)


def test_an_encoder_s_hash_follows_its_files(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(b"weights")
    before = hash_files([tmp_path / "model"], tmp_path)
    assert hash_files([tmp_path / "model"], tmp_path) == before
    (tmp_path / "model").write_bytes(b"Weights")
    assert hash_files([tmp_path / "model"]) != before


def test_the_command_shows_and_empties(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, size in (("small", 10), ("large", 1000)):
        rows = Rows(tmp_path / name, {"name": f"the {name} one"})
        rows.add(KEYS, torch.zeros(8, size))
        rows.flush()
    assert [part.name for part in listing(tmp_path)] == ["large", "small"]
    assert main(["cache", "--folder", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "8 rows" in told
    assert "the large one" in told
    assert prune(tmp_path, keep=10_000_000) == 0
    assert main(["cache", "--folder", str(tmp_path), "--prune", "0"]) == 0
    assert listing(tmp_path) == []
