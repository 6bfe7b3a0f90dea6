"""The model on a card that is not there: what trains it, and where commands put it.

`pretended.card` refuses what a card would refuse: operations on tensors of two devices. A line that
forgets `.to(device)` therefore fails here, on any machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nextgpt_lite import NextGPT
from nextgpt_lite.cli import main
from nextgpt_lite.data.sources import open_source
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.model.batch import Batch
from nextgpt_lite.model.config import WEIGHTS
from nextgpt_lite.training.loop import Trainer
from nextgpt_lite.training.refine import fitting, gather
from nextgpt_lite.training.schedule import Schedule
from nextgpt_lite.training.stages import STAGES
from tests.pretended import CARD, card


@pytest.fixture(autouse=True)
def here() -> Iterator[None]:
    with card():
        yield


@pytest.fixture(scope="module")
def model() -> NextGPT:
    with card():
        return NextGPT.from_pretrained("lite")


def test_the_card_is_one_as_far_as_a_program_can_tell() -> None:
    layer = nn.Linear(3, 2).to("cuda")
    made = layer(torch.ones(1, 3, device="cuda")).sum()
    made.backward()
    assert layer.weight.grad is not None
    assert layer.weight.grad.device == made.device == CARD
    assert layer.weight.grad.cpu().tolist() == [[1.0] * 3] * 2
    for wrong in (
        lambda: layer(torch.ones(1, 3)),
        lambda: torch.cat([made[None], torch.ones(1)]),
        lambda: torch.randn(2, device="cuda", generator=torch.Generator()),
        lambda: made.detach().numpy(),
    ):
        with pytest.raises((RuntimeError, TypeError), match=r"two devices|Expected|Use Tensor.cpu"):
            wrong()
    with torch.device("meta"):
        assert nn.Linear(2, 2).weight.is_meta


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_each_stage_learns(model: NextGPT, stage: int, tmp_path: Path) -> None:
    schedule = Schedule.of(STAGES[stage], steps=1, batch_size=3)
    source = open_source(None, STAGES[stage], 0)
    logged = Trainer(model, STAGES[stage], source, tmp_path, schedule).run()
    assert logged[-1]["total"] > 0
    assert model.device == CARD


def test_projections_are_refined(model: NextGPT, tmp_path: Path) -> None:
    states = gather(model, open_source(None, STAGES[3], 1), 6)
    for modality, found in states.items():
        fitting(model, modality, found, tmp_path / modality, steps=1, seed=0).run()
    assert states


def test_a_forgotten_move_is_found(model: NextGPT, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Batch, "to", lambda self, _: self)
    with pytest.raises(RuntimeError, match="two devices, cuda:0 and cpu"):
        gather(model, open_source(None, STAGES[3], 1), 6)


@pytest.mark.parametrize(
    ("command", "where"),
    [
        (["chat", "What is 3 plus 4?", "--output", "{}"], "nextgpt_lite.chat:NextGPT.chat"),
        (["evaluate", "--table", "9"], "nextgpt_lite.evaluation.tables.sheet:run_table"),
        (["evaluate", "--output", "{}", "--quick", "--workers", "1"],
         "nextgpt_lite.world.suite.run:Examiner"),
        (["compare", "--output", "{}", "--prompts", "2"],
         "nextgpt_lite.evaluation.comparison.run:Chat"),
        (["refine", "--init", str(WEIGHTS / "lite" / "nextgpt"), "--output", "{}"],
         "nextgpt_lite.training.refine:gather"),
        (["train", "--stage", "1", "--output", "{}"], "nextgpt_lite.training.run:Trainer"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_commands_bring_the_model_there(
    command: list[str], where: str, device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is stopped where its model begins to work."""
    found: list[NextGPT] = []

    def work(*arguments: Any, **_: Any) -> None:
        found.extend(each for each in arguments if isinstance(each, NextGPT))
        raise ConfigError("here")

    module, _, path = where.partition(":")
    *outer, name = path.split(".")
    monkeypatch.setattr(reduce(getattr, outer, import_module(module)), name, work)
    words = [word.format(tmp_path) for word in command]
    assert main([*words, "--device", device]) == 2
    assert {each.device.type for each in found} == {"cuda" if device == "auto" else "cpu"}
