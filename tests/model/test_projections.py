"""The projections: sizes of the paper, values of the released implementation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nextgpt_lite.errors import ConfigError
from nextgpt_lite.model.config import (
    INPUT_PROJECTION_KINDS,
    PROJECTION_KINDS,
    InputProjectionConfig,
    NextGPTConfig,
    OutputProjectionConfig,
)
from nextgpt_lite.model.projections import (
    InputProjection,
    OutputProjection,
    input_projection,
    output_projection,
)
from tests.reference import HERE
from tests.tiny import tiny_model
from tests.training.runs import trainer

TINY_PROJECTION = {"hidden": 16, "layers": 1, "heads": 2, "feed_forward": 32, "dropout": 0.0}

REFERENCE = HERE / "output_projection_small"


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_the_paper_sizes() -> None:
    paper = NextGPTConfig.from_profile("paper")
    with torch.device("meta"):
        assert count(InputProjection(1024, 4096, paper.input_tokens)) == 4_198_400
        sizes = {
            modality: count(OutputProjection(4096, *shape, paper.output_projection)) / 1e6
            for modality, shape in paper.conditions.items()
        }
    assert sizes == pytest.approx({"image": 31.96, "audio": 31.79, "video": 32.09}, abs=0.01)


def test_an_item_spreads_over_its_tokens() -> None:
    projection = InputProjection(4, 3, tokens=2)
    embedding = torch.randn(5, 4)
    expected = projection.linear(embedding).reshape(5, 2, 3)
    assert torch.equal(projection(embedding), expected)


@pytest.mark.parametrize("modality", ["image", "audio", "video"])
def test_output_projection_equals_the_released_one(modality: str) -> None:
    config = json.loads((REFERENCE / "config.json").read_text())
    specs = next(value for key, value in config.items() if key.startswith("specs"))
    _, length, width = specs[modality]
    ours = OutputProjection(
        config["in_dim"],
        length,
        width,
        OutputProjectionConfig(config["hidden"], config["heads"], 4, config["feed_forward"]),
    ).eval()
    state = load_file(REFERENCE / "state_dict.safetensors")
    prefix = f"{modality}."
    ours.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if prefix in k})
    vectors = load_file(REFERENCE / "io.safetensors")
    inputs = (vectors[f"{modality}.{name}"].float() for name in ("hidden", "embedding"))
    with torch.no_grad():
        given = ours(*inputs)
    torch.testing.assert_close(given, vectors[f"{modality}.out"].float(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", PROJECTION_KINDS)
def test_every_projection_reads_all_signal_tokens(kind: str) -> None:
    torch.manual_seed(0)
    config = OutputProjectionConfig(**TINY_PROJECTION, kind=kind)
    signals = 6 if kind == "encoder" else 3
    projection = output_projection(12, signals, 6, 10, config)
    hidden = torch.randn(2, signals, 12, requires_grad=True)
    condition = projection(hidden, torch.randn(2, signals, 12))
    assert condition.shape == (2, 6, 10)
    condition[0].pow(2).sum().backward()
    assert (hidden.grad[0].abs().sum(-1) > 0).all(), "each token has a part in the condition"
    assert not hidden.grad[1].any(), "another block has none"
    assert all(p.grad is not None and p.grad.any() for p in projection.parameters())
    assert projection(hidden[:0], hidden[:0]).shape == (0, 6, 10), "a batch may hold no block"


@pytest.mark.parametrize("kind", INPUT_PROJECTION_KINDS)
def test_every_input_projection_reads_the_whole_item(kind: str) -> None:
    """From a vector to K tokens, each of which every number of it reaches; no item gives none."""
    config = InputProjectionConfig(kind=kind, hidden=16, heads=2, layers=1, feed_forward=32,
                                   dropout=0.0, pieces=6)  # fmt: skip
    torch.manual_seed(0)
    made = input_projection(24, 20, 3, config)
    items = torch.randn(2, 24, requires_grad=True)
    tokens = made(items)
    assert tokens.shape == (2, 3, 20)
    assert made(items[:0]).shape == (0, 3, 20)
    assert torch.allclose(made(items[1:]), tokens[1:], atol=1e-5), "items do not mix"
    for number in range(3):
        (reached,) = torch.autograd.grad(tokens[0, number].square().sum(), items, retain_graph=True)
        assert (reached[0] != 0).all() and not reached[1].any()
    assert not torch.equal(tokens[0, 0], tokens[0, 1])


def test_pieces_must_divide_the_vector() -> None:
    with pytest.raises(ConfigError, match="pieces' is 5: give a divisor"):
        input_projection(24, 20, 3, InputProjectionConfig(kind="perceiver", pieces=5))
    with pytest.raises(ConfigError, match=r"input_projection\.kind"):
        InputProjectionConfig(kind="group")


@pytest.mark.parametrize("kind", ["mlp", "qformer", "perceiver"])
def test_another_input_projection_trains_and_is_found_again(kind: str, tmp_path: Path) -> None:
    """Stage 1 teaches it, in whole and from an empty batch; its folder loads as it was."""
    small = {"kind": kind, "hidden": 16, "heads": 2, "layers": 1, "feed_forward": 32, "pieces": 6}
    model = tiny_model(input_projection=small)
    before = {name: value.clone() for name, value in model.input_projection.named_parameters()}
    trainer(model, 1, tmp_path).run()
    moved = [name for name, value in model.input_projection.named_parameters()
             if not torch.equal(value, before[name])]  # fmt: skip
    assert "query_embs" in moved or kind == "mlp"
    again = tiny_model(input_projection=small)
    again.load_trained(tmp_path)
    for name, value in again.input_projection.named_parameters():
        assert torch.equal(value, model.input_projection.get_parameter(name))
