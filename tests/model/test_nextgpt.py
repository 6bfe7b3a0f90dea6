"""Settings of the whole model: each is kept by a checkpoint, and changes what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.records import Record
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.model.config import (
    PROJECTION_KINDS,
    NextGPTConfig,
)
from nextgpt_lite.training.loop import Trainer
from nextgpt_lite.training.schedule import Schedule
from nextgpt_lite.training.stages import STAGES
from nextgpt_lite.turn import drafts
from nextgpt_lite.world.rendered import Rendered
from tests.model.test_conversation import messages
from tests.tiny import Made, tiny_model
from tests.training.runs import QUICK, SCENES, record

TINY_PROJECTION = {"hidden": 16, "layers": 1, "heads": 2, "feed_forward": 32, "dropout": 0.0}


DIALS: list[dict[str, Any]] = [
    {"signal_tokens": {"image": 1, "audio": 4, "video": 16}},
    {"distance": "cosine"},
    {"distance": "norm-matched"},
    {"denoising": 0.5},
    {"denoising": 0.5, "distance_weight": 0.0},
    {"distance_weight": 0.5},
    {"hidden_layer": 1},
    {"lora": {"rank": 3, "alpha": 4, "dropout": 0.0}},
    *(
        {"output_projection": {**TINY_PROJECTION, "kind": kind}}
        for kind in PROJECTION_KINDS
        if kind != "encoder"
    ),
    {
        "output_projection": {**TINY_PROJECTION, "kind": "encoder"},
        "signal_tokens": {"image": 6, "audio": 1, "video": 6},
    },
    *(
        {"messenger": "caption-states", "output_projection": {**TINY_PROJECTION, "kind": kind}}
        for kind in ("transformer", "resampler", "qformer")
    ),
]


def with_media(index: int) -> Record:
    """Conversations whose replies hold scenes, as the denoising loss needs them."""
    made = record(index)
    for part in made.messages[1]["content"]:
        if part["type"] != "text":
            part["source"] = Rendered(SCENES[part["type"]])
    return made


def losses_of(model: NextGPT) -> tuple[float, torch.Tensor]:
    """The loss of one batch and the condition of one signal block."""
    schedule = Schedule.of(STAGES[3], **QUICK)
    run = Trainer(model, STAGES[3], Made(with_media), Path("unused"), schedule)
    batch = run.batch(0)[0]
    torch.manual_seed(0)  # the denoising loss draws its noise
    model.eval()
    with torch.no_grad():
        reply = model.chat("Draw", output_modalities=["image"], num_inference_steps=1)
        return float(model.loss(batch).total), reply.made[0].condition


@pytest.mark.parametrize("changes", DIALS, ids=str)
def test_a_setting_survives_the_checkpoint(changes: dict[str, Any], tmp_path: Path) -> None:
    model = tiny_model(**changes)
    for name, parameter in model.named_parameters():
        if "lora_" in name or name.startswith("output_") or "trainable_tokens" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(tmp_path)
    assert NextGPTConfig.from_dict(model.config.to_dict()) == model.config
    again = tiny_model(**changes)
    again.load_trained(tmp_path)
    loss, condition = losses_of(model)
    loaded, its_condition = losses_of(again)
    assert loss == loaded
    assert torch.equal(condition, its_condition)


@pytest.mark.parametrize("changes", DIALS[1:7], ids=str)
def test_a_setting_changes_the_loss(changes: dict[str, Any]) -> None:
    assert losses_of(tiny_model())[0] != losses_of(tiny_model(**changes))[0]


def test_a_condition_of_nothing_is_learned_and_led_away_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The projection is asked for the empty caption's condition, and guidance has its answer."""
    model = tiny_model(condition_dropout=1.0)
    model.output_projections.train()
    shape = model.config.conditions["image"]
    hidden = torch.randn(2, len(model.llm.signal_ids["image"]), model.llm.width)
    nothing = model.decoder("image").negative(2)
    loss = [
        model.condition_loss("image", states, hidden, conditions)
        for states, conditions in ((hidden, torch.randn(2, *shape)), (0 * hidden, nothing))
    ]
    assert torch.equal(*loss), "neither its states nor its caption count for a block left out"
    told: list[dict[str, Any]] = []
    decoder = type(model.decoder("image"))
    monkeypatch.setattr(
        decoder, "generate", lambda _, condition, **given: told.append(given) or [None]
    )
    model.chat("Draw", output_modalities=["image"])
    assert torch.equal(told[0]["negative_prompt"], model.unconditional("image"))
    model.chat("Draw", output_modalities=["image"], negative_prompt="rain")
    assert told[1]["negative_prompt"] == "rain"
    tiny_model().chat("Draw", output_modalities=["image"])
    assert "negative_prompt" not in told[2]


@pytest.mark.parametrize("kind", ["transformer", "resampler", "qformer"])
def test_captions_of_several_lengths_are_projected_as_each_alone(kind: str) -> None:
    """What fills up a shorter caption's states says nothing."""
    model = tiny_model(
        messenger="caption-states", output_projection={**TINY_PROJECTION, "kind": kind}
    )
    states = torch.randn(2, 5, model.llm.width)
    absent = torch.tensor([[False] * 5, [False, False, True, True, True]])
    together = model.project("image", states, states, absent)
    alone = model.project("image", states[1:, :2], states[1:, :2])
    torch.testing.assert_close(together[1:], alone)


def test_training_projects_the_states_that_a_reply_would(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A caption told in a reply has the condition that the loss sees for it."""
    model = tiny_model(messenger="caption-states")
    run = Trainer(model, STAGES[3], Made(record), Path("unused"), Schedule.of(STAGES[3], **QUICK))
    batch = run.feed._collated([run.feed.usable(0)])
    model.eval()
    seen: list[torch.Tensor] = []
    project = model.project
    monkeypatch.setattr(model, "project", lambda *a: (seen.append(project(*a)), seen[-1])[1])
    with torch.no_grad():
        model.loss(batch)
    trained = {tuple(found.shape[1:]): found[0] for found in seen}
    (told,) = drafts(model, [record(0).messages])
    assert len(told.made) == len(trained) == 2
    for made in told.made:
        torch.testing.assert_close(made.condition, trained[tuple(made.condition.shape)])


def test_states_of_captions_need_a_projection_of_any_length() -> None:
    with pytest.raises(ConfigError, match="captions differ in length"):
        tiny_model(messenger="caption-states", output_projection={"kind": "linear"})
    with pytest.raises(ConfigError, match="needs the messenger 'signal'"):
        tiny_model(messenger="caption-states", condition_dropout=0.1)


def test_two_weights_of_zero_are_refused() -> None:
    with pytest.raises(ConfigError, match="'distance_weight' and 'denoising' are both 0"):
        tiny_model(distance_weight=0.0)


def test_denoising_without_a_medium_is_refused() -> None:
    model = tiny_model(denoising=1.0)
    run = Trainer(model, STAGES[3], Made(record), Path("unused"), Schedule.of(STAGES[3], **QUICK))
    with pytest.raises(ValueError, match="needs the medium of every signal block"):
        run.batch(0)


def test_captions_as_messenger_are_trained_and_read_back(tmp_path: Path) -> None:
    model = tiny_model(messenger="caption")
    before = model.llm.embed(torch.tensor([model.llm.new_ids])).detach().clone()

    def record(index: int) -> Record:
        return Record(str(index), messages(), "caption")

    plan = STAGES[2]
    numbers = Schedule.of(plan, steps=6, batch_size=2, learning_rate=1e-2, warmup=1, log_every=1)
    trainer = Trainer(model, plan, Made(record), tmp_path, numbers)
    lines = trainer.run()
    assert trainer.stage.learns == ("token_rows",)
    assert lines[-1]["condition"] == 0 and lines[-1]["signal"] > 0
    assert lines[-1]["total"] < lines[0]["total"]
    other = tiny_model(messenger="caption")
    other.load_trained(tmp_path)
    rows = [m.llm.embed(torch.tensor([m.llm.new_ids])) for m in (model, other)]
    torch.testing.assert_close(*rows)
    assert not torch.allclose(rows[0], before)
    with pytest.raises(ValueError, match="signal_ids"):
        tiny_model().load_trained(tmp_path)
