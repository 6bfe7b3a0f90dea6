"""A checkpoint says where it comes from, and another run is not gone on with."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.indexed import FolderSource
from nextgpt_lite.errors import CheckpointError
from nextgpt_lite.model.config import locate
from nextgpt_lite.training import provenance
from nextgpt_lite.training.checkpoint import RUN_FILE, Checkpoints
from nextgpt_lite.training.engine import CHECKPOINTS
from nextgpt_lite.training.loop import Schedule, Trainer
from nextgpt_lite.training.provenance import base, same_base, same_run
from nextgpt_lite.training.stages import STAGES
from tests.tiny import Made, tiny_model
from tests.training.runs import QUICK, finished, record, trainer


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"seed": 1}, "seed was 0 and is now 1"), ({"learning_rate": 1.0}, "learning_rate was 0.01"),
     ({"batch_size": 2}, "batch was 3 and is now 2")],
)  # fmt: skip
def test_another_run_is_not_gone_on_with(
    changes: dict[str, object], said: str, tmp_path: Path
) -> None:
    finished(tmp_path)
    with pytest.raises(ValueError, match=said):
        trainer(tiny_model(), 3, tmp_path, **changes).run(resume=True)


def test_other_packages_are_said(caplog: pytest.LogCaptureFixture) -> None:
    run = {"schedule": {}, "versions": {"torch": "1.0", "numpy": "2.0"}}
    now = {**run, "versions": {"torch": "2.0", "numpy": "2.0"}}
    said = r"run.json was written with other packages \(torch 1.0 -> 2.0\)"
    with pytest.raises(CheckpointError, match=f"{said}.*--anyway"):
        same_run(now, run, Path("run.json"))
    same_run(now, run, Path("run.json"), anyway=True)
    assert re.search(said, caplog.text)


def test_a_run_goes_on_with_other_packages_on_request_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finished(tmp_path)
    monkeypatch.setattr(provenance, "PACKAGES", ("torch", "not-there"))
    trainer(tiny_model(), 3, tmp_path).run(resume=True)  # nothing is left to compute
    longer = {"steps": 4, "warmup": 1}
    with pytest.raises(CheckpointError, match="other packages"):
        trainer(tiny_model(), 3, tmp_path, **longer).run(resume=True)
    assert trainer(tiny_model(), 3, tmp_path, **longer).run(resume="anyway")[-1]["step"] == 4


def test_media_that_were_replaced_are_not_gone_on_with(tmp_path: Path) -> None:
    data, output = tmp_path / "data", tmp_path / "run"
    (data / "images").mkdir(parents=True)
    pairs = [{"image_name": f"{name}.png", "caption": "a red car"} for name in "ab"]
    (data / "image_pairs.json").write_text(json.dumps(pairs))
    picture = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
    for name in "ab":
        Image.fromarray(picture).save(data / "images" / f"{name}.png", compress_level=0)

    def run(steps: int) -> Trainer:
        source = FolderSource(STAGES[1], data)
        schedule = Schedule.of(STAGES[1], **{**QUICK, "steps": steps})
        return Trainer(tiny_model(), STAGES[1], source, output, schedule)

    run(1).run()
    run(2).run(resume=True)
    picture[150] = 0  # as large as before
    Image.fromarray(picture).save(data / "images" / "a.png", compress_level=0)
    with pytest.raises(CheckpointError, match="other contents of the data's media"):
        run(3).run(resume=True)
    assert run(3).run(resume="anyway")[-1]["step"] == 3
    (data / "images" / "b.png").unlink()  # as whoever is told that it is damaged would
    assert run(4).run(resume=True)[-1]["step"] == 4


def test_other_data_and_another_base_are_not_gone_on_with(tmp_path: Path) -> None:
    finished(tmp_path)
    other = trainer(tiny_model(), 3, tmp_path)
    other.source = Made(lambda index: record(index + 1))
    with pytest.raises(ValueError, match="data was"):
        other.run(resume=True)
    with pytest.raises(ValueError, match=r"base.*fingerprint.*base model 'tiny'"):
        trainer(tiny_model(seed=1), 3, tmp_path).run(resume=True)


def test_a_checkpoint_says_where_it_comes_from(tmp_path: Path) -> None:
    finished(tmp_path)
    newest = next(iter(Checkpoints(tmp_path / CHECKPOINTS)))
    run, config = (json.loads((newest / name).read_text()) for name in (RUN_FILE, "config.json"))
    assert run["base"]["name"] == "tiny" and len(run["base"]["fingerprint"]) == 16
    assert {"revision", "sha256"} <= set(run["base"])
    assert config["config"]["profile"] == "tiny" and config["signal_ids"] and config["new_ids"]
    assert len(run["data"]) == 64 and run["schedule"]["seed"] == 0
    assert run["versions"]["torch"] == torch.__version__
    assert run["commit"] is None or len(run["commit"].removesuffix("-dirty")) == 40


def test_a_base_model_is_known_by_its_files(lite: NextGPT) -> None:
    ours = base(lite)
    assert len(ours["sha256"]) == 64
    same_base(ours, {**ours, "sha256": None}, Path("older"))
    with pytest.raises(ValueError, match=r"s1: field 'base.sha256' is abc.*base model 'lite/llm'"):
        same_base(ours, {**ours, "sha256": "abc"}, Path("s1"))
    assert locate(lite.config.llm).is_dir()
