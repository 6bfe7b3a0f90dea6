"""How the lite world sounds: a `Sound` becomes two seconds of samples.

Knows: a voice for each kind (a bite crunches, an engine revs, a dog barks, ...), what a low and a
high voice are, and where in time the events lie. Every voice is made by program: sums of sines,
harmonics under formants (source and filter), and shaped noise.
Leaves to others: reading a sound back (`hear`), the words for it (`describe`), pictures (`render`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from nextgpt_lite.errors import ConfigError
from nextgpt_lite.media import Audio
from nextgpt_lite.world.scene import KINDS, MAX_TIMES, PITCHES, Sound

Samples = NDArray[np.float32]
Curve = NDArray[np.float64]

RATE = 16000
SECONDS = 2.0
PEAK = 0.7
SLOT = 0.48  # seconds between the starts of two events; no event lasts longer than 0.36 s
VARIANTS = 4  # recordings of each voice; one event is one of them
PITCH_FACTOR = {"low": 0.8, "high": 1.45}
_FLOOR = 0.0005  # level of the noise floor, 63 dB below the peak


def render_sound(sound: Sound, seed: int = 0) -> Audio:
    """Renders a sound; the same scene and seed always give the same samples.

    `seed` moves what the scene leaves open: when the events start (by a few hundredths of a
    second), how loud each is, which recording of the voice it is (up to 2 % out of tune).

    Returns:
        Audio with samples (1, 32000) at 16 kHz, peak about 0.7.

    Raises:
        ConfigError: when kind, pitch or times is not of this world.
    """
    if sound.kind not in KINDS:
        raise ConfigError(f"Sound.kind is {sound.kind!r}; use one of {', '.join(KINDS)}.")
    if sound.pitch not in PITCHES:
        raise ConfigError(f"Sound.pitch is {sound.pitch!r}; use one of {', '.join(PITCHES)}.")
    if not 1 <= sound.times <= MAX_TIMES:
        raise ConfigError(f"Sound.times is {sound.times}; use a number from 1 to {MAX_TIMES}.")
    rng = np.random.default_rng(seed)
    samples = rng.standard_normal(int(SECONDS * RATE), dtype=np.float32) * np.float32(_FLOOR)
    start = rng.uniform(0.02, 0.08)
    for index in range(sound.times):
        at = int((start + SLOT * index + rng.uniform(-0.015, 0.015)) * RATE)
        event = voice(sound.kind, sound.pitch, int(rng.integers(VARIANTS)))
        samples[at : at + len(event)] += event * np.float32(rng.uniform(0.75, 1.0))
    samples *= PEAK / np.abs(samples).max()
    return Audio(samples[None], RATE)  # (1, length)


@cache
def voice(kind: str, pitch: str, variant: int) -> Samples:
    """One event of a kind, peak 1, shape (length,); `variant` 0 is exactly in tune."""
    rng = np.random.default_rng((KINDS.index(kind), PITCHES.index(pitch), variant))
    detune = 0.0 if variant == 0 else rng.uniform(-0.02, 0.02)
    wave = _VOICES[kind](PITCH_FACTOR[pitch] * (1 + detune), rng)
    wave = wave * _edges(len(wave))
    event = (wave / np.abs(wave).max()).astype(np.float32)
    event.setflags(write=False)  # shared by every render
    return event


def _time(seconds: float) -> Curve:
    return np.arange(int(seconds * RATE)) / RATE


def _curve(time: Curve, *points: tuple[float, float]) -> Curve:
    """A smooth-enough line through (share of the event, value) points."""
    at, values = zip(*points, strict=True)
    return np.interp(time / time[-1], at, values)


def _edges(length: int) -> Curve:
    """Fades of 3 ms in and 15 ms out, so that no event clicks."""
    ramp_in, ramp_out = int(0.003 * RATE), int(0.015 * RATE)
    window = np.ones(length)
    window[:ramp_in] = np.linspace(0, 1, ramp_in)
    window[-ramp_out:] = np.linspace(1, 0, ramp_out)
    return window


def _noise(rng: np.random.Generator, length: int, centre: float, octaves: float) -> Curve:
    """Noise of peak 1 around `centre` Hz, a bell curve of `octaves` half-width in log frequency."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    octave = np.log2(np.maximum(np.fft.rfftfreq(length, 1 / RATE), 20) / centre)
    shaped = np.fft.irfft(spectrum * np.exp(-0.5 * (octave / octaves) ** 2), length)
    return shaped / np.abs(shaped).max()


def _sines(frequencies: Curve, weights: Curve) -> Curve:
    """Sum of sines: frequencies and weights (partials, length) in Hz and linear."""
    phase = 2 * np.pi * np.cumsum(frequencies, axis=1) / RATE
    audible = frequencies < 0.47 * RATE
    return (np.sin(phase) * weights * audible).sum(axis=0)


def _throat(pitch: Curve, formants: list[tuple[Curve | float, float, float]]) -> Curve:
    """Harmonics of `pitch` (length,) under formants of (centre Hz, half-width Hz, gain)."""
    number = min(70, int(0.47 * RATE / pitch.min()))
    harmonics = np.arange(1, number + 1)[:, None] * pitch  # (partials, length)
    weights = np.zeros_like(harmonics)
    for centre, width, gain in formants:
        weights += gain / (1 + ((harmonics - centre) / width) ** 2)
    return _sines(harmonics, weights)


def _apple(f: float, rng: np.random.Generator) -> Curve:
    """A bite: five short cracks, close together and ever fainter."""
    time = _time(0.28)
    wave = np.zeros_like(time)
    for at, level in zip((0.0, 0.045, 0.085, 0.14, 0.19), (1, 0.6, 0.8, 0.55, 0.4), strict=True):
        since = time - at - rng.uniform(0, 0.008)
        crack = np.where(since >= 0, np.exp(-np.maximum(since, 0) / 0.016), 0)
        wave += level * crack * _noise(rng, len(time), 2600 * f, 0.4)
    return wave


def _car(f: float, rng: np.random.Generator) -> Curve:
    """An engine that revs up: a rough buzz whose pitch climbs."""
    time = _time(0.36)
    pitch = f * _curve(time, (0, 62), (0.25, 70), (0.85, 150), (1, 140))
    buzz = _throat(pitch, [(220 * f, 160 * f, 1.0), (900 * f, 300 * f, 0.35)])
    firing = 1 + 0.5 * np.sin(np.pi * np.cumsum(pitch) / RATE)
    loud = _curve(time, (0, 0.5), (0.15, 0.7), (0.8, 1), (1, 0.7))
    wave = buzz / np.abs(buzz).max() + 0.05 * _noise(rng, len(time), 900 * f, 0.6)
    return wave * firing * loud


def _dog(f: float, rng: np.random.Generator) -> Curve:
    """A bark: sudden, hoarse, falling."""
    time = _time(0.24)
    pitch = f * _curve(time, (0, 300), (0.12, 480), (0.5, 330), (1, 170))
    mouth = f * _curve(time, (0, 600), (0.2, 1000), (1, 450))
    growl = _throat(pitch, [(mouth, 200 * f, 1.0), (1900 * f, 300 * f, 0.35)])
    hoarse = 0.5 * _noise(rng, len(time), 1300 * f, 0.5) * np.exp(-time / 0.06)
    loud = _curve(time, (0, 0.1), (0.08, 1), (0.35, 0.8), (0.7, 0.25), (1, 0.05))
    return (growl / np.abs(growl).max() + hoarse) * loud


def _cat(f: float, rng: np.random.Generator) -> Curve:
    """A meow: the tone rises and falls while the mouth opens and closes (me-a-ow)."""
    time = _time(0.36)
    pitch = f * _curve(time, (0, 430), (0.35, 620), (0.6, 600), (1, 380))
    first = f * _curve(time, (0, 450), (0.4, 1250), (0.7, 1100), (1, 500))
    second = f * _curve(time, (0, 2900), (0.4, 2200), (1, 1100))
    tone = _throat(pitch, [(first, 150 * f, 1.0), (second, 220 * f, 0.8)])
    breath = 0.02 * _noise(rng, len(time), 3000 * f, 0.4)
    loud = _curve(time, (0, 0.3), (0.3, 1), (0.65, 0.9), (1, 0.15))
    return (tone / np.abs(tone).max() + breath) * loud


def _bird(f: float, rng: np.random.Generator) -> Curve:
    """A chirp: two quick whistles, the first up and down, the second down."""
    time = _time(0.26)
    pitch = f * _curve(time, (0, 2300), (0.25, 3900), (0.48, 2500), (0.52, 4300), (1, 2100))
    loud = _curve(
        time, (0, 0.3), (0.2, 1), (0.44, 0.7), (0.5, 0.1), (0.56, 0.9), (0.8, 0.8), (1, 0)
    )
    tone = _sines(np.stack([pitch, 2 * pitch]), np.array([[1.0], [0.06]]))
    return (tone + 0.02 * _noise(rng, len(time), 3000 * f, 0.3)) * loud


def _bell(f: float, rng: np.random.Generator) -> Curve:
    """A struck bell: the inharmonic partials of a church bell, the high ones dying first."""
    time = _time(0.36)
    ratios = np.array([0.5, 1.0, 1.19, 1.5, 2.0, 2.67, 3.01, 4.2])[:, None]
    levels = np.array([0.5, 1.0, 0.7, 0.4, 0.9, 0.45, 0.35, 0.3])[:, None]
    decay = np.exp(-time * (4 + 3.5 * ratios))
    wave = _sines(np.repeat(820 * f * ratios, len(time), axis=1), levels * decay)
    return wave + 0.8 * _noise(rng, len(time), 4200 * f, 0.4) * np.exp(-time / 0.006)


def _drum(f: float, rng: np.random.Generator) -> Curve:
    """A thump: a low tone that drops, a slap of noise at its start."""
    time = _time(0.26)
    pitch = f * (105 + 110 * np.exp(-time / 0.03))
    ratios = np.array([1.0, 1.59, 2.14])[:, None]
    decay = np.exp(-time / np.array([0.085, 0.045, 0.03])[:, None])
    skin = _sines(ratios * pitch, np.array([1.0, 0.35, 0.2])[:, None] * decay)
    return skin + 0.55 * _noise(rng, len(time), 1500 * f, 0.8) * np.exp(-time / 0.012)


def _train(f: float, rng: np.random.Generator) -> Curve:
    """A steam whistle: a steady breathy chord of three tones."""
    time = _time(0.36)
    bend = _curve(time, (0, 0.95), (0.12, 1), (0.88, 1), (1, 0.96))
    chord = 620 * f * np.array([1.0, 1.26, 1.5])[:, None] * bend
    wave = _sines(
        np.concatenate([chord, 2 * chord, 3 * chord]), np.repeat([1.0, 0.3, 0.12], 3)[:, None]
    )
    breath = 0.25 * _noise(rng, len(time), 1900 * f, 0.7)
    loud = _curve(time, (0, 0.2), (0.1, 1), (0.85, 0.9), (1, 0.2))
    return (wave / np.abs(wave).max() + breath) * loud


def _man(f: float, rng: np.random.Generator) -> Curve:
    """A man says "ha-lo": a breath, an open vowel, a dip, a round vowel."""
    time = _time(0.36)
    pitch = f * _curve(time, (0, 112), (0.3, 125), (0.55, 108), (0.75, 118), (1, 92))
    first = f * _curve(time, (0, 720), (0.4, 720), (0.52, 340), (0.62, 430), (1, 400))
    second = f * _curve(time, (0, 1250), (0.4, 1250), (0.52, 1050), (0.62, 780), (1, 740))
    vowels = _throat(
        pitch, [(first, 80 * f, 1.0), (second, 100 * f, 0.6), (2450 * f, 150 * f, 0.15)]
    )
    breath = 0.2 * _noise(rng, len(time), 1600 * f, 0.7) * np.exp(-time / 0.03)
    loud = _curve(
        time, (0, 0.1), (0.12, 0.9), (0.4, 1), (0.5, 0.4), (0.6, 0.9), (0.85, 0.8), (1, 0.1)
    )
    return (vowels / np.abs(vowels).max()) * loud + breath


def _woman(f: float, rng: np.random.Generator) -> Curve:
    """A woman sings "ah": a steady vowel with vibrato."""
    time = _time(0.36)
    pitch = 245 * f * (1 + 0.045 * np.sin(2 * np.pi * 7 * time + rng.uniform(-0.4, 0.4)))
    vowel = _throat(
        pitch, [(850 * f, 120 * f, 1.0), (1300 * f, 140 * f, 0.6), (3000 * f, 250 * f, 0.45)]
    )
    breath = 0.01 * _noise(rng, len(time), 3000 * f, 0.5)
    loud = _curve(time, (0, 0.15), (0.15, 0.85), (0.5, 1), (0.85, 0.85), (1, 0.1))
    return (vowel / np.abs(vowel).max() + breath) * loud


_VOICES: dict[str, Callable[[float, np.random.Generator], Curve]] = {
    "apple": _apple, "car": _car, "dog": _dog, "cat": _cat, "bird": _bird, "bell": _bell,
    "drum": _drum, "train": _train, "man": _man, "woman": _woman,
}  # fmt: skip
