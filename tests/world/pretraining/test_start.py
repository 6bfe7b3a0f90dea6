"""`pretrain --start`: every part goes on from the shipped weights, and no step of it is large."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nextgpt_lite.cli import main
from nextgpt_lite.model.config import WEIGHTS

LEARNS = {"encoder": ".", "llm": ".", "image": "unet", "audio": "unet", "video": "unet"}
KEPT = {"image": ("text_encoder",), "audio": ("vae", "text_encoder"),
        "video": ("text_encoder",)}  # fmt: skip


def make_small(part: str, patch: pytest.MonkeyPatch) -> None:
    """Few scenes, no scores: a step of the part in seconds."""
    module: Any = import_module(f"nextgpt_lite.world.pretraining.{part}")
    if part in ("image", "video"):
        patch.setattr(module, "FIRST_POOL", 16)
        patch.setattr(module, "TUNING", 2, raising=part == "image")
    elif part == "audio":
        budget = module.Budget({"vocoder": 1, "denoiser": 1}, sounds=16, batch=8)
        patch.setattr(module, "default_budget", lambda _: budget)
    else:
        patch.setattr(module, "scores", lambda *_: {})
    if part == "encoder":
        gather: Any = import_module("nextgpt_lite.world.pretraining.encoder_gather")
        patch.setattr(gather, "FIRST_POOL", 32)
        patch.setattr(gather, "POOL", 64)
        patch.setattr(gather, "BATCH", 8)


def weights(folder: Path, half: str = "") -> torch.Tensor:
    """All weights of the folder (of names with `half`) in a row, but for the infinite of masks."""
    (path,) = folder.glob("*.safetensors")
    state = load_file(path)
    every = torch.cat([state[name].float().flatten() for name in sorted(state) if half in name])
    return every[every.isfinite()]


@pytest.mark.parametrize("part", LEARNS)
def test_a_run_goes_on_from_the_shipped_weights(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_small(part, monkeypatch)
    arguments = ["--part", part, "--start", "shipped", "--steps", "1", "--output", str(tmp_path)]
    assert main(["pretrain", *arguments]) == 0
    ours, shipped = tmp_path / "export", WEIGHTS / "lite" / part
    before, after = weights(shipped / LEARNS[part]), weights(ours / LEARNS[part])
    assert not torch.equal(before, after)
    assert (after - before).norm() < 0.05 * before.norm()
    for name in KEPT.get(part, ()):
        assert torch.equal(weights(shipped / name), weights(ours / name)), name
    if part == "image":  # what its latents mean is kept; how they are painted may change
        before, after = (weights(folder / "vae", "encoder") for folder in (shipped, ours))
        assert torch.equal(before, after)


def test_a_start_that_is_not_there_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--part", "llm", "--start", str(tmp_path / "none"), "--output", str(tmp_path)]
    assert main(["pretrain", *arguments]) == 2
    assert capsys.readouterr().err.endswith("give 'shipped' or what a run has exported.\n")
