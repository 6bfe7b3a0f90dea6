"""The voices of the world, and the ear that reads them back."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import istft, stft

from nextgpt_lite.media import Audio, resample
from nextgpt_lite.world.hear import read_sound
from nextgpt_lite.world.scene import KINDS, MAX_TIMES, PITCHES, Sound, sample_sound
from nextgpt_lite.world.sounds import RATE, VARIANTS, render_sound, voice
from nextgpt_lite.world.verify import verify

EVERY = [Sound(k, t, p) for k in KINDS for t in range(1, MAX_TIMES + 1) for p in PITCHES]


def drawn(number: int) -> list[tuple[Sound, Audio]]:
    rng = random.Random(7)
    scenes = [sample_sound(rng) for _ in range(number)]
    return [(scene, render_sound(scene, seed)) for seed, scene in enumerate(scenes)]


def heard_right(pairs: list[tuple[Sound, Audio]]) -> float:
    return float(np.mean([verify(scene, audio).correct for scene, audio in pairs]))


def one_off(scene: Sound, field: str, rng: random.Random) -> Sound:
    match field:
        case "kind":
            return replace(scene, kind=rng.choice([kind for kind in KINDS if kind != scene.kind]))
        case "times":
            return replace(scene, times=scene.times + (1 if scene.times == 1 else -1))
        case _:
            return replace(scene, pitch="low" if scene.pitch == "high" else "high")


def audio_of(samples: np.ndarray, rate: int = RATE) -> Audio:
    return Audio(np.atleast_2d(samples).astype(np.float32), rate)


def through_a_vocoder(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Keeps the magnitudes of the spectrogram, a tenth of them smeared; phases by Griffin-Lim."""
    window = {"nperseg": 512, "noverlap": 384}
    magnitude = np.abs(stft(samples, **window)[2])
    neighbours = (np.roll(magnitude, 1, 0) + np.roll(magnitude, -1, 0)) / 2
    magnitude = 0.9 * magnitude + 0.1 * neighbours + 1e-5 * rng.random(magnitude.shape)
    phase = np.exp(2j * np.pi * rng.random(magnitude.shape))
    for _ in range(32):
        guess = stft(istft(magnitude * phase, **window)[1], **window)[2]
        guess = guess[:, : magnitude.shape[1]]
        phase = guess / np.maximum(np.abs(guess), 1e-12)
    return np.asarray(istft(magnitude * phase, **window)[1])


@pytest.mark.parametrize("scene", EVERY[::7], ids=str)
def test_a_render_has_the_promised_form(scene: Sound) -> None:
    audio = render_sound(scene, 3)
    assert (audio.samples.shape, audio.rate) == ((1, 32000), 16000)
    assert audio.samples.dtype == np.float32
    assert np.abs(audio.samples).max() == pytest.approx(0.7, abs=1e-3)


def test_the_seed_alone_decides_what_the_scene_leaves_open() -> None:
    scene = Sound("dog", 3, "high")
    np.testing.assert_array_equal(render_sound(scene, 5).samples, render_sound(scene, 5).samples)
    assert np.abs(render_sound(scene, 5).samples - render_sound(scene, 6).samples).max() > 0.1


def test_a_high_voice_lies_clearly_above_the_low_one() -> None:
    for kind in KINDS:
        centres = []
        for pitch in PITCHES:
            power = np.abs(np.fft.rfft(voice(kind, pitch, 0), RATE)) ** 2
            centres.append((power * np.arange(len(power))).sum() / power.sum())
        assert 1.5 < centres[1] / centres[0] < 2.2, kind


def test_no_event_outlasts_its_slot_and_recordings_differ() -> None:
    for kind in KINDS:
        takes = [voice(kind, "low", variant) for variant in range(VARIANTS)]
        assert all(len(take) <= 0.4 * RATE for take in takes)
        assert all(np.abs(takes[0] - take).max() > 0.01 for take in takes[1:])


@pytest.mark.parametrize(
    ("scene", "field"),
    [(Sound("cow"), "kind"), (Sound("dog", 5), "times"), (Sound("dog", 1, "deep"), "pitch")],
)
def test_a_sound_from_elsewhere_is_refused_by_name(scene: Sound, field: str) -> None:
    with pytest.raises(ValueError, match=rf"Sound\.{field}"):
        render_sound(scene)


def test_a_render_takes_less_than_three_milliseconds() -> None:
    for scene in EVERY:
        render_sound(scene)
    best = min(_seconds_for_all() for _ in range(3))
    assert best / len(EVERY) < 0.003


def _seconds_for_all() -> float:
    start = time.process_time()
    for scene in EVERY:
        render_sound(scene)
    return time.process_time() - start


def test_every_scene_is_read_back() -> None:
    for scene in EVERY:
        heard = read_sound(render_sound(scene, 11))
        assert (heard.kind, heard.times, heard.pitch) == (scene.kind, scene.times, scene.pitch)
        assert all(gap > 0.4 for gap in np.diff(heard.onsets))


def test_the_ear_accepts_true_renders_and_names_the_one_attribute_that_is_off() -> None:
    pairs = drawn(300)
    assert heard_right(pairs) >= 0.99
    rng = random.Random(1)
    for field in ("kind", "times", "pitch"):
        named = []
        for scene, audio in pairs:
            verdict = verify(one_off(scene, field, rng), audio)
            off = [name for name, holds in verdict.attributes.items() if not holds]
            named.append(not verdict.correct and off == [field])
        assert np.mean(named) >= 0.99, field


def test_the_ear_accepts_what_a_vocoder_makes_of_a_render() -> None:
    rng = np.random.default_rng(0)
    pairs = [
        (scene, audio_of(through_a_vocoder(audio.samples[0], rng))) for scene, audio in drawn(60)
    ]
    assert heard_right(pairs) >= 0.95


def test_the_ear_does_not_mind_loudness_noise_rate_channels_or_length() -> None:
    rng = np.random.default_rng(0)
    pairs = drawn(60)
    for gain in (0.3, 1.0):
        assert heard_right([(s, audio_of(gain * a.samples)) for s, a in pairs]) >= 0.98
    hiss = [(s, audio_of(a.samples + 0.01 * rng.standard_normal(32000))) for s, a in pairs]
    assert heard_right(hiss) >= 0.98
    for rate in (22050, 44100):
        stereo = [
            (s, audio_of(np.repeat(resample(a.samples, RATE, rate), 2, axis=0), rate))
            for s, a in pairs
        ]
        assert heard_right(stereo) >= 0.98
    longer = [(s, audio_of(np.pad(a.samples, ((0, 0), (9000, 12345))))) for s, a in pairs]
    assert heard_right(longer) >= 0.98


def test_silence_noise_and_shuffled_samples_are_nothing_of_this_world() -> None:
    rng = np.random.default_rng(0)
    blank = [np.zeros(0), np.zeros(32000), np.full(32000, np.nan), np.eye(1, 9000, 4000)[0]]
    for samples in blank:
        assert read_sound(audio_of(samples)).kind is None
    for _ in range(20):
        hiss = 0.2 * rng.standard_normal(32000)
        burst = np.pad(hiss[: rng.integers(1500, 6000)], 4000)
        tone = 0.5 * np.sin(np.arange(32000) * rng.uniform(0.05, 2))
        for samples in (hiss, burst, tone):
            assert read_sound(audio_of(samples)).kind is None
    for scene, audio in drawn(100):
        shuffled = audio_of(rng.permutation(audio.samples[0]))
        assert not verify(scene, shuffled).correct


def test_one_wrong_event_among_right_ones_is_heard() -> None:
    dogs, cat = render_sound(Sound("dog", 3), 0), render_sound(Sound("cat", 1), 0)
    mixed = dogs.samples.copy()
    second = int(0.48 * RATE)
    mixed[:, second : 2 * second] = cat.samples[:, :second]
    assert verify(Sound("dog", 3), dogs).correct
    verdict = verify(Sound("dog", 3), audio_of(mixed))
    assert not verdict.correct
    assert verdict.found.times == 3
