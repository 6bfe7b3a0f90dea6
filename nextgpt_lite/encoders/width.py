"""How long an encoder's vectors are and how large it is, said without loading it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from nextgpt_lite.encoders.config import RELEASED_TRUNKS, ImageBindConfig
from nextgpt_lite.encoders.files import find_weights, read_shapes
from nextgpt_lite.encoders.imagebind import ImageBind
from nextgpt_lite.reading import read_sizes, reading


def encoder_width(folder: Path) -> int:
    """E of an encoder, given by its folder or file."""
    return _config(folder, RELEASED_TRUNKS).out


def encoder_parameters(folder: Path, released: Sequence[str] = RELEASED_TRUNKS) -> int:
    """Of all its trunks; of a released encoder, of those."""
    with torch.device("meta"):
        model = ImageBind(_config(folder, released))
    return sum(parameter.numel() for parameter in model.parameters())


def _config(folder: Path, trunks: Sequence[str]) -> ImageBindConfig:
    weights = find_weights(folder)
    path = weights.parent / "config.json"
    values = read_sizes(path) if path.is_file() else {}
    if "imagebind" in values:
        with reading(path):
            return ImageBindConfig.from_dict(values["imagebind"])
    shapes = read_shapes(weights, trunks)
    with reading(weights):
        return ImageBindConfig.from_shapes(shapes, trunks, values)
