"""Batches that workers make ahead are those that the training process would make."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from nextgpt_lite.data.records import Record
from nextgpt_lite.errors import Stopped
from nextgpt_lite.training import feed
from nextgpt_lite.training.feed import Drawn
from nextgpt_lite.training.loop import Schedule, Trainer
from nextgpt_lite.training.report import TIMES
from nextgpt_lite.training.stages import STAGES
from tests.tiny import Made, tiny_model
from tests.training.runs import QUICK, record


class Slow(Made):
    """Pictures on a disk that takes its time; a bad one is among them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(self.pair)
        self.folder, self.reader = folder, os.getpid()
        for number in range(8):
            Image.new("RGB", (8, 8), (30 * number, 0, 0)).save(folder / f"{number}.png")
        (folder / "3.png").write_bytes(b"no picture")

    def identity(self) -> str:
        """Without reading records."""
        return "slow"

    def pair(self, index: int) -> Record:
        if os.getpid() == self.reader:
            (self.folder / "in the training process").touch()
        time.sleep(0.002)
        shown = {"type": "image", "path": f"{index % 8}.png"}
        said = {"type": "text", "text": f"A red car, {index % 8} apples."}
        messages = [{"role": "user", "content": [shown]}, {"role": "assistant", "content": [said]}]
        return Record(str(index), messages, "pair")


def trainer(folder: Path, output: str, **changes: Any) -> Trainer:
    numbers = {**QUICK, "steps": 6, "batch_size": 4, "checkpoint_every": 1, "accumulate": 2}
    schedule = Schedule.of(STAGES[1], **{**numbers, **changes})
    model = tiny_model()
    return Trainer(
        model, STAGES[1], Slow(folder), folder / output, schedule, folder / "cache"
    )  # fmt: skip


def lines(folder: Path) -> list[dict[str, float]]:
    told = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in TIMES} for line in told]


def test_workers_change_no_bit_also_where_a_run_is_stopped_in_an_epoch(tmp_path: Path) -> None:
    trainer(tmp_path, "alone").run()
    alone = lines(tmp_path / "alone")
    assert alone[-1]["replaced"] > 0
    (tmp_path / "in the training process").unlink()
    stopped = trainer(tmp_path, "ahead", workers=2)
    stopped.watchers = [
        lambda line: os.kill(os.getpid(), signal.SIGINT) if line["step"] == 3 else None
    ]
    with pytest.raises(Stopped):
        stopped.run()
    trainer(tmp_path, "ahead", workers=1).run(resume=True)
    assert lines(tmp_path / "ahead") == alone
    files = [tmp_path / name / "projections.safetensors" for name in ("alone", "ahead")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_with_a_warm_cache_workers_leave_the_training_process_nothing_to_wait_for(
    tmp_path: Path,
) -> None:
    """Counted, not timed: no record is read there, no row computed, no batch made."""
    trainer(tmp_path, "cold", workers=1).run()
    warm, made = trainer(tmp_path, "warm", workers=1), []
    whole = warm.feed.whole

    def seen(number: int, drawn: Drawn | None = None) -> Drawn:
        made.append(drawn and drawn.batch)
        return whole(number, drawn)

    warm.feed.whole = seen  # type: ignore[method-assign]
    (tmp_path / "in the training process").unlink(missing_ok=True)
    warm.run()
    assert len(made) == 12 and None not in made
    assert warm.features.computed == 0
    assert not (tmp_path / "in the training process").exists()


@pytest.mark.parametrize("half", [False, True])
def test_conditions_in_float16_hardly_change_loss_and_gradient(half: bool, tmp_path: Path) -> None:
    """Where 16 bits are the default: losses to 1e-3 of themselves, gradients in direction too."""
    found = []
    for kept in (False, half):
        schedule = Schedule.of(STAGES[2], **{**QUICK, "batch_size": 8, "half_conditions": kept})
        run = Trainer(tiny_model(), STAGES[2], Made(record), tmp_path, schedule)
        losses, _, _ = run.backward()
        gradient = torch.cat([p.grad.flatten() for p in run.learning if p.grad is not None])
        found.append((losses["total"], gradient))
    (exact, gradient), (loss, other) = found
    assert (loss == exact) is not half
    assert loss == pytest.approx(exact, rel=1e-4)
    assert float((other - gradient).norm() / gradient.norm()) < 1e-3


def test_workers_begin_where_no_signal_tells_of_a_parents_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feed.sys, "platform", "darwin")
    monkeypatch.setattr(feed.ctypes, "CDLL", lambda _: object())  # whose libc has no prctl
    monkeypatch.setattr(feed.signal, "signal", lambda *_: None)
    feed._live_as_long_as_the_training(0)
