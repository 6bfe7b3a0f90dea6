"""Media that are nothing to see or to hear, though every file of theirs is in order.

Knows: what is too small, too short, silent or blank to be described. Leaves to others: what a model
makes of it, and how a user is told (`notes`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from nextgpt_lite.media.types import Audio, Video

SMALLEST = 8  # pixels of a side
SHORTEST = 0.05  # seconds of audio
BLANK = 2  # levels of 255 between the darkest and the brightest pixel
BEGINNING = 2.0  # seconds of a video that are looked at
SILENCE = 1e-4  # of full scale; -80 dB
UNHEARD = 1e-2  # of the loudest channel: a plug that hangs in the air hisses


def remarks(medium: Any) -> Iterator[str]:
    """What a user should know of a medium: the rest of a sentence that names it."""
    if isinstance(medium, Audio):
        if medium.duration < SHORTEST:
            yield f"lasts {medium.duration * 1000:.0f} ms: what is said of it is a guess"
        loudness = np.ptp(medium.samples, axis=1) / 2  # (channels,); none of what never moves
        if loudness.max() < SILENCE:
            yield "is silent: what is said of it is a guess"
        elif loudness[0] < UNHEARD * loudness.max():
            yield "is silent in its first channel: the loudest is used"
        return
    if isinstance(medium, Video):
        frames = medium.clip(0.0, BEGINNING, 2)  # (2, H, W, 3)
        height, width = frames.shape[1:3]
        levels = np.stack([frames.min((0, 1, 2)), frames.max((0, 1, 2))])  # (2, 3)
    elif hasattr(medium, "getextrema") and hasattr(medium, "size"):  # an image of Pillow's
        (width, height) = medium.size
        levels = np.asarray(medium.getextrema(), np.float64).reshape(-1, 2).T  # (2, bands)
    else:
        return
    if min(width, height) < SMALLEST:
        yield f"has {width} x {height} pixels: what is said of it is a guess"
    if (levels[1] - levels[0].astype(int)).max() <= BLANK:
        yield "is blank: what is said of it is a guess"
