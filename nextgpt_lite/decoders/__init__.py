"""The frozen decoders: one small interface, one pipeline of diffusers behind each.

Pipelines are imported only when a decoder of theirs is loaded: their import costs seconds.
"""

from __future__ import annotations

import logging
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nextgpt_lite.model.modality import MODALITIES

if TYPE_CHECKING:
    from nextgpt_lite.decoders.base import Decoder

# Advice that misleads here: no decoder wants torchvision, and AudioLDM's pipeline is what its
# checkpoints are for.
_BESIDE_THE_POINT = ("requires torchvision (not installed)", "AudioLDMPipeline has been deprecated")


def _to_the_point(record: logging.LogRecord) -> bool:
    return not any(words in record.getMessage() for words in _BESIDE_THE_POINT)


for _source in ("transformers.utils.import_utils", "diffusers.pipelines.pipeline_utils"):
    logging.getLogger(_source).addFilter(_to_the_point)


def load_decoder(
    modality: str, folder: str | Path, settings: dict[str, Any] | None = None, **options: Any
) -> Decoder:
    """Loads the decoder of a modality from a folder in diffusers layout.

    Args:
        settings: go before the folder's own (see `Decoder`).
        options: of `Decoder.from_pretrained`: `dtype`.

    Raises:
        ValueError: no decoder makes this modality.
        FileNotFoundError: the folder holds no pipeline.
    """
    return _class(modality).from_pretrained(folder, settings, **options)


def condition_shape(
    modality: str, folder: str | Path, settings: dict[str, Any] | None = None
) -> list[int]:
    """[L, C] of the condition that a folder's decoder reads, from its configurations alone.

    Raises:
        ValueError: no decoder makes this modality.
        FileNotFoundError: a configuration is missing.
    """
    return _class(modality).condition_shape(folder, settings or {})


def _class(modality: str) -> type[Decoder]:
    if modality not in MODALITIES:
        names = ", ".join(MODALITIES)
        raise ValueError(f"No decoder makes modality {modality!r}: use one of {names}.")
    module, name = MODALITIES[modality].decoder.split(":")
    decoder: type[Decoder] = getattr(import_module(module), name)
    return decoder
