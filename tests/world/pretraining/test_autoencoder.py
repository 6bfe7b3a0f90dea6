"""The images' autoencoder: normal latents, and a decoding half that learns alone."""

from __future__ import annotations

import copy
from pathlib import Path
from random import Random

import torch

from nextgpt_lite.model.config import WEIGHTS
from nextgpt_lite.world.pretraining import autoencoder
from nextgpt_lite.world.pretraining.denoiser import Denoiser, caption_ids
from nextgpt_lite.world.pretraining.parts import begin

SHIPPED = WEIGHTS / "lite" / "image"


def shipped_denoiser() -> Denoiser:
    return Denoiser(begin("image/unet", SHIPPED), begin("image/text_encoder", SHIPPED))


def test_latents_are_normalised_without_changing_pictures() -> None:
    torch.manual_seed(0)
    vae = begin("image/vae").eval()
    pixels = torch.rand(4, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        before = vae.decode(vae.encode(pixels).latent_dist.mode()).sample
        autoencoder.normalise_latents(vae, pixels)
        latents = vae.encode(pixels).latent_dist.mode()  # (B, c, h, w)
        after = vae.decode(latents).sample
    assert torch.allclose(latents.mean((0, 2, 3)), torch.zeros(16), atol=1e-3)
    assert torch.allclose(latents.std((0, 2, 3)), torch.ones(16), atol=1e-3)
    assert torch.allclose(before, after, atol=1e-3)


def test_tuning_the_decoding_half_leaves_latents_as_they_are(tmp_path: Path):
    torch.manual_seed(0)
    vae = begin("image/vae")
    before = copy.deepcopy(vae)
    denoiser = shipped_denoiser()
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
    vae, denoiser = begin("image/vae", SHIPPED), shipped_denoiser()
    batch = autoencoder._batch(Random(2), 16, crops=False)
    ids = caption_ids(batch["scenes"], Random(0))
    with torch.no_grad():
        latents = vae.encode(batch["pixels"]).latent_dist.mode()
        slipped = autoencoder._slip(latents, ids, denoiser, torch.Generator().manual_seed(0))
    noisy, guessed = (slipped - latents).square().mean((1, 2, 3)).sqrt().split(8)
    assert noisy.max() < autoencoder.SLIPS * 1.1
    assert 0.02 < guessed.mean() < 0.5  # wrong, but by less than half of a latent's deviation
    assert not torch.equal(slipped[8:], latents[8:])
