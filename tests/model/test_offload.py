"""`offload`: what moves when decoders take turns on the device."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import ModelMixin
from torch import nn
from transformers import PreTrainedModel

from nextgpt_lite import NextGPT, train
from nextgpt_lite.decoders.base import Decoder


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> list[tuple[nn.Module, str]]:
    """Which decoder, or part of one, is told to go to which device."""
    told: list[tuple[nn.Module, str]] = []
    move = nn.Module.to

    def spy(module: nn.Module, *args: object, **options: object) -> nn.Module:
        of_decoders = isinstance(module, Decoder | ModelMixin | PreTrainedModel)
        if of_decoders and args and not isinstance(args[0], torch.dtype):
            told.append((module, str(args[0])))
        return move(module, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(nn.Module, "to", spy)
    return told


def test_three_steps_on_captions_move_nothing_that_paints(
    moves: list[tuple[nn.Module, str]], tmp_path: Path
) -> None:
    train(
        2,
        tmp_path / "run",
        steps=3,
        batch_size=4,
        config={"offload": True},
        cache=tmp_path / "cache",
    )
    names = {type(module).__name__ for module, _ in moves}
    assert names
    assert all("Text" in name for name in names), names


def test_what_paints_is_fetched_and_the_others_leave(moves: list[tuple[nn.Module, str]]) -> None:
    model = NextGPT.from_pretrained("lite")
    model.config.offload = True
    decoders = [model.decoder(modality) for modality in ("audio", "image")]
    condition = decoders[1].encode_text(["a large red car"])
    moves.clear()
    decoders[1].generate(condition, num_inference_steps=1)
    going = {id(module): where for module, where in moves}
    for decoder, where in zip(decoders, ("cpu", str(model.device)), strict=True):
        assert going[id(decoder.denoiser)] == where
        assert going[id(decoder.parts["vae"])] == where
