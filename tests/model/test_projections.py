"""The projections: sizes of the paper, values of the released implementation."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from nextgpt_lite.model.config import (
    PROJECTION_KINDS,
    NextGPTConfig,
    OutputProjectionConfig,
)
from nextgpt_lite.model.projections import InputProjection, OutputProjection, output_projection
from tests.reference import HERE

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
    projection = output_projection(12, 3, 6, 10, config)
    hidden = torch.randn(2, 3, 12, requires_grad=True)
    condition = projection(hidden, torch.randn(2, 3, 12))
    assert condition.shape == (2, 6, 10)
    condition[0].pow(2).sum().backward()
    assert (hidden.grad[0].abs().sum(-1) > 0).all(), "each token has a part in the condition"
    assert not hidden.grad[1].any(), "another block has none"
    assert all(p.grad is not None and p.grad.any() for p in projection.parameters())
    assert projection(hidden[:0], hidden[:0]).shape == (0, 6, 10), "a batch may hold no block"
