"""The frozen decoders: one small interface, one pipeline of diffusers behind each.

Pipelines are imported only when a decoder of theirs is loaded: their import costs seconds.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from nextgpt_lite.modality import MODALITIES

if TYPE_CHECKING:
    from nextgpt_lite.decoders.base import Decoder


def load_decoder(modality: str, folder: str | Path) -> Decoder:
    """Loads the decoder of a modality from a folder in diffusers layout.

    Raises:
        ValueError: no decoder makes this modality.
        FileNotFoundError: the folder holds no pipeline.
    """
    if modality not in MODALITIES:
        names = ", ".join(MODALITIES)
        raise ValueError(f"No decoder makes modality {modality!r}: use one of {names}.")
    module, name = MODALITIES[modality].decoder.split(":")
    decoder: type[Decoder] = getattr(import_module(module), name)
    return decoder.from_pretrained(folder)
