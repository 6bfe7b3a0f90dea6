"""A stage from the shell or a call; each stage hands on what was learned."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nextgpt_lite.cli import main
from nextgpt_lite.training import run as training_run
from nextgpt_lite.training.samples_page import PAGE, SamplesPage
from nextgpt_lite.training.stages import (
    STAGES,
    part_of,
)
from tests.tiny import Made, tiny_model
from tests.training.runs import record, trainer


def test_the_command_reaches_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`train` from the shell: options become numbers of the schedule, replies a page."""
    monkeypatch.setenv("NEXTGPT_LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(training_run.NextGPT, "from_config", lambda *_, **__: tiny_model())
    monkeypatch.setattr(training_run, "open_source", lambda *_: Made(record))
    asked = []
    original = SamplesPage.__call__
    monkeypatch.setattr(SamplesPage, "__call__", lambda s, line: asked.append(original(s, line)))
    flags = ["--steps", "2", "--batch-size", "4", "--accumulate", "2", "--precision", "bf16",
             "--checkpointing", "--samples-every", "1"]  # fmt: skip
    output = tmp_path / "run"
    assert main(["train", "--stage", "1", "--output", str(output), *flags]) == 0
    schedule = json.loads((output / "run.json").read_text())["schedule"]
    assert (schedule["batch_size"], schedule["accumulate"]) == (4, 2)
    assert (schedule["mixed_precision"], schedule["checkpointing"]) == ("bf16", True)
    assert asked == [None]
    told = (output / PAGE).read_text()
    assert told.count("[image] Draw 2 apples") == 1 < told.count("<td>")
    assert list((tmp_path / "cache").glob("encoder-*/*.safetensors"))


def test_each_stage_hands_on_all_that_was_learned(tmp_path: Path) -> None:
    """1 -> 2 -> 3: what a stage does not train leaves it as it came."""
    before: dict[str, torch.Tensor] = {}
    for number, stage in STAGES.items():
        model = tiny_model()
        if number > 1:
            model.load_trained(tmp_path / str(number - 1))
            for name, value in model.named_parameters():
                assert torch.equal(value, before[name]), f"stage {number} got another {name}"
        trainer(model, number, tmp_path / str(number)).run()
        moved = {n for n, v in model.named_parameters() if n in before and (v != before[n]).any()}
        assert {part_of(name) for name in moved} <= set(stage.learns)
        before = {name: value.detach().clone() for name, value in model.named_parameters()}


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_real_pictures_sounds_and_clips_flow_through_training(
    stage: int, official_samples: Path, tmp_path: Path
) -> None:
    """The shipped lite parts, a few steps of each stage on the authors' own samples."""
    trainer = training_run.train(
        stage, tmp_path / "run", data=official_samples, steps=3, batch_size=6, warmup=1, log_every=1
    )
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    asked = "condition" if stage == 2 else "text"
    assert all(np.isfinite(line["total"]) and line[asked] > 0 for line in lines)
    drawn = [trainer.source(i) for i in range(18)]
    seen = {p["type"] for r in drawn for m in r.messages for p in m["content"]} - {"text"}
    assert seen == {"image", "audio", "video"}
