"""The options of a stage's run change speed and memory, not what is learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.training.loop import Schedule, Trainer
from nextgpt_lite.training.stages import (
    STAGES,
)
from tests.tiny import Made, tiny_model
from tests.training.runs import QUICK, losses, run, talkative, trainer


@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize(
    "changes", [{"accumulate": 3}, {"checkpointing": True}, {"packed": False}, {"row": 400}]
)
def test_what_saves_time_or_memory_changes_no_loss(
    stage: int, changes: dict[str, Any], tmp_path: Path
) -> None:
    plain, other = run(tmp_path / "plain", stage), run(tmp_path / "other", stage, **changes)
    torch.testing.assert_close(losses(other), losses(plain), atol=1e-4, rtol=1e-4)
    for mine, theirs in zip(other, plain, strict=True):  # AdamW would hide another scale
        assert mine["gradient"] == pytest.approx(theirs["gradient"], rel=1e-3)


def test_rows_are_shared_where_that_is_asked_for() -> None:
    shapes = {}
    for name, changes in {"shared": {}, "own": {"packed": False}, "long": {"row": 999}}.items():
        schedule = Schedule.of(STAGES[3], **{**QUICK, "batch_size": 4, **changes})
        trainer = Trainer(tiny_model(), STAGES[3], Made(talkative), Path("unused"), schedule)
        shapes[name] = trainer.batch(0)[0].ids.shape
    assert shapes["own"][0] == 4
    assert shapes["long"] == (1, 999)
    assert shapes["shared"] == (2, shapes["own"][1])


def test_bfloat16_stays_near_and_leaves_weights_in_float32(tmp_path: Path) -> None:
    plain = losses(run(tmp_path / "plain"))
    half = losses(run(tmp_path / "half", mixed_precision="bf16"))
    assert not torch.equal(plain, half), "autocast was on"
    torch.testing.assert_close(half, plain, atol=0.05, rtol=0.05)
    saved = load_file(tmp_path / "half" / "projections.safetensors")
    assert {value.dtype for value in saved.values()} == {torch.float32}


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_a_loss_that_is_not_finite_stops_with_the_records_of_its_part(
    bad: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = NextGPT.loss
    seen = []

    def loss(self: NextGPT, *given: Any) -> Any:
        seen.append(1)
        parts = original(self, *given)
        return parts._replace(total=parts.total * bad) if len(seen) == 4 else parts

    monkeypatch.setattr(NextGPT, "loss", loss)
    with pytest.raises(
        FloatingPointError, match="step 1 is not finite in precision 'no'; its records are 5, 7: "
    ):
        run(tmp_path, accumulate=2)


def test_a_nan_stops_with_the_records_ids(tmp_path: Path) -> None:
    model = tiny_model()
    with torch.no_grad():
        model.input_projection.linear.weight[0, 0] = float("nan")
    with pytest.raises(FloatingPointError, match="records are 0, 1, 2"):
        trainer(model, 1, tmp_path).run()
