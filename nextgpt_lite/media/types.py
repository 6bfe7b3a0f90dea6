"""Images, audio and videos as Python objects.

Knows: their units and shapes. Leaves to others: files (`images`, `audios`, `videos`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

FINEST = 10_000  # no ratio of two rates is taken more exactly: it would cost more than it changes


@dataclass(frozen=True)
class Audio:
    """An audio clip: `samples` float32 in [-1, 1] of shape (channels, length), `rate` in Hz."""

    samples: np.ndarray
    rate: int

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.samples.shape[1] / self.rate

    def mono(self, rate: int) -> np.ndarray:
        """The mean of all channels at `rate` Hz: float32 of shape (length,)."""
        return resample(self.samples.mean(axis=0), self.rate, rate)


@dataclass(frozen=True)
class Video:
    """A video: `frames` uint8 of shape (T, H, W, 3), `fps` frames a second."""

    frames: np.ndarray
    fps: float

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.frames) / self.fps

    def clip(self, start: float, seconds: float, count: int) -> np.ndarray:
        """Frames spread evenly from the first to the last of a clip: (count, H, W, 3)."""
        first = min(math.floor(start * self.fps), len(self.frames) - 1)
        end = min(math.ceil((start + seconds) * self.fps), len(self.frames))
        picked = np.linspace(first, max(first, end - 1), count).astype(int)
        frames: np.ndarray = self.frames[picked]
        return frames


Media: TypeAlias = "Image.Image | Audio | Video"


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Samples (..., length) from `rate` to `new_rate` Hz by a polyphase filter, as float32."""
    if rate == new_rate:
        return samples.astype(np.float32)
    from scipy.signal import resample_poly

    ratio = Fraction(new_rate, rate).limit_denominator(FINEST)
    result = resample_poly(samples, ratio.numerator, ratio.denominator, axis=-1)
    return result.astype(np.float32)
