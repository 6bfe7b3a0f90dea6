"""The frozen decoders: one small interface, one pipeline of diffusers behind each.

Which class runs a folder is decided by the pipeline that its `model_index.json` names. A reader's
own class joins with `register` (docs/add_a_decoder.md).

Pipelines are imported only when a decoder of theirs is loaded: their import costs seconds.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from nextgpt_lite.decoders.loading import INDEX_FILE, Index, without_advice
from nextgpt_lite.errors import ConfigError, MissingError
from nextgpt_lite.locks import LOADING
from nextgpt_lite.reading import read_json

if TYPE_CHECKING:
    from nextgpt_lite.decoders.base import Decoder
    from nextgpt_lite.decoders.series import SeriesDecoder, SeriesPipeline

# `_class_name` of a pipeline: the class that runs it, imported when it is asked for.
DECODERS: dict[str, str | type[Decoder]] = {
    "StableDiffusionPipeline": "stable_diffusion:StableDiffusion",
    "TextToVideoSDPipeline": "text_to_video:TextToVideo",
    "AnimateDiffPipeline": "animatediff:AnimateDiff",
    "AudioLDMPipeline": "audioldm:AudioLDM",
    "StableDiffusionXLPipeline": "sdxl:StableDiffusionXL",
    "PixArtSigmaPipeline": "pixart:PixArtSigma",
    "WanPipeline": "wan:Wan",
    "StableAudioPipeline": "stable_audio:StableAudio",
}
# Files by which a folder without `model_index.json` is known.
UNNAMED = {"animatediff_lightning_*step_diffusers.safetensors": "AnimateDiffPipeline"}

__all__ = ["DECODERS", "Decoder", "SeriesDecoder", "SeriesPipeline", "load_decoder", "register"]
PUBLIC = {"Decoder": "base", "SeriesDecoder": "series", "SeriesPipeline": "series"}

AnyDecoder = TypeVar("AnyDecoder", bound="type[Decoder]")


def __getattr__(name: str) -> Any:
    """What a reader's own decoder derives from, imported when it is asked for."""
    if name not in PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{PUBLIC[name]}"), name)


def register(decoder: AnyDecoder) -> AnyDecoder:
    """Makes a class known as the one that runs its `pipelines`; can stand above it as `@register`.

    Raises:
        ConfigError: it names no pipeline.
    """
    if not decoder.pipelines:
        raise ConfigError(f"{decoder.__name__}.pipelines is empty: name a pipeline's class.")
    DECODERS.update(dict.fromkeys(decoder.pipelines, decoder))
    return decoder


@LOADING
def load_decoder(
    folder: str | Path,
    settings: dict[str, Any] | None = None,
    *,
    modality: str | None = None,
    **options: Any,
) -> Decoder:
    """Loads the decoder in a folder in diffusers layout, whatever it makes.

    Args:
        settings: go before the folder's own (see `Decoder`).
        modality: what it should make; None takes any.
        options: of `Decoder.from_pretrained`: `dtype`.

    Raises:
        ConfigError: no class is known for its pipeline, or it makes another modality.
        MissingError: the folder holds no pipeline.
    """
    with without_advice():
        return decoder_class(folder, modality).from_pretrained(folder, settings, **options)


def condition_shape(
    folder: str | Path, settings: dict[str, Any] | None = None, *, modality: str | None = None
) -> list[int]:
    """[L, C] of the condition that a folder's decoder reads, from its configurations alone.

    Raises:
        ConfigError: no class is known for its pipeline, or it makes another modality.
        MissingError: a configuration is missing.
    """
    kind, folder = decoder_class(folder, modality), Path(folder)
    return kind.condition_shape(folder, kind.read_settings(folder, settings))


def decoder_class(folder: str | Path, modality: str | None = None) -> type[Decoder]:
    """The class that runs the pipeline in a folder; raises as `load_decoder`."""
    name = _pipeline_name(Path(folder))
    decoder = DECODERS.get(name)
    if decoder is None:
        raise ConfigError(
            f"{folder}/{INDEX_FILE}: no decoder is known for the pipeline {name!r}: use one of "
            f"{', '.join(DECODERS)}, or register a class for it (docs/add_a_decoder.md)."
        )
    if isinstance(decoder, str):
        module, _, attribute = decoder.partition(":")
        decoder = getattr(import_module(f"{__name__}.{module}"), attribute)
    makes = decoder.read_settings(Path(folder)).get("modality", decoder.modality)
    if modality not in (None, makes):
        raise ConfigError(
            f"{folder} holds a {name}, which makes {makes} and not {modality}: give a decoder of "
            f"{modality}."
        )
    return decoder


def _pipeline_name(folder: Path) -> str:
    if (folder / INDEX_FILE).is_file():
        return str(read_json(folder / INDEX_FILE, Index)["_class_name"])
    for pattern, name in UNNAMED.items():
        if any(folder.glob(pattern)):
            return name
    raise MissingError(f"{folder} has no {INDEX_FILE}: give a decoder folder in diffusers layout")
