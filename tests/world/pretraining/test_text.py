"""What a later training of the caption encoder must leave alone."""

from __future__ import annotations

import copy
from pathlib import Path

import torch

from nextgpt_lite.model.config import WEIGHTS
from nextgpt_lite.world.pretraining import text
from nextgpt_lite.world.pretraining.parts import begin
from nextgpt_lite.world.pretraining.tokenizers import caption_tokenizer


def test_widening_moves_relations_apart_and_little_else(tmp_path: Path):
    encoder = begin("image/text_encoder", WEIGHTS / "lite" / "image")
    tokenizer = caption_tokenizer(text.LENGTH)

    def conditions(model, *captions: str) -> torch.Tensor:
        ids = tokenizer(list(captions), padding="max_length", return_tensors="pt").input_ids
        with torch.no_grad():
            return model(ids).last_hidden_state

    pair = ("a large red dog left of a small blue car", "a large red dog right of a small blue car")
    left, right = conditions(encoder, *pair)
    before = copy.deepcopy(encoder)
    wide = text.widen(encoder, tmp_path, steps=100, batch_size=24)
    wide_left, wide_right = conditions(wide, *pair)
    assert (wide_left - wide_right).norm() > 1.05 * (left - right).norm()
    alone = "a small green bell on the table"
    moved = conditions(wide, alone) - conditions(before, alone)
    assert moved.norm() < 0.2 * (left - right).norm()
