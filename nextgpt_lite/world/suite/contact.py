"""Contact sheets: what was asked, what was made, and a green or a red frame around it.

Knows: how a picture, a sound (its spectrogram) and a clip (a film strip) look in a small tile.
Leaves to others: what is right, and the sheet's layout (`media.sheet`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from nextgpt_lite.media import Audio, Media, Video
from nextgpt_lite.media.sheet import contact_sheet

SHOWN = 64  # of each kind
RIGHT, WRONG = (30, 160, 60), (215, 40, 40)
FRAME = 3  # pixels
SORTS = {Image.Image: "pictures", Audio: "sounds", Video: "clips"}


@dataclass(frozen=True)
class Tile:
    """One medium of a sheet."""

    label: str
    media: Media
    right: bool


def write_sheets(tiles: Sequence[Tile], folder: Path, name: str) -> None:
    """Writes the first 64 tiles as `name.png`, framed green where right and red where wrong.

    Media of several modalities go on a sheet each: `name_pictures.png`, `name_sounds.png`, ...
    """
    sorts = {sort: [t for t in tiles if isinstance(t.media, sort)] for sort in SORTS}
    filled = {sort: some for sort, some in sorts.items() if some}
    folder.mkdir(parents=True, exist_ok=True)
    for sort, some in filled.items():
        suffix = f"_{SORTS[sort]}" if len(filled) > 1 else ""
        _sheet(some[:SHOWN]).save(folder / f"{name}{suffix}.png")


def _sheet(tiles: Sequence[Tile]) -> Image.Image:
    """One sheet of media of one modality."""
    pictures = [
        ImageOps.expand(as_picture(tile.media), FRAME, RIGHT if tile.right else WRONG)
        for tile in tiles
    ]
    columns = min(len(tiles), 3 if isinstance(tiles[0].media, Video) else 8)
    return contact_sheet(pictures, [t.label for t in tiles], columns, pictures[0].width)


def as_picture(media: Media) -> Image.Image:
    """A picture as it is, twice as large; a sound's spectrogram; a clip's frames side by side."""
    if isinstance(media, Video):
        return Image.fromarray(np.concatenate([*media.frames], axis=1))
    if isinstance(media, Audio):
        return _spectrogram(media)
    return media.resize((2 * media.width, 2 * media.height), Image.Resampling.NEAREST)


def _spectrogram(audio: Audio) -> Image.Image:
    """128 x 128: time to the right, up to half the rate upwards, 60 dB from black to yellow."""
    from matplotlib import colormaps
    from scipy.signal import spectrogram

    samples: Any = audio.samples.mean(axis=0)
    _, _, power = spectrogram(samples, audio.rate, nperseg=512, noverlap=256)  # (F, T)
    decibels = 10 * np.log10(power + 1e-10)
    level = np.clip((decibels - decibels.max() + 60) / 60, 0, 1)[::-1]
    pixels = (colormaps["magma"](level)[..., :3] * 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((128, 128), Image.Resampling.BILINEAR)
