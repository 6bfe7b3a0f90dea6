"""The benchmark measures what it says: both loops learn the same things; its FLOPs are counted."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import replace
from importlib.metadata import distributions
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import gpu, paper_sizes, training
from benchmarks.flops import batch_flops
from benchmarks.setting import Sizes
from benchmarks.training import Ours, Plain, fit
from nextgpt_lite.training.stages import part_of

SMALL = Sizes(
    width=64, layers=2, vocabulary=1200, records=4, sequence=60, rank=4,
    projection={"hidden": 32, "layers": 1, "heads": 2, "feed_forward": 64},
    conditions={"image": [7, 16], "audio": [1, 8], "video": [7, 24]},
)  # fmt: skip


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "Sizes", lambda: SMALL)


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_both_loops_read_the_same_and_count_the_flops_that_are_done(
    stage: int, tmp_path: Path
) -> None:
    ours = Ours(stage, SMALL, tmp_path, "float32")
    plain = Plain(stage, SMALL, tmp_path, "float32")
    assert [r.messages for r in ours.records.records] == [r.messages for r in plain.records.records]
    model, (batch, _) = ours.trainer.model, ours.trainer.batch(0)
    with FlopCounterMode(display=False) as counter:
        model.loss(batch).total.backward()
    counted, said = counter.get_total_flops(), batch_flops(model, batch, SMALL)
    assert 0.6 * counted < said < 1.1 * counted, "what is left out is padding and attention"
    for loop in (ours, plain):
        loop.step()
    learned = sum(p.numel() for p in ours.trainer.learning)
    table = plain.loop.table.weight.numel()
    rows = sum(p.numel() for n, p in model.named_parameters() if part_of(n) == "token_rows")
    ours_without_rows = learned - (rows if stage > 1 else 0)
    assert sum(p.numel() for p in plain.loop.learning) == ours_without_rows + 2 * table


def test_conversations_are_about_as_long_as_stated() -> None:
    made = training.model(SMALL)
    for stage in (1, 2, 3):
        records = training.Conversations(stage, replace(SMALL, sequence=115, records=40),
                                         made.conversation)  # fmt: skip
        lengths = [len(made.conversation.encode(each.messages)) for each in records.records]
        assert 105 < sum(lengths) / len(lengths) < 130
        assert min(lengths) < 80
        assert max(lengths) > 150


def test_a_fit_finds_the_numbers_it_was_made_of() -> None:
    found = fit([1, 2, 3, 4], [3.0, 9.0, 19.0, 33.0], 2)
    assert found["a"] == pytest.approx(1)
    assert found["b"] == pytest.approx(2)
    assert found["r2"] == pytest.approx(1)


def test_a_whole_small_run_writes_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(training, "memory", lambda *_: 10**9)
    monkeypatch.setattr(training, "TURNS", 2)
    monkeypatch.setattr(sys, "argv", ["training", "--output", str(tmp_path)])
    training.main()
    result = json.loads((tmp_path / "training.json").read_text())
    assert [*result["stages"]] == ["1", "2", "3"]
    assert set(result["growth"]) == {"batch", "tokens", "width", "records"}
    for found in result["stages"].values():
        assert [*found] == ["float32", "bfloat16"]
    found = result["stages"]["1"]["float32"]
    assert len(found["times as fast"]["values"]) == 2
    without = found["times as fast, without the encoder"]
    assert without["median"] < found["times as fast"]["median"], "the encoder runs in every step"
    assert (tmp_path / "training.png").stat().st_size > 10_000
    assert "stage 3, bfloat16: samples a CPU second" in capsys.readouterr().out


def test_the_part_for_an_accelerator_runs_at_small_sizes() -> None:
    full = paper_sizes.Full(replace(SMALL, batch=2), row=256, blocks=2, steps=1)
    found = paper_sizes.stage_3(full, checkpointing=True)
    assert 0 < found["utilisation"] < 2
    assert 0.2 < found["filled share of rows"] <= 1
    assert paper_sizes.stage_2(full)["samples per second"] > 0
    assert torch.get_default_device().type == "cpu"


def test_what_runs_on_a_card_runs_here_at_the_smallest_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch._dynamo.config, "disable", True)
    monkeypatch.setattr(gpu, "DRY", replace(gpu.DRY, full=paper_sizes.Full(
        replace(SMALL, batch=2), row=256, blocks=2, steps=1)))  # fmt: skip
    found = gpu.run(gpu.DRY, tmp_path / "dry-run.json", 30)
    assert json.loads((tmp_path / "dry-run.json").read_text()) == found
    assert "no figure of a card" in found["device"]
    sections = {section.__name__: found[section.__name__] for section in gpu.SECTIONS}
    assert not {name: each for name, each in sections.items() if "failed" in each}
    assert sections["directions"]["bfloat16"]["as asked"] == 16


def test_a_section_without_time_is_named_and_one_that_hangs_is_ended() -> None:
    skipped = pytest.raises(TimeoutError, match="skipped: 5 s are left, about 60 are needed")
    with skipped, gpu.no_longer_than(5, 60):
        pass
    with pytest.raises(TimeoutError, match="was over"), gpu.no_longer_than(1, 0):
        time.sleep(20)


def test_a_package_that_is_only_copied_has_its_plugins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "plugins", list)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PYTHONPATH", "before")
    gpu.announce(tmp_path)
    (made,) = distributions(path=[sys.path[-1]])
    found = {point.name: point for point in made.entry_points}
    assert found["lite"].load().__name__ == "nextgpt_lite.world.plugin"
    root = str(Path(gpu.__file__).parents[1])
    assert os.environ["PYTHONPATH"] == os.pathsep.join(["before", root, str(tmp_path)])
