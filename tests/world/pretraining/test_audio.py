"""The lite audio decoder, trained for two steps, and the shipped one, which is heard right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from nextgpt_lite.decoders import load_decoder
from nextgpt_lite.decoders.audioldm import AudioLDM
from nextgpt_lite.media import Audio
from nextgpt_lite.model.config import WEIGHTS
from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.pretraining import audio as pretraining
from nextgpt_lite.world.pretraining.audio_parts import MEL, log_mel
from nextgpt_lite.world.pretraining.audio_text import SOUNDS, wordings
from nextgpt_lite.world.pretraining.autoencoder import normalise_latents
from nextgpt_lite.world.pretraining.parts import How, begin
from nextgpt_lite.world.scene import Sound
from nextgpt_lite.world.sounds import render_sound
from nextgpt_lite.world.verify import verify

CAPTIONS = ["a dog barks once in a high pitch", "a man says hello four times in a low pitch"]
SHIPPED = WEIGHTS / "lite" / "audio"


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    steps = {"text": 2, "autoencoder": 2, "vocoder": 2, "denoiser": 2}
    budget = pretraining.Budget(steps, sounds=16, batch=8)
    return pretraining.train(tmp_path_factory.mktemp("audio"), budget=budget)


@pytest.fixture(scope="module")
def decoder(folder: Path) -> AudioLDM:
    decoder = load_decoder(folder)
    assert isinstance(decoder, AudioLDM)
    return decoder


def test_folder_is_float16_and_complete(folder: Path) -> None:
    for part in ("unet", "vae", "text_encoder", "vocoder"):
        (weights,) = (folder / part).glob("*.safetensors")
        with safe_open(weights, "pt") as tensors:
            kinds = {tensors.get_tensor(name).dtype for name in tensors.keys()}  # noqa: SIM118
        assert kinds <= {torch.float16, torch.int64}, part
    assert "Apache-2.0" in (folder / "card.md").read_text()


def test_a_finished_run_resumes_to_the_same_weights(folder: Path) -> None:
    before = (folder / "unet" / "diffusion_pytorch_model.safetensors").read_bytes()
    steps = {"text": 2, "autoencoder": 2, "vocoder": 2, "denoiser": 2}
    budget = pretraining.Budget(steps, sounds=16, batch=8)
    pretraining.train(folder.parent, how=How(resume=True), budget=budget)
    assert (folder / "unet" / "diffusion_pytorch_model.safetensors").read_bytes() == before


def test_condition_is_one_unit_vector(decoder: AudioLDM) -> None:
    condition = decoder.encode_text([*CAPTIONS, ""])
    assert condition.shape == (3, 1, 128)
    torch.testing.assert_close(condition.norm(dim=-1), torch.ones(3, 1))


def test_length_rate_and_steps(decoder: AudioLDM) -> None:
    seen: list[tuple[int, int]] = []
    made = decoder.generate(
        decoder.encode_text(CAPTIONS),
        num_inference_steps=3,
        generator=generator(0),
        callback=lambda step, total: seen.append((step, total)),
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    for audio in made:
        assert audio.rate == 16000
        assert audio.samples.shape == (1, 32000)
        assert audio.samples.dtype == np.float32
        assert np.abs(audio.samples).max() <= 1


def test_seed_reproduces_a_sound_alone_or_in_a_batch(decoder: AudioLDM) -> None:
    condition = decoder.encode_text(CAPTIONS)
    both = decoder.generate(
        condition, num_inference_steps=2, generator=[generator(5), generator(6)]
    )
    again, other = (
        decoder.generate(condition[1:], num_inference_steps=2, generator=generator(s))[0]
        for s in (6, 7)
    )
    np.testing.assert_allclose(both[1].samples, again.samples, atol=1e-4)
    assert np.abs(other.samples - again.samples).max() > 1e-3


def test_length_of_a_condition_does_not_matter(decoder: AudioLDM) -> None:
    condition = decoder.encode_text(CAPTIONS[:1])
    one, ten = (
        decoder.generate(scale * condition, num_inference_steps=2, generator=generator(1))[0]
        for scale in (1.0, 10.0)
    )
    np.testing.assert_allclose(one.samples, ten.samples, atol=1e-5)


def test_denoising_loss_reaches_the_condition_only(decoder: AudioLDM) -> None:
    stereo = Audio(np.random.default_rng(0).standard_normal((2, 44100)).astype(np.float32), 44100)
    media = [render_sound(Sound("dog")), stereo]
    condition = decoder.encode_text(CAPTIONS).requires_grad_()
    loss = decoder.denoising_loss(condition, media, generator(0))
    loss.backward()
    assert condition.grad is not None
    assert (condition.grad.norm(dim=-1) > 0).all()
    assert all(p.grad is None for p in decoder.parameters())
    again = decoder.denoising_loss(condition, media, generator(0))
    torch.testing.assert_close(again, loss)


def test_wrong_condition_and_wrong_folder_are_named(decoder: AudioLDM, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="audio decoder takes a condition of shape"):
        decoder.generate(torch.zeros(1, 77, 128))
    with pytest.raises(FileNotFoundError, match="model_index"):
        load_decoder(tmp_path)


def test_mel_frames_lie_where_the_vocoder_puts_their_samples() -> None:
    samples = torch.zeros(1, 128 * 256)
    samples[0, 40 * 256 + 128] = 1  # the middle of frame 40
    mel = log_mel()(samples)  # (1, 128, 64)
    assert mel.shape == (1, 128, 64)
    assert mel.mean(-1).argmax() == 40
    assert (mel[0, :38] == -1).all()  # silence, scaled
    assert MEL["scaled"]


def test_shipped_decoder_is_heard_right() -> None:
    decoder = load_decoder(SHIPPED)
    asked = [SOUNDS[i % len(SOUNDS)] for i in range(40)]
    conditions = decoder.encode_text([caption(sound) for sound in asked])
    made = decoder.generate_each(conditions, range(120, 160), 16, num_inference_steps=10)
    assert sum(verify(*pair).correct for pair in zip(asked, made, strict=True)) >= 32
    true = decoder.reconstruct([render_sound(sound, seed) for seed, sound in enumerate(asked)])
    assert sum(verify(*pair).correct for pair in zip(asked, true, strict=True)) >= 36


def test_folding_statistics_changes_latents_and_no_sound() -> None:
    torch.manual_seed(0)
    vae, mel = begin("audio/vae").eval().requires_grad_(False), torch.randn(4, 1, 128, 64) - 0.5
    before = vae(mel).sample
    normalise_latents(vae, mel)
    latents = vae.encode(mel).latent_dist.mode()
    torch.testing.assert_close(vae(mel).sample, before, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(8), atol=1e-3, rtol=0)
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(8), atol=1e-3, rtol=0)


def test_wordings_put_the_caption_first_and_nothing_last() -> None:
    ids = wordings(0)
    assert ids.shape == (len(SOUNDS) + 1, 64, 24)
    assert (ids[-1, :, 0] == 1).all() and (ids[-1, :, 1] == 2).all()  # begins and ends at once
    assert (ids != 3).all()  # no unknown word
