"""What an ablation varies: each setting is kept by a checkpoint, and changes what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.records import Record
from nextgpt_lite.model.config import (
    DISTANCES,
    PROJECTION_KINDS,
    NextGPTConfig,
    OutputProjectionConfig,
)
from nextgpt_lite.model.losses import condition_distance
from nextgpt_lite.model.projections import output_projection
from nextgpt_lite.training.loop import Trainer
from nextgpt_lite.training.schedule import Schedule
from nextgpt_lite.training.stages import STAGES
from nextgpt_lite.world.rendered import Rendered
from tests.tiny import Made, tiny_model
from tests.training.runs import QUICK, SCENES, record

TINY_PROJECTION = {"hidden": 16, "layers": 1, "heads": 2, "feed_forward": 32, "dropout": 0.0}
DIALS: list[dict[str, Any]] = [
    {"signal_tokens": {"image": 1, "audio": 4, "video": 16}},
    {"distance": "cosine"},
    {"distance": "norm-matched"},
    {"denoising": 0.5},
    {"hidden_layer": 1},
    {"lora": {"rank": 3, "alpha": 4, "dropout": 0.0}},
    *({"output_projection": {**TINY_PROJECTION, "kind": kind}} for kind in PROJECTION_KINDS),
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


@pytest.mark.parametrize("changes", DIALS[1:5], ids=str)
def test_a_setting_changes_the_loss(changes: dict[str, Any]) -> None:
    assert losses_of(tiny_model())[0] != losses_of(tiny_model(**changes))[0]


def test_an_unknown_choice_is_named() -> None:
    for changes, said in (
        ({"distance": "l3"}, "'distance' is 'l3': use one of l2, cosine, norm-matched"),
        ({"output_projection": {"kind": "rnn"}}, "'output_projection.kind' is 'rnn'"),
    ):
        with pytest.raises(ValueError, match=said):
            NextGPTConfig.from_dict(changes)
    with pytest.raises(ValueError, match="'hidden_layer' is 7: this language model has 2 blocks"):
        tiny_model(hidden_layer=7)


@pytest.mark.parametrize("kind", PROJECTION_KINDS)
def test_every_projection_reads_all_signal_tokens(kind: str) -> None:
    torch.manual_seed(0)
    config = OutputProjectionConfig(**TINY_PROJECTION, kind=kind)
    projection = output_projection(12, 3, 6, 10, config)
    hidden = torch.randn(2, 3, 12, requires_grad=True)
    condition = projection(hidden, torch.randn(2, 3, 12))
    assert condition.shape == (2, 6, 10)
    condition[0].pow(2).sum().backward()
    assert (hidden.grad[0].abs().sum(-1) > 0).all(), "each token has a part in the condition"
    assert not hidden.grad[1].any(), "another block has none"
    assert all(p.grad is not None and p.grad.any() for p in projection.parameters())
    assert projection(hidden[:0], hidden[:0]).shape == (0, 6, 10), "a batch may hold no block"


def test_distances_are_what_they_say() -> None:
    target = torch.tensor([[[3.0, 4.0]], [[0.0, 2.0]]])  # (X, L, C), lengths 5 and 2
    doubled, turned = 2 * target, torch.tensor([[[-4.0, 3.0]], [[2.0, 0.0]]])
    expected = {"l2": (1.0, 2.0), "cosine": (0.0, 1.0), "norm-matched": (1.0, 1.0)}
    assert set(expected) == set(DISTANCES)
    for kind, (twice, across) in expected.items():
        assert condition_distance(target, target, kind=kind) == pytest.approx(0.0, abs=1e-6)
        assert condition_distance(doubled, target, kind=kind) == pytest.approx(twice, abs=1e-6)
        assert condition_distance(turned, target, kind=kind) == pytest.approx(across, abs=1e-6)
        shares = [condition_distance(turned[i : i + 1], target[i : i + 1],
                                     target.pow(2).mean(), torch.tensor(2.0), kind)
                  for i in range(2)]  # fmt: skip
        assert sum(shares) == pytest.approx(across, abs=1e-6), "shares of a batch add up"


def test_the_states_of_a_layer_are_those_that_transformers_gives() -> None:
    llm = tiny_model().llm
    embeddings = llm.embed(torch.tensor([[5, 6, 7]]))
    with torch.no_grad():
        every = llm.causal_lm.get_decoder()(inputs_embeds=embeddings, output_hidden_states=True)
        for layer in (0, 1, -2):
            llm = tiny_model(hidden_layer=layer).llm
            with llm.tapped() as tapped:
                llm.hidden(embeddings)
            assert torch.equal(tapped[0], every.hidden_states[layer]), layer
        for layer in (-1, 2):
            with tiny_model(hidden_layer=layer).llm.tapped() as tapped:
                llm.hidden(embeddings)
            assert not tapped


def test_denoising_without_a_medium_is_refused() -> None:
    model = tiny_model(denoising=1.0)
    run = Trainer(model, STAGES[3], Made(record), Path("unused"), Schedule.of(STAGES[3], **QUICK))
    with pytest.raises(ValueError, match="needs the medium of every signal block"):
        run.batch(0)
