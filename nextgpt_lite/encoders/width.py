"""How long an encoder's vectors are and how large it is, said without loading it."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from nextgpt_lite.encoders.config import ImageBindConfig
from nextgpt_lite.encoders.files import find_weights, read_shapes
from nextgpt_lite.encoders.imagebind import ImageBind


def encoder_width(folder: Path) -> int:
    """E of an encoder, given by its folder or file."""
    return _config(folder).out


def encoder_parameters(folder: Path) -> int:
    """Of all its trunks; of a released encoder, vision and audio."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in ImageBind(_config(folder)).parameters())


def _config(folder: Path) -> ImageBindConfig:
    weights = find_weights(folder)
    path = weights.parent / "config.json"
    values = json.loads(path.read_text()) if path.is_file() else {}
    if "imagebind" in values:
        return ImageBindConfig.from_dict(values["imagebind"])
    trunks = ("vision", "audio")
    return ImageBindConfig.from_shapes(read_shapes(weights, trunks), trunks, values)
