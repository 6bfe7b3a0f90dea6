"""Preprocessing against the released transforms, and on shapes they do not show."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from nextgpt_lite.encoders import PreprocessConfig
from nextgpt_lite.encoders.preprocess import (
    PIXEL_MEAN,
    PIXEL_STD,
    clip_starts,
    preprocess_audio,
    preprocess_image,
    preprocess_video,
    resample_sinc,
)
from nextgpt_lite.media import Audio, Video
from tests.reference import HERE, made_audio, made_image

HUGE, LITE = PreprocessConfig(), PreprocessConfig.lite()


@pytest.fixture(scope="module")
def released() -> dict[str, torch.Tensor]:
    return load_file(HERE / "imagebind_preprocess" / "preprocess.safetensors")


@pytest.mark.parametrize(("name", "size"), [("wide", (640, 200)), ("tall", (301, 517))])
def test_images_equal_the_released_transform(released, name, size):
    out = preprocess_image(Image.fromarray(made_image(*size)), HUGE)  # (3, 224, 224)
    expected = released[f"image.{name}"]
    torch.testing.assert_close(out[:, ::3, ::3], expected, atol=1e-4, rtol=0)


def test_audio_equals_the_released_transform(released):
    out = preprocess_audio(Audio(made_audio(3.5, 48000), 48000), HUGE)  # (3, 1, 128, 204)
    expected = released["audio.stereo"]
    torch.testing.assert_close(out[..., ::2, ::3], expected, atol=1e-2, rtol=0)


@pytest.mark.parametrize("config", [HUGE, LITE], ids=["huge", "lite"])
@pytest.mark.parametrize("size", [(64, 64), (640, 48), (30, 500), (1, 1), (225, 223)])
def test_any_picture_becomes_a_square(config, size):
    out = preprocess_image(Image.new("RGB", size, "red"), config)
    assert out.shape == (3, config.image_size, config.image_size)
    red = (1 - PIXEL_MEAN[0]) / PIXEL_STD[0]
    torch.testing.assert_close(out[0], torch.full_like(out[0], red), atol=1e-4, rtol=0)


def test_the_middle_of_a_wide_picture_is_taken():
    pixels = np.zeros((64, 192, 3), np.uint8)
    pixels[:, 64:128] = 255
    out = preprocess_image(Image.fromarray(pixels), LITE)
    assert out.min() > 1  # white only


@pytest.mark.parametrize("config", [HUGE, LITE], ids=["huge", "lite"])
@pytest.mark.parametrize("seconds", [0.001, 0.5, 2.0, 7.3])
@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2), (8000, 6)])
def test_any_sound_becomes_filter_banks(config, seconds, rate, channels):
    length = max(1, int(seconds * rate))
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (channels, length)).astype(np.float32)
    out = preprocess_audio(Audio(samples, rate), config)
    assert out.shape == (config.audio_clips, 1, 128, 204)
    assert torch.isfinite(out).all()


def chord(seconds: float = 2.0, rate: int = 16000) -> np.ndarray:
    """(1, L) three tones in faint noise, peak 0.7, as the world's recordings are."""
    time = np.arange(int(seconds * rate)) / rate
    wave = sum(np.sin(2 * np.pi * tone * time) for tone in (300, 1100, 3100)) * (time % 0.5 < 0.25)
    wave += np.random.default_rng(0).normal(size=len(time)) * 0.0015
    return (wave * 0.7 / np.abs(wave).max()).astype(np.float32)[None]


def apart(one: np.ndarray, rate: int = 16000, config=LITE) -> float:
    """Mean distance of what is heard of it from what is heard of `chord`."""
    plain = preprocess_audio(Audio(chord(), 16000), config)
    return float((preprocess_audio(Audio(one, rate), config) - plain).abs().mean())


def test_a_quiet_recording_is_heard_as_a_louder_one_and_a_loud_one_as_ever():
    louder = chord() * np.float32(0.25 / 0.7)
    plain = dataclasses.replace(LITE, least_peak=0.0, noise=0.0)
    for gain in (0.3, 0.1, 0.02, 0.002):
        quiet = preprocess_audio(Audio(chord() * np.float32(gain), 16000), LITE)
        assert torch.allclose(quiet, preprocess_audio(Audio(louder, 16000), LITE), atol=2e-3)
    for config in (plain, HUGE):
        assert apart(chord() * np.float32(0.02), config=config) > 0.5
    ordinary = Audio(chord(), 16000)
    assert torch.equal(preprocess_audio(ordinary, LITE), preprocess_audio(ordinary, plain))


def test_a_recording_without_noise_gets_some():
    """Of 8 bits, or of a telephone's rate: nothing at all is what lite was never trained on."""
    bits = (np.round(chord() * 127) / 127).astype(np.float32)
    telephone = resample_sinc(torch.from_numpy(chord()), 16000, 8000).numpy()
    plain = dataclasses.replace(LITE, noise=0.0)
    for samples, rate in ((bits, 16000), (telephone, 8000)):
        assert apart(samples, rate) < 0.6 * apart(samples, rate, plain)
    silence = preprocess_audio(Audio(np.zeros((1, 32000), np.float32), 16000), LITE)
    assert len(silence.unique()) < 3  # silence stays silent


@pytest.mark.parametrize("config", [HUGE, LITE], ids=["huge", "lite"])
def test_where_the_first_channel_is_silent_the_loudest_is_heard(config):
    nothing, faint = chord() * 0, chord() * np.float32(1e-5)
    for channels in ([nothing, chord()], [nothing, faint, chord()], [faint, chord()]):
        assert apart(np.concatenate(channels), config=config) < 0.02
    both = np.concatenate([chord(), chord()[:, ::-1]])
    assert apart(both, config=config) < 0.02  # as released: the first


def test_a_tone_lands_in_its_mel_bin():
    time = np.arange(32000) / 16000
    out = preprocess_audio(
        Audio(np.sin(2 * np.pi * 1000 * time)[None].astype(np.float32), 16000), LITE
    )
    low, high, tone = (1127 * np.log(1 + f / 700) for f in (20, 8000, 1000))
    expected = (tone - low) / (high - low) * 129 - 1
    assert abs(int(out[0, 0, :, 100].argmax()) - expected) <= 1


def test_resampling_keeps_a_tone_and_drops_what_does_not_fit():
    time = torch.arange(48000) / 48000
    kept = resample_sinc(torch.sin(2 * torch.pi * 440 * time)[None], 48000, 16000)
    assert kept.shape == (1, 16000)
    expected = torch.sin(2 * torch.pi * 440 * torch.arange(16000) / 16000)
    assert (kept[0] - expected)[200:-200].abs().max() < 2e-3
    gone = resample_sinc(torch.sin(2 * torch.pi * 12000 * time)[None], 48000, 16000)
    assert gone[0, 200:-200].abs().max() < 5e-3


def clip(frames: int, height: int, width: int, fps: float) -> Video:
    """Frame number t is grey of value t."""
    levels = np.arange(frames, dtype=np.uint8)[:, None, None, None]
    return Video(np.broadcast_to(levels, (frames, height, width, 3)).copy(), fps)


@pytest.mark.parametrize("shape", [(8, 64, 64, 4.0), (1, 30, 50, 1.0), (120, 90, 50, 12.5)])
def test_any_clip_has_its_shape(shape):
    video = clip(*shape)
    assert preprocess_video(video, HUGE).shape == (15, 3, 2, 224, 224)
    assert preprocess_video(video, LITE).shape == (1, 3, 2, 64, 64)


def test_lite_sees_the_first_and_last_frame_of_two_seconds():
    def levels(video: Video) -> list[int]:
        pixels = preprocess_video(video, LITE)[0, 0, :, 0, 0] * PIXEL_STD[0] + PIXEL_MEAN[0]
        return (pixels * 255).round().int().tolist()

    assert levels(clip(8, 64, 64, 4.0)) == [0, 7]
    assert levels(clip(100, 64, 64, 10.0)) == [0, 19]


def test_crops_run_along_the_longer_side():
    frames = np.zeros((4, 64, 192, 3), np.uint8)
    frames[:, :, 64:128], frames[:, :, 128:] = 100, 200
    config = PreprocessConfig(image_size=64, clips=2, crops=3)
    out = preprocess_video(Video(frames, 2.0), config)  # (P, 3, T, H, W)
    pixels = (out[:, 0, 0, 32, 32] * PIXEL_STD[0] + PIXEL_MEAN[0]) * 255
    assert pixels.round().int().tolist() == [0, 100, 200] * 2


def test_clips_are_spread_evenly():
    assert clip_starts(10.0, 3, 2.0) == pytest.approx([0, 8 / 3, 16 / 3])
    assert clip_starts(1.0, 3, 2.0) == [0, 0, 0]


def test_all_official_samples_load_and_preprocess(official_samples):
    from nextgpt_lite.model.modality import MODALITIES

    kinds = {".jpg": "image", ".wav": "audio", ".mp4": "video"}
    process = {"image": preprocess_image, "audio": preprocess_audio, "video": preprocess_video}
    files = [f for f in sorted(official_samples.rglob("*.*")) if f.suffix in kinds]
    assert len(files) == 18
    for path in files:
        modality = kinds[path.suffix]
        out = process[modality](MODALITIES[modality].load(path), LITE)
        assert torch.isfinite(out).all(), path
        assert out.std() > 0.05, path
