"""What a later training of the picture decoder must leave alone: captions, latents."""

from __future__ import annotations

import copy
from pathlib import Path

import torch

from nextgpt_lite.config import locate
from nextgpt_lite.pretraining import autoencoder, text
from nextgpt_lite.pretraining.image import load_denoiser
from nextgpt_lite.pretraining.tokenizers import caption_tokenizer


def test_widening_moves_relations_apart_and_little_else(tmp_path: Path):
    encoder = load_denoiser(locate("lite/image")).text_encoder
    tokenizer = caption_tokenizer(text.LENGTH)

    def conditions(model, *captions: str) -> torch.Tensor:
        ids = tokenizer(list(captions), padding="max_length", return_tensors="pt").input_ids
        with torch.no_grad():
            return model(ids).last_hidden_state

    pair = ("a large red dog left of a small blue car", "a large red dog right of a small blue car")
    left, right = conditions(encoder, *pair)
    before = copy.deepcopy(encoder)
    wide = text.widen(encoder, tmp_path, steps=60, batch_size=24)
    wide_left, wide_right = conditions(wide, *pair)
    assert (wide_left - wide_right).norm() > 1.1 * (left - right).norm()
    alone = "a small green bell on the table"
    moved = conditions(wide, alone) - conditions(before, alone)
    assert moved.norm() < 0.2 * (left - right).norm()


def test_tuning_the_decoding_half_leaves_latents_as_they_are(tmp_path: Path):
    torch.manual_seed(0)
    vae = autoencoder.new_autoencoder()
    before = copy.deepcopy(vae)
    tuned = autoencoder.tune_decoding(vae, tmp_path, steps=20, batch_size=2)
    for name, value in before.state_dict().items():
        kept = torch.equal(value, tuned.state_dict()[name])
        assert kept == name.startswith(("encoder", "quant_conv")), name
    batch = autoencoder._batch(autoencoder.Random(1), 4, crops=False)
    losses = [
        sum(autoencoder._decoding_loss(model, batch, torch.Generator().manual_seed(0)).values())
        for model in (before, tuned)
    ]
    assert losses[1] < 0.9 * losses[0]
