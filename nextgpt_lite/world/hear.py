"""How a sound is read back: which thing is heard, how many times, in which voice.

Knows: where events begin and end (energy with hysteresis), and how like each voice an event is
(correlation of mel spectrograms). It listens to spectra only, never to phases, so what a vocoder
makes of a mel spectrogram is read as well as the render itself.
Leaves to others: what the voices are (`sounds`), pictures and clips (`verify`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from nextgpt_lite.media import Audio
from nextgpt_lite.world.scene import KINDS, PITCHES
from nextgpt_lite.world.sounds import RATE, VARIANTS, voice

Array = NDArray[np.float32]

LIKE = 0.72  # an event less like every voice than this is none of them
_HOP = 160  # 10 ms, one frame
_SHORT, _LONG = 256, 512  # windows: one to tell when, one to tell which
_BANDS = 64
_RANGE = 30.0  # dB below the loudest band of an event that still count; fainter is noise
_QUIET = 0.004  # a peak below this is silence
_CLOSE, _OPEN = -25.0, 8.0  # dB: an event ends below the loudest frame, begins above its end
_NOISY = 7.0  # dB an event must stand out from the noise between events, where there is some
_DIP = 8.0  # dB between the two halves of what is too long for one event
_BRIDGE = 6  # frames; a shorter pause is inside an event (a crunch has many cracks)
_SHORTEST, _LONGEST = 5, 56  # frames an event may last; two run together are longer
_LEAD, _PATCH, _SHIFT = 3, 40, 4  # frames before the onset, of a template, to slide either way


@dataclass(frozen=True)
class Heard:
    """What was read from a sound.

    Attributes:
        kind: the thing, or None when nothing, or nothing of this world, is heard.
        times: number of events.
        pitch: "low", "high", or None together with `kind`.
        likeness: correlation of the least fitting event with the voice, -1 to 1.
        onsets: start of each event in seconds.
    """

    kind: str | None
    times: int
    pitch: str | None
    likeness: float
    onsets: tuple[float, ...]


def read_sound(audio: Audio) -> Heard:
    """Reads any sound: channels are mixed, the rate becomes 16 kHz, the length is free.

    All events together vote for one voice; if one of them is not like it, `kind` is None.
    """
    samples = np.nan_to_num(audio.mono(RATE))
    spans = _events(samples)
    onsets = tuple(round(start * _HOP / RATE, 3) for start, _ in spans)
    if not spans:
        return Heard(None, 0, None, 0.0, ())
    mel = _log_mel(samples)
    likeness = np.stack([_likeness(mel, start, end) for start, end in spans])  # (events, voices)
    best = int(likeness.mean(axis=0).argmax())
    least = float(likeness[:, best].min())
    too_long = max(end - start for start, end in spans) > _LONGEST
    if least < LIKE or too_long:
        return Heard(None, len(spans), None, least, onsets)
    kind, pitch = _voices()[best]
    return Heard(kind, len(spans), pitch, least, onsets)


def _frames(samples: Array, window: int) -> Array:
    """Overlapping frames (T, window), the t-th centred on sample t * hop."""
    padded = np.pad(samples, window // 2)
    return sliding_window_view(padded, window)[::_HOP]


def _events(samples: Array) -> list[tuple[int, int]]:
    """First and last frame of each event."""
    if len(samples) == 0 or np.abs(samples).max() < _QUIET:
        return []
    energy = (_frames(samples, _SHORT) ** 2).mean(axis=1)  # (T,)
    level = 10 * np.log10(energy / energy.max() + 1e-10)
    close = float(np.clip(np.quantile(level, 0.1) + _NOISY, _CLOSE, -14.0))
    spans: list[tuple[int, int]] = []
    for start, end in _runs(level > close):
        if level[start:end].max() < close + _OPEN:
            continue
        if spans and start - spans[-1][1] < _BRIDGE:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    spans = [part for start, end in spans for part in _split(level, start, end)]
    return [(start, end) for start, end in spans if end - start >= _SHORTEST]


def _split(level: Array, start: int, end: int) -> list[tuple[int, int]]:
    """Parts of a span too long for one event, cut where it dips deepest, if it dips enough.

    A vocoder's echo may fill the pause between two loud events.
    """
    if end - start <= _LONGEST:
        return [(start, end)]
    at = start + _SHORTEST + int(level[start + _SHORTEST : end - _SHORTEST].argmin())
    if min(level[start:at].max(), level[at:end].max()) - level[at] < _DIP:
        return [(start, end)]
    return _split(level, start, at) + _split(level, at, end)


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Stretches [start, end) over which the mask holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


@cache
def _mel_bank() -> Array:
    """Triangles evenly spaced on the mel scale, (bins, bands)."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    centres = 700 * (10 ** (np.linspace(40, top, _BANDS + 2) / 2595) - 1)
    bins = np.fft.rfftfreq(_LONG, 1 / RATE)[:, None]
    rising = (bins - centres[:-2]) / (centres[1:-1] - centres[:-2])
    falling = (centres[2:] - bins) / (centres[2:] - centres[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def _log_mel(samples: Array) -> Array:
    """Mel spectrogram in dB, (T, bands)."""
    window = np.hanning(_LONG).astype(np.float32)
    power = np.abs(np.fft.rfft(_frames(samples, _LONG) * window)) ** 2
    return (10 * np.log10(power @ _mel_bank() + 1e-8)).astype(np.float32)


def _patches(mel: Array, onset: int, end: int, shift: int) -> Array:
    """Patches around an onset, each mean-free and of length 1: (2 * shift + 1, frames * bands).

    Everything more than `_RANGE` dB below the event's loudest band is levelled, and so is what
    comes before or after the event, so that neither noise floor nor neighbours matter.
    """
    loud = mel[onset:end].max()
    alone = np.full((_PATCH + 2 * (_LEAD + shift), mel.shape[1]), loud - _RANGE, np.float32)
    first = onset - _LEAD - shift
    begin, stop = max(0, onset - _LEAD), min(len(mel), end + _LEAD, first + len(alone))
    alone[begin - first : stop - first] = mel[begin:stop]
    alone = np.maximum(alone, loud - _RANGE) - (loud - _RANGE)
    flat = np.stack([alone[at : at + _PATCH].ravel() for at in range(2 * shift + 1)])
    flat -= flat.mean(axis=1, keepdims=True)
    return flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-6)


@cache
def _voices() -> tuple[tuple[str, str], ...]:
    return tuple((kind, pitch) for kind in KINDS for pitch in PITCHES)


@cache
def _templates() -> Array:
    """One patch for each recording of each voice, (voices, variants, frames * bands)."""
    pause = np.zeros(RATE // 4, np.float32)
    templates = []
    for kind, pitch in _voices():
        for variant in range(VARIANTS):
            samples = np.concatenate([pause, voice(kind, pitch, variant), pause])
            ((start, end),) = _events(samples)
            templates.append(_patches(_log_mel(samples), start, end, 0)[0])
    return np.stack(templates).reshape(len(_voices()), VARIANTS, -1)


def _likeness(mel: Array, onset: int, end: int) -> Array:
    """Best correlation of one event with each voice over small shifts, (voices,)."""
    patches = _patches(mel, onset, end, _SHIFT)  # (shifts, frames * bands)
    return np.asarray((_templates() @ patches.T).max(axis=(1, 2)))
