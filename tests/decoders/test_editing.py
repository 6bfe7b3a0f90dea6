"""Editing from the input's latents: diffusers' own results, every public layout, masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.checkpoints.stand_ins import write_stand_ins
from nextgpt_lite.decoders import load_decoder
from nextgpt_lite.decoders.audio import RAMP_SECONDS
from nextgpt_lite.decoders.base import Decoder
from nextgpt_lite.media import Audio, Video
from nextgpt_lite.model.config import CHECKPOINTS, DECODER_SETTINGS, STABLE_DIFFUSION, locate
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import Group, Picture
from nextgpt_lite.world.verify import read_picture, verify

WAN = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
PUBLIC = {
    STABLE_DIFFUSION: "image",
    "stabilityai/sd-turbo": "image",
    "cvssp/audioldm-s-full-v2": "audio",
    "cerspense/zeroscope_v2_576w": "video",
    "ByteDance/AnimateDiff-Lightning": "video",
    "stabilityai/stable-diffusion-xl-base-1.0": "image",
    "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS": "image",
    WAN: "video",
    "stabilityai/stable-audio-open-1.0": "audio",
}
STEPS = 2


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stand_ins(tmp_path_factory.mktemp("editing"), PUBLIC)


@pytest.fixture(autouse=True)
def _found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHECKPOINTS, str(root))


def public(name: str) -> Decoder:
    settings = {**DECODER_SETTINGS.get(name, {}), "frames": 5 if name == WAN else 2}
    settings.pop("width", None), settings.pop("height", None)
    settings.pop("audio_length_in_s", None)
    return load_decoder(locate(name), settings)


def medium(modality: str, seconds: float = 0.75) -> Image.Image | Audio | Video:
    rng = np.random.default_rng(0)
    if modality == "audio":
        return Audio(rng.normal(0, 0.1, (1, int(16000 * seconds))).astype(np.float32), 16000)
    frames = rng.integers(0, 256, (3, 40, 60, 3), dtype=np.uint8)
    return Video(frames, 6.0) if modality == "video" else Image.fromarray(frames[0])


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_layout_edits(name: str) -> None:
    decoder = public(name)
    rate = getattr(decoder, "rate", 1)
    room = getattr(decoder, "seconds", 0.0)
    given = medium(PUBLIC[name], 0.9 * room)  # shorter than what the decoder makes
    condition = decoder.encode_text(["something else"])
    steps: list[tuple[int, int]] = []
    span = (0.3 * room, 0.6 * room)
    mask = span if isinstance(given, Audio) else np.eye(40, 60) > 0

    def edit(**options: object) -> np.ndarray:
        made = decoder.edit(
            [given],
            condition,
            num_inference_steps=STEPS,
            generator=seeded(),
            callback=lambda step, total: steps.append((step, total)),
            **options,  # type: ignore[arg-type]
        )[0]
        match made:
            case Audio():
                assert made.rate == rate
                assert made.duration == pytest.approx(given.duration, abs=1 / rate)
                return made.samples[-1]
            case Video():
                assert made.duration == given.duration  # type: ignore[union-attr]
                return made.frames
        assert made.size == (60, 40)
        return np.asarray(made)

    first, again, masked = edit(strength=0.5), edit(strength=0.5), edit(strength=0.5, masks=[mask])
    assert np.isfinite(first).all() and np.array_equal(first, again)
    assert steps[-1][0] == steps[-1][1]
    assert not np.array_equal(first, edit(strength=1.0))
    if isinstance(given, Audio):
        times = np.arange(len(masked)) / rate
        kept = (times < span[0] - RAMP_SECONDS) | (times > span[1] + RAMP_SECONDS)
        difference = np.abs(masked - given.mono(rate)[: len(masked)])
        assert difference[kept].max() < 1e-6
        assert difference[(times > span[0]) & (times < span[1])].max() > 1e-4
    elif isinstance(given, Image.Image):
        assert np.array_equal(masked[~mask], np.asarray(given)[~mask])  # type: ignore[operator]
        assert not np.array_equal(masked[mask], np.asarray(given)[mask])
        assert not np.array_equal(masked[mask], first[mask]), "latents outside must be held too"
    else:
        frames = given.frames[np.linspace(0, 2, len(masked)).round().astype(int)]
        assert np.array_equal(masked[:, ~mask], frames[:, ~mask])  # type: ignore[operator]
        assert not np.array_equal(masked[:, mask], frames[:, mask])


@pytest.mark.parametrize("name", [STABLE_DIFFUSION, "stabilityai/sd-turbo"])
def test_pictures_equal_those_of_diffusers(name: str) -> None:
    from diffusers import StableDiffusionImg2ImgPipeline

    decoder = public(name)
    side = decoder.pipeline.unet.config.sample_size * decoder.pipeline.vae_scale_factor
    given = medium("image").resize((side, side))  # type: ignore[union-attr]
    condition = decoder.encode_text(["something else"])
    pipeline = StableDiffusionImg2ImgPipeline(**decoder.pipeline.components)
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        prompt_embeds=condition,
        negative_prompt_embeds=decoder.encode_text([""]),
        image=decoder.latents([given]),  # the mean of the latents, where it would draw one
        strength=0.75,
        num_inference_steps=4,
        guidance_scale=3.0,
        generator=seeded(),
    ).images[0]
    ours = decoder.edit(
        [given],
        condition,
        strength=0.75,
        num_inference_steps=4,
        guidance_scale=3.0,
        generator=seeded(),
    )[0]
    difference = np.abs(np.asarray(ours, np.int16) - np.asarray(theirs, np.int16))
    assert difference.max() <= 1  # of 255: rounding


def test_wrong_wishes_are_named() -> None:
    decoder, given = public(STABLE_DIFFUSION), medium("image")
    condition = decoder.encode_text(["something else"])
    with pytest.raises(ValueError, match="strength is 0"):
        decoder.edit([given], condition, strength=0)
    with pytest.raises(ValueError, match=r"mask has shape \(4, 4\), the medium \(40, 60\)"):
        decoder.edit([given], condition, masks=[np.ones((4, 4))])
    with pytest.raises(ValueError, match="2 media, 1 conditions and 2 masks"):
        decoder.edit([given, given], condition)
    sound = public("cvssp/audioldm-s-full-v2")
    with pytest.raises(ValueError, match=r"mask of audio is \(from, to\) in seconds"):
        sound.edit([medium("audio")], sound.encode_text(["a"]), masks=[3])


def test_the_shipped_model_recolours_and_keeps_the_rest(lite: NextGPT) -> None:
    scene = Picture((Group("apple", "green"),), None, "garden")
    wanted = Picture((Group("apple", "red"),), None, "garden")
    given = render(scene, 3)
    edited = lite.edit(
        "image", given, "a large red apple in the garden", messenger="caption",
        strength=0.7, num_inference_steps=10, seed=0,
    )  # fmt: skip
    assert verify(wanted, edited).attributes["colour"]
    after, before = (read_picture(picture).things[0] for picture in (edited, given))
    assert abs(after.x - before.x) < 4 and abs(after.y - before.y) < 4, "the apple stays in place"
    signals = lite.edit("image", given, "Make it red.", num_inference_steps=4)
    assert signals.size == given.size
    with pytest.raises(ValueError, match="messenger is 'words'"):
        lite.edit("image", given, "Make it red.", messenger="words")
