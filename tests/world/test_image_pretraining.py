"""What a later training of the picture decoder must leave alone: captions, latents."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from random import Random

import pytest
import torch

from nextgpt_lite.model.config import locate
from nextgpt_lite.world.pretraining import autoencoder, image, text, video
from nextgpt_lite.world.pretraining.denoiser import caption_ids
from nextgpt_lite.world.pretraining.image import load_denoiser
from nextgpt_lite.world.pretraining.tokenizers import caption_tokenizer
from nextgpt_lite.world.scene import MOTIONS, Picture, is_held_out


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
    wide = text.widen(encoder, tmp_path, steps=100, batch_size=24)
    wide_left, wide_right = conditions(wide, *pair)
    assert (wide_left - wide_right).norm() > 1.05 * (left - right).norm()
    alone = "a small green bell on the table"
    moved = conditions(wide, alone) - conditions(before, alone)
    assert moved.norm() < 0.2 * (left - right).norm()


def test_tuning_the_decoding_half_leaves_latents_as_they_are(tmp_path: Path):
    torch.manual_seed(0)
    vae = autoencoder.new_autoencoder()
    before = copy.deepcopy(vae)
    denoiser = load_denoiser(locate("lite/image"))
    tuned = autoencoder.tune_decoding(vae, denoiser, tmp_path, steps=20, batch_size=4)
    for name, value in before.state_dict().items():
        kept = torch.equal(value, tuned.state_dict()[name])
        assert kept == name.startswith(("encoder", "quant_conv")), name
    pixels = autoencoder._batch(Random(1), 4, crops=False)["pixels"]
    with torch.no_grad():
        latents = before.encode(pixels).latent_dist.mode()
        errors = [(m.decode(latents).sample - pixels).square().mean() for m in (before, tuned)]
    assert errors[1] < 0.9 * errors[0]


def test_slips_are_small_and_half_of_them_are_the_denoisers_guesses():
    vae, denoiser = load_vae(), load_denoiser(locate("lite/image"))
    batch = autoencoder._batch(Random(2), 16, crops=False)
    ids = caption_ids(batch["scenes"], Random(0))
    with torch.no_grad():
        latents = vae.encode(batch["pixels"]).latent_dist.mode()
        slipped = autoencoder._slip(latents, ids, denoiser, torch.Generator().manual_seed(0))
    noisy, guessed = (slipped - latents).square().mean((1, 2, 3)).sqrt().split(8)
    assert noisy.max() < autoencoder.SLIPS * 1.1
    assert 0.02 < guessed.mean() < 0.5  # wrong, but by less than half of a latent's deviation
    assert not torch.equal(slipped[8:], latents[8:])


def load_vae():
    from diffusers import AutoencoderKL

    return AutoencoderKL.from_pretrained(locate("lite/image") / "vae", dtype=torch.float32)


def test_a_quarter_of_the_clips_moves_left_besides_those_that_do_anyway():
    rng = Random(3)
    clips = [video.draw_scene(rng) for _ in range(600)]
    assert 0.3 < sum(clip.motion == "left" for clip in clips) / 600 < 0.45  # 1/4 + 3/4 of a sixth
    assert {clip.motion for clip in clips} == set(MOTIONS)
    assert not any(is_held_out(clip) for clip in clips)


def sort_of(scene) -> str:
    if not isinstance(scene, Picture):
        return "frame of a clip"
    match len(scene.groups), scene.relation is not None, scene.groups[0].count > 1:
        case 1, _, several:
            return "several alike" if several else "one thing"
        case 2, related, _:
            return "two in a relation" if related else "two kinds"
    return "three kinds"


@pytest.mark.parametrize("sort", image.SCENE_MIX)
def test_what_the_mix_asks_for_is_drawn(sort, monkeypatch):
    rng, found = Random(5), Counter()
    for _ in range(600):
        scene = image.draw_scene(rng)
        assert not is_held_out(scene)
        found[sort_of(scene)] += 1
    assert abs(found[sort] / 600 - image.SCENE_MIX[sort]) < 0.05
    monkeypatch.setattr(image, "SCENE_MIX", {sort: 1.0})
    assert {sort_of(image.draw_scene(rng)) for _ in range(20)} == {sort}
