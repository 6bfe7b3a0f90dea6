"""Kinds of options that several commands have, checked before anything heavy is loaded.

Knows: which values there are. Leaves to others: which command has which option (`commands`,
`conversation`), and what it says of each in help.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from typer import BadParameter, Option

from nextgpt_lite.errors import ConfigError, MissingError
from nextgpt_lite.model.config import PROFILES
from nextgpt_lite.model.hub import model_folder
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.plugins import plugins


def _number(kind: str, fits: Callable[[float], bool]) -> Any:
    """An option that takes a number for which `fits` is true; NaN is none."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not fits(value):
            raise BadParameter(f"{text!r} is not {kind}.")
        return value

    return Option(parser=parse, metavar="NUMBER")


def _hint(name: str, names: Iterable[str]) -> str:
    close = get_close_matches(name, names, n=1)
    return f"Did you mean {close[0]!r}? " if close else ""


def _model(name: str) -> str:
    if name not in PROFILES:
        try:
            model_folder(name)
        except MissingError as error:
            raise BadParameter(f"{_hint(name, PROFILES)}{error}") from None
    return name


def _plugin(name: str) -> str:
    if name not in plugins():
        known = ", ".join(plugins())
        raise BadParameter(f"{_hint(name, plugins())}There is no plugin {name!r}, only {known}.")
    return name


def _data(text: str) -> str:
    from nextgpt_lite.data.opening import weighted

    try:
        name, _ = weighted(text)
    except ConfigError as error:
        raise BadParameter(str(error)) from None
    if not Path(name).exists():
        try:
            _plugin(name)
        except BadParameter as error:
            raise BadParameter(f"{name} is no folder or file. {error.message}") from None
    return text


def _device(name: str) -> str:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise BadParameter(f"{name!r} is no device: use 'auto', 'cpu', 'cuda', 'cuda:1' or 'mps'.")
    return name


def _modalities(text: str) -> str | list[str]:
    if text == "auto":
        return text
    names = [] if text == "none" else [name.strip() for name in text.split(",")]
    for name in names:
        if name not in MODALITIES:
            raise BadParameter(
                f"{_hint(name, MODALITIES)}{name!r} is no modality; give some of "
                f"{', '.join(MODALITIES)}, or 'none' or 'auto'."
            )
    return names


Count = Annotated[int, Option(min=1)]
MaybeCount = Annotated[int | None, Option(min=1)]
MaybeSize = Annotated[float | None, Option(min=0)]
Seed = Annotated[int, Option(min=0)]
Scale = Annotated[float | None, _number("a number of 0 or more", lambda x: 0 <= x < math.inf)]
Temperature = Annotated[float, _number("a number of 0 or more", lambda x: 0 <= x < math.inf)]
Share = Annotated[float, _number("a number above 0 and at most 1", lambda x: 0 < x <= 1)]

_NAMES = Option(parser=_model, metavar="NAME|DIR", autocompletion=lambda: [*PROFILES])
Model = Annotated[str, _NAMES]
MaybeModel = Annotated[str | None, _NAMES]
Models = Annotated[list[str], _NAMES]
Modalities = Annotated[
    Any,
    Option(
        parser=_modalities,
        metavar="LIST",
        autocompletion=lambda: [*MODALITIES, "none", "auto"],
    ),
]
Profile = Literal["lite", "smol", "colab", "paper"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]
Data = Annotated[list[str], Option(parser=_data, metavar="NAME|DIR[=WEIGHT]")]
Plugin = Annotated[str, Option(parser=_plugin, metavar="NAME")]
MaybePlugin = Annotated[str | None, Option(parser=_plugin, metavar="NAME")]
Device = Annotated[str, Option(parser=_device, metavar="NAME")]
MaybeDevice = Annotated[str | None, Option(parser=_device, metavar="NAME")]
MaybeFile = Annotated[Path | None, Option(exists=True, dir_okay=False)]
Output = Annotated[Path, Option(file_okay=False)]
MaybeOutput = Annotated[Path | None, Option(file_okay=False)]
Folder = Annotated[Path, Option(exists=True, file_okay=False)]
MaybeFolder = Annotated[Path | None, Option(exists=True, file_okay=False)]
