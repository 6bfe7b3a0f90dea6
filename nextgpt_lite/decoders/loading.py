"""From a folder in diffusers layout to a pipeline, without a network.

Knows: `model_index.json`, parts that are borrowed from another folder, and how to silence
advice of libraries that misleads. Leaves to others: which `Decoder` runs the pipeline.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field, with_config
from typing_extensions import TypedDict

from nextgpt_lite.errors import DamagedError, MissingError
from nextgpt_lite.reading import check_sums, checked, read_json, read_sizes, reading

INDEX_FILE = "model_index.json"
DATA = ("*.json", "*.safetensors", "*.bin", "*.txt", "*.model")  # of a part
Count = Annotated[int, Field(ge=1, le=2**16)]
Number = Annotated[float, Field(ge=0, le=2**16)]


@with_config(extra="allow")
class Settings(TypedDict, total=False):
    """What `nextgpt_lite.json` may say."""

    modality: str
    base: str
    guidance_scale: Number
    num_inference_steps: Count
    width: Count
    height: Count
    frames: Count
    fps: Annotated[float, Field(gt=0, le=1000)]
    audio_length_in_s: Annotated[float, Field(gt=0, le=3600)]
    caption_tokens: Count
    mel: dict[str, int | float | bool]


@with_config(extra="allow")
class Index(TypedDict):
    """What `model_index.json` says."""

    _class_name: str


# Advice that misleads here: no decoder wants torchvision, and AudioLDM's pipeline is what its
# checkpoints are for.
_MISLEADING = ("requires torchvision (not installed)", "AudioLDMPipeline has been deprecated")
_ADVISERS = ("transformers.utils.import_utils", "diffusers.pipelines.pipeline_utils")


def load_pipeline(
    folder: Path, settings: dict[str, Any], dtype: torch.dtype, **options: Any
) -> Any:
    """The pipeline of a folder.

    Args:
        settings: a part's name with a path, relative to the folder, takes the part from there
            (`"vae": "../image/vae"`).
        dtype: of the weights.
        options: of the pipeline's `from_pretrained`.

    Raises:
        MissingError: the folder has no `model_index.json`, or a part that it borrows is missing.
    """
    import diffusers
    from transformers.utils import logging as transformers_logging

    if not transformers_logging.is_progress_bar_enabled():  # it asks the hub; diffusers does not
        diffusers.utils.logging.disable_progress_bar()
    index = read_json(folder / INDEX_FILE, Index)
    for part, entry in index.items():
        if part in settings and isinstance(entry, list):
            place = (folder / str(settings[part])).resolve()
            if not place.is_dir():
                raise MissingError(
                    f"{folder} takes its {part} from {place}, which is missing: keep that folder "
                    "beside it"
                )
            check_sums(place.parent)
            with reading(place, *DATA):
                kind = getattr(diffusers, entry[1])
                options[part] = kind.from_pretrained(
                    str(place), **in_dtype(dtype), local_files_only=True
                )
    with reading(folder / INDEX_FILE):
        kind = pipeline_class(index["_class_name"])
    _check_parts(folder)
    try:
        return kind.from_pretrained(
            str(folder), **in_dtype(dtype), local_files_only=True, **options
        )
    except Exception:  # of any library; its part is found by loading each alone
        for part, entry in index.items():
            if part not in options and (folder / part).is_dir():
                with reading(folder, INDEX_FILE, *(f"{part}/{pattern}" for pattern in DATA)):
                    _load_part(folder, part, *entry)
        raise


def _check_parts(folder: Path) -> None:
    """Refuses files that are damaged, before other libraries read them."""
    for path in sorted(folder.rglob("*.json")):
        if path.name == "config.json":
            read_sizes(path)
        elif path.name != "tokenizer.json":  # large, and its reader says enough
            read_json(path, Any)


def _load_part(folder: Path, part: str, library: str, name: str) -> None:
    """Loads one part of a pipeline, to see whether that can be done."""
    if library not in ("diffusers", "transformers"):  # a module of a pipeline's own folder
        library = f"diffusers.pipelines.{library}"
    try:
        module = import_module(library)
    except ImportError as error:
        raise DamagedError(
            f"{folder / INDEX_FILE}: {part} is of {library}, which is not installed: correct that, "
            "or install it."
        ) from error
    getattr(module, name).from_pretrained(str(folder / part), local_files_only=True)


def pipeline_class(name: str) -> Any:
    """The pipeline class of diffusers of that name."""
    import diffusers
    from diffusers.pipelines import deprecated

    return getattr(diffusers, name, None) or getattr(deprecated, name)


def in_dtype(dtype: torch.dtype) -> dict[str, torch.dtype]:
    """The option of diffusers' `from_pretrained` that sets the weights' dtype; 0.40 renamed it."""
    import diffusers

    return {"torch_dtype" if diffusers.__version__ < "0.40" else "dtype": dtype}


def step_reports(pipeline: Any, on_step: Callable[[int, torch.Tensor], None]) -> dict[str, Any]:
    """The argument of a pipeline that reports a step and its latents; diffusers has two kinds."""

    def at_step_end(_: Any, index: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        on_step(index, tensors["latents"])
        return tensors

    if "callback_on_step_end" in inspect.signature(type(pipeline).__call__).parameters:
        return {"callback_on_step_end": at_step_end}
    return {"callback": lambda index, _, latents: on_step(index, latents)}


@contextmanager
def without_advice() -> Iterator[None]:
    """Silences misleading advice while something is loaded."""

    def helpful(record: logging.LogRecord) -> bool:
        return not any(words in record.getMessage() for words in _MISLEADING)

    loggers = [logging.getLogger(name) for name in _ADVISERS]
    for logger in loggers:
        logger.addFilter(helpful)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(helpful)


def read_number(path: Path, field: str) -> int:
    """A size that a configuration says.

    Raises:
        MissingError, DamagedError: the file or the field is not there, or is no such number.
    """
    number: int = checked(read_json(path).get(field), Count, f"{path}: {field}")
    return number
