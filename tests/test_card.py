"""The model on a card that is not there: what it makes and reads, what trains and
scores it, and where commands put it.

`pretended.card` refuses what a card would refuse: operations on tensors of two devices. A line that
forgets `.to(device)` therefore fails here, on any machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from nextgpt_lite import Audio, NextGPT
from nextgpt_lite.cli import main
from nextgpt_lite.data.opening import open_source
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.evaluation.tables.sheet import Setting, run_table
from nextgpt_lite.model.batch import Batch
from nextgpt_lite.model.config import WEIGHTS
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.training.loop import Trainer
from nextgpt_lite.training.refine import fitting, gather
from nextgpt_lite.training.schedule import Schedule
from nextgpt_lite.training.stages import STAGES
from nextgpt_lite.world.suite import run as suite
from tests.pretended import CARD, CardTensor, card

ASKED = {
    "image": "Show me a large red car in the garden.",
    "audio": "Let me hear a dog.",
    "video": "Show me a clip of a green car moving left.",
}


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


def test_media_are_encoded_as_by_a_cpu(model: NextGPT) -> None:
    items = [
        ("image", Image.new("RGB", (80, 60), "red")),
        ("audio", Audio(np.zeros((1, 9000), np.float32), 16000)),
    ]
    found = model.encoder.encode(items)
    assert found.device == CARD
    here = NextGPT.from_pretrained("lite", device="cpu").encoder.encode(items)
    torch.testing.assert_close(found.cpu(), here)


@pytest.mark.parametrize(
    ("modality", "messenger"), [("image", "signals"), ("audio", "caption"), ("video", "signals")]
)
def test_words_and_media_are_made_and_read(model: NextGPT, modality: str, messenger: Any) -> None:
    reply = model.chat(ASKED[modality], output_modalities=[modality], num_inference_steps=1)
    assert [part["type"] for part in reply.media] == [modality]
    assert all(isinstance(p, CardTensor) for p in model.parameters())
    medium = reply.media[0]["data"]
    assert model.chat("What is it?", **{MODALITIES[modality].plural: [medium]}).text
    edited = model.edit(modality, medium, "a blue car", messenger=messenger, num_inference_steps=2)
    assert type(edited) is type(medium)


@pytest.mark.parametrize("table", ["2", "5", "8"])
def test_tables_are_scored(model: NextGPT, table: str) -> None:
    assert run_table(table, model, Setting(2, steps=1)).markdown()


def test_examinations_are_held(
    model: NextGPT, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite.NextGPT, "from_pretrained", lambda *_, **__: model)
    names = ("image decoder", "retrieval", "stage 2", "requests")
    rows = suite.run_suite("lite", tmp_path, 2, 1, names)
    assert {row.part for row in rows} >= {
        "image decoder",
        "encoder",
        "stage 2's task, after stage 3",
    }
    assert all(row.met for row in rows if row.part == "encoder")


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
        (["cache", "build", "--stage", "1", "--cache", "{}"],
         "nextgpt_lite.training.build:Features"),
        (["regimes", "--output", "{}"], "nextgpt_lite.world.regimes:Experiment"),
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
