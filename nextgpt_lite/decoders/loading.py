"""From a folder in diffusers layout to a pipeline, without a network.

Knows: `model_index.json`, parts that are borrowed from another folder, and how to silence
advice of libraries that misleads. Leaves to others: which `Decoder` runs the pipeline.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from nextgpt_lite.errors import ConfigError, MissingError

INDEX_FILE = "model_index.json"

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
    index = read_json(folder / INDEX_FILE)
    for part, entry in index.items():
        if part in settings and isinstance(entry, list):
            place = (folder / settings[part]).resolve()
            if not place.is_dir():
                raise MissingError(
                    f"{folder} takes its {part} from {place}, which is missing: keep that folder "
                    "beside it"
                )
            kind = getattr(diffusers, entry[1])
            options[part] = kind.from_pretrained(
                str(place), **in_dtype(dtype), local_files_only=True
            )
    kind = pipeline_class(index["_class_name"])
    return kind.from_pretrained(str(folder), **in_dtype(dtype), local_files_only=True, **options)


def pipeline_class(name: str) -> Any:
    """The pipeline class of diffusers of that name."""
    import diffusers
    from diffusers.pipelines import deprecated

    return getattr(diffusers, name, None) or getattr(deprecated, name)


def in_dtype(dtype: torch.dtype) -> dict[str, torch.dtype]:
    """The option of diffusers' `from_pretrained` that sets the weights' dtype; 0.40 renamed it."""
    import diffusers

    return {"torch_dtype" if diffusers.__version__ < "0.40" else "dtype": dtype}


def step_reports(pipeline: Any, on_step: Callable[[int], None]) -> dict[str, Any]:
    """The argument of a pipeline that reports each step; diffusers has two kinds."""

    def at_step_end(_: Any, index: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        on_step(index)
        return tensors

    if "callback_on_step_end" in inspect.signature(type(pipeline).__call__).parameters:
        return {"callback_on_step_end": at_step_end}
    return {"callback": lambda index, *_: on_step(index)}


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


def read_json(path: Path) -> dict[str, Any]:
    """The values of a configuration file.

    Raises:
        MissingError: it is not there.
        ConfigError: it is no JSON object.
    """
    if not path.is_file():
        raise MissingError(f"{path} is missing: the decoder's folder is incomplete")
    try:
        values = json.loads(path.read_text())
    except ValueError as error:
        raise ConfigError(f"{path} is no JSON ({error}): fetch the file again") from error
    return dict(values)
