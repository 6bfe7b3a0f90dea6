"""Parts as folders: begun as the shipped ones are, described in words that are data."""

from __future__ import annotations

from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import torch
import yaml
from torch import nn

from nextgpt_lite.model.config import WEIGHTS
from nextgpt_lite.training.part import PartRecipe, PartTrainer
from nextgpt_lite.world.cli import pretrain
from nextgpt_lite.world.pretraining.parts import CARDS, begin, write_card


@pytest.mark.parametrize("name", ["image/vae", "audio/unet", "audio/text_encoder", "video/unet"])
def test_a_part_begins_in_the_shape_of_the_shipped_one(name: str) -> None:
    shipped = begin(name, WEIGHTS / "lite" / name.partition("/")[0])
    torch.manual_seed(0)
    fresh = begin(name)
    shapes = [{k: v.shape for k, v in part.state_dict().items()} for part in (shipped, fresh)]
    assert shapes[0] == shapes[1]
    pairs = zip(shipped.parameters(), fresh.parameters(), strict=True)
    assert any(not torch.equal(*pair) for pair in pairs)
    assert {value.dtype for value in fresh.parameters()} == {torch.float32}
    if "text" not in name:
        assert shipped.config["_name_or_path"] == name, "no path of this machine is exported"


def test_a_card_says_what_was_done(tmp_path: Path) -> None:
    parts = yaml.safe_load(CARDS.read_text())
    assert set(parts) == set(get_args(get_type_hints(pretrain)["part"]))
    run = PartTrainer(
        nn.Linear(3, 2), lambda m, x, _: {"near": m(x).pow(2).mean()}, lambda _: torch.ones(1, 3),
        tmp_path, PartRecipe(steps=2),
    )  # fmt: skip
    run.run()
    for part, told in parts.items():
        write_card(tmp_path, part, {"UNet": run}, "more")
        card = (tmp_path / "card.md").read_text()
        assert card.startswith(f"# {told['title']}\n")
        assert f"--part {part}`" in card
        assert "| UNet | 8 | 2 | 0 |" in card
        assert card.endswith("more\n")
