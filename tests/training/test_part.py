"""A part trained by itself: exact after a stop, with an average, and every tensor learns."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from nextgpt_lite.training import engine
from nextgpt_lite.training.part import AVERAGE_FILE, PartRecipe, PartTrainer
from nextgpt_lite.training.report import METRICS


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.BatchNorm1d(8), nn.Linear(8, 2))


def trainer(output: Path, module: nn.Module | None = None, **changes: object) -> PartTrainer:
    """Matrices inside by Muon, all else by AdamW, noise from the generator, dropout, a buffer."""
    module = module or network()

    def loss(part: nn.Module, batch: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        made = part(batch + 0.1 * torch.randn(batch.shape, generator=generator))
        return {"near": (made - 1).pow(2).mean(), "small": 0.01 * made.abs().mean()}

    def data(generator: torch.Generator) -> Tensor:
        return torch.randn(6, 4, generator=generator)

    recipe = PartRecipe(**{"steps": 6, "warmup": 2, "log_every": 1, **changes})
    return PartTrainer(module, loss, data, output, recipe, muon=[module[0].weight])


def test_a_stopped_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole = trainer(tmp_path / "whole")
    lines = whole.run()
    cut = trainer(tmp_path / "cut")
    draw = cut.data

    def interrupt(generator: torch.Generator) -> Tensor:
        if cut.step == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return draw(generator)

    cut.data = interrupt
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    assert cut.step == 3, "SIGTERM ends the run after the step in hand"
    with pytest.raises(FileExistsError, match="resume"):
        trainer(tmp_path / "cut").run()
    rest = trainer(tmp_path / "cut")
    rest.run(resume=True)
    for name in ("module", "average"):
        ours = getattr(rest, name).state_dict()
        for key, value in getattr(whole, name).state_dict().items():
            assert torch.equal(value, ours[key]), (name, key)
    logged = [json.loads(line) for line in (tmp_path / "cut" / METRICS).open()]
    assert [line["step"] for line in logged] == [1, 2, 3, 4, 5, 6]
    assert [line["near"] for line in logged] == pytest.approx([line["near"] for line in lines])
    kept = load_file(tmp_path / "cut" / AVERAGE_FILE)
    assert all(torch.equal(kept[k], v) for k, v in rest.average.state_dict().items())


def test_another_run_is_not_gone_on_with(tmp_path: Path) -> None:
    trainer(tmp_path, steps=2).run()
    with pytest.raises(ValueError, match=r"ema was 0\.999 and is now 0\.5"):
        trainer(tmp_path, ema=0.5).run(resume=True)
    assert trainer(tmp_path, steps=3).run(resume=True)[-1]["step"] == 3


def test_a_line_holds_the_means_since_the_last_one(tmp_path: Path) -> None:
    each = trainer(tmp_path / "each").run()
    pairs = trainer(tmp_path / "pairs", log_every=2).run()
    assert [line["step"] for line in pairs] == [2, 4, 6]
    for name in ("total", "near", "small", "gradient"):
        means = [(a[name] + b[name]) / 2 for a, b in zip(each[::2], each[1::2], strict=True)]
        assert [line[name] for line in pairs] == pytest.approx(means)
    assert [line["rate"] for line in pairs] == [line["rate"] for line in each[1::2]]


def test_without_ema_the_average_is_the_part(tmp_path: Path) -> None:
    run = trainer(tmp_path, ema=0)
    run.run()
    assert run.average is run.module
    assert not (tmp_path / AVERAGE_FILE).exists()


def test_a_tensor_without_gradient_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "GRADIENT_STEPS", 3)
    loose = network()
    loose.register_parameter("idle", nn.Parameter(torch.zeros(2)))
    with pytest.raises(RuntimeError, match="No loss reached idle in 3 steps"):
        trainer(tmp_path, loose).run()


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path) -> None:
    broken = network()
    with torch.no_grad():
        broken[3].bias.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="step 0 is not finite in bf16: lower the rate"):
        trainer(tmp_path, broken).run()


def test_nothing_to_learn_leaves_the_part_as_it_is(tmp_path: Path) -> None:
    run = trainer(tmp_path, steps=0)
    assert run.run() == []
    assert torch.equal(load_file(tmp_path / AVERAGE_FILE)["0.weight"], network()[0].weight)
