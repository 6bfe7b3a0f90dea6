"""The grid file: which cells there are, with which settings, and how they are scored.

    title: signal tokens against captions
    profile: lite
    seeds: [0, 1, 2]
    fixed: {stages: [2, 3], schedule: {2: {steps: 300}}}   # of every cell that says nothing else
    product: {messenger: [signal, caption]}                # every combination is a cell
    cells: [{name: one token, signal_tokens: 1}]           # and these
    score: {groups: [image, audio], prompts: 100, num_inference_steps: 10}

Knows: the fields, their defaults, and that a mistake is one sentence. Leaves to others: training
and scoring.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import yaml

from nextgpt_lite.data.records import KINDS
from nextgpt_lite.decoders.loading import read_json
from nextgpt_lite.evaluation.ablation.score import ScoreSettings
from nextgpt_lite.model.config import NextGPTConfig, locate
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.model.nextgpt import check_layer
from nextgpt_lite.training.schedule import Schedule
from nextgpt_lite.training.stages import STAGES, Stage
from nextgpt_lite.world.comparison.instructions import GROUPS


@dataclass(frozen=True)
class Settings:
    """What a cell may vary. None takes the preset's value.

    Attributes:
        messenger, distance, denoising, hidden_layer: of `NextGPTConfig`.
        signal_tokens: a number for every modality, or numbers by modality.
        projection: kind of the output projection.
        lora_rank: of `LoraSettings`.
        stages: which stages, in which order.
        schedule: changes to a stage's numbers, by stage. A `seed` there goes before the cell's, so
            that a stage can be the same one for all seeds.
        mixture: kinds of conversation and their weights, by stage.
        modalities: that pairs show and replies hold, by stage.
    """

    messenger: str = "signal"
    signal_tokens: int | dict[str, int] | None = None
    projection: str = "transformer"
    distance: str = "l2"
    denoising: float = 0.0
    hidden_layer: int = -1
    lora_rank: int | None = None
    stages: tuple[int, ...] = (1, 2, 3)
    schedule: dict[int, dict[str, Any]] = field(default_factory=dict)
    mixture: dict[int, dict[str, float]] = field(default_factory=dict)
    modalities: dict[int, list[str]] = field(default_factory=dict)

    def config(self, profile: str) -> NextGPTConfig:
        """The preset with these settings."""
        config = NextGPTConfig.from_profile(
            profile,
            messenger=self.messenger,
            distance=self.distance,
            denoising=self.denoising,
            hidden_layer=self.hidden_layer,
        )
        if isinstance(self.signal_tokens, int):
            config.signal_tokens = dict.fromkeys(config.signal_tokens, self.signal_tokens)
        elif self.signal_tokens is not None:
            config.signal_tokens = {**config.signal_tokens, **self.signal_tokens}
        config.output_projection = replace(config.output_projection, kind=self.projection)
        if self.lora_rank is not None:
            config.lora.rank = self.lora_rank
        return config

    def stage(self, number: int) -> Stage:
        """A stage with the mixture and the modalities of this cell."""
        stage = STAGES[number]
        modalities = tuple(self.modalities.get(number, stage.modalities))
        return replace(
            stage, mixture=self.mixture.get(number, stage.mixture), modalities=modalities
        )

    def numbers(self, number: int, seed: int) -> Schedule:
        """The schedule of a stage."""
        return Schedule.of(STAGES[number], **{"seed": seed, **self.schedule.get(number, {})})


_NAMES = {str: "a text", int: "a whole number", bool: "true or false",
          float: "a number (YAML reads 1e-3 as a text, 1.0e-3 as a number)"}  # fmt: skip
_SCALARS: dict[str, Any] = {"messenger": "", "projection": "", "distance": "", "denoising": 0.0,
                            "hidden_layer": 0, "lora_rank": 1}  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One point of the grid with one seed."""

    name: str
    profile: str
    settings: Settings
    score: ScoreSettings
    seed: int


@dataclass(frozen=True)
class Grid:
    """What a grid file says."""

    path: Path
    title: str
    cells: tuple[Cell, ...]


def read_grid(path: str | Path) -> Grid:
    """Reads and checks a grid file.

    Raises:
        FileNotFoundError: there is none.
        ValueError: in one sentence, naming the file and the field.
    """
    path = Path(path)
    try:
        given = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {' '.join(str(error).split())}.") from error
    known = ("title", "profile", "seeds", "fixed", "product", "cells", "score")
    values = _mapping(path, "the file", given, known)
    seeds = _list(path, "seeds", values.get("seeds", [0]))
    if not all(type(seed) is int and seed >= 0 for seed in seeds):
        raise ValueError(f"{path}: field 'seeds' is {seeds}: give whole numbers from 0 on.")
    dials = tuple(f.name for f in fields(Settings))
    fixed = _mapping(path, "fixed", values.get("fixed", {}), dials)
    product = _mapping(path, "product", values.get("product", {}), dials)
    choices = [
        [(dial, choice) for choice in _list(path, f"product.{dial}", listed)]
        for dial, listed in product.items()
    ]
    named: dict[str, dict[str, Any]] = {}
    for combination in itertools.product(*choices) if choices else ():
        named[", ".join(f"{dial} {_short(value)}" for dial, value in combination)] = dict(
            combination
        )
    for number, cell in enumerate(_list(path, "cells", values.get("cells", []))):
        own = dict(_mapping(path, f"cells[{number}]", cell, ("name", *dials)))
        name = str(own.pop("name", ", ".join(f"{k} {_short(v)}" for k, v in own.items())))
        if name in named:
            raise ValueError(f"{path}: field 'cells' names {name!r} twice: give another name.")
        named[name] = own
    if not named:
        raise ValueError(f"{path}: no cell: give 'product' or 'cells'.")
    score = _score(path, values.get("score", {}))
    profile = values.get("profile", "lite")
    cells = tuple(
        Cell(name, profile, _settings(path, name, profile, {**fixed, **own}), score, seed)
        for seed in seeds  # a grid that is cut short has whole seeds rather than whole cells
        for name, own in named.items()
    )
    return Grid(path, str(values.get("title", path.stem)), cells)


def plain(settings: Settings | ScoreSettings) -> dict[str, Any]:
    """Settings as JSON writes them."""
    values = asdict(settings)
    return {
        name: {str(k): v for k, v in value.items()} if isinstance(value, dict) else value
        for name, value in values.items()
    }


def _settings(path: Path, name: str, profile: str, values: dict[str, Any]) -> Settings:
    """Settings that can be trained: everything in them is tried once, here."""
    where = f"{path}: cell {name!r}"
    stages = _list(path, "stages", values.get("stages", [1, 2, 3]))
    if unknown := [number for number in stages if number not in STAGES]:
        raise ValueError(f"{where}: field 'stages' has {unknown[0]!r}: use some of 1, 2 and 3.")
    for dial in ("schedule", "mixture"):
        for number, inner in _mapping(path, dial, values.get(dial, {}), tuple(STAGES)).items():
            _mapping(path, f"{dial}.{number}", inner, KINDS if dial == "mixture" else None)
    for number, weights in values.get("mixture", {}).items():
        if not all(_positive(weight) for weight in weights.values()):
            raise ValueError(f"{where}: field 'mixture.{number}' needs weights above 0.")
    shown = _mapping(path, "modalities", values.get("modalities", {}), tuple(STAGES))
    for number, names in shown.items():
        listed = _list(path, f"modalities.{number}", names)
        if wrong := [name for name in listed if name not in MODALITIES]:
            known = ", ".join(MODALITIES)
            raise ValueError(
                f"{where}: field 'modalities.{number}' has {wrong[0]!r}: use some of {known}."
            )
    for dial, example in _SCALARS.items():
        _typed(where, dial, values.get(dial, example), example)
    for number, changes in values.get("schedule", {}).items():
        for name, value in changes.items():
            if (example := asdict(Schedule.of(STAGES[number])).get(name)) is not None:
                _typed(where, f"schedule.{number}.{name}", value, example)
    tokens = values.get("signal_tokens")
    counts = [*tokens.values()] if isinstance(tokens, dict) else [1 if tokens is None else tokens]
    if not all(type(count) is int and count > 0 for count in counts):
        raise ValueError(f"{where}: field 'signal_tokens' is {tokens!r}: give numbers from 1 on.")
    try:
        settings = Settings(**{**values, "stages": tuple(stages)})
        config = settings.config(profile)
        blocks = read_json(locate(config.llm) / "config.json")["num_hidden_layers"]
        check_layer(config.hidden_layer, blocks)
        for number in stages:
            settings.numbers(number, 0)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {' '.join(str(error).split())}") from error
    return settings


def _score(path: Path, given: Any) -> ScoreSettings:
    names = tuple(f.name for f in fields(ScoreSettings))
    values = dict(_mapping(path, "score", given, names))
    if "groups" in values:
        values["groups"] = tuple(_list(path, "score.groups", values["groups"]))
        if wrong := [name for name in values["groups"] if name not in GROUPS]:
            raise ValueError(
                f"{path}: field 'score.groups' has {wrong[0]!r}: use some of {', '.join(GROUPS)}."
            )
    for name in ("prompts", "num_inference_steps", "batch_size"):
        if name in values and not (type(values[name]) is int and values[name] > 0):
            raise ValueError(f"{path}: field 'score.{name}' is {values[name]!r}: give a number.")
    return ScoreSettings(**values)


def _mapping(path: Path, name: str, value: Any, known: tuple[Any, ...] | None) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{path}: {name} must be a mapping of names to values, not {value!r}.")
    for key in value:
        if known is not None and key not in known:
            names = ", ".join(map(str, known))
            raise ValueError(f"{path}: {name} has an unknown field {key!r}: use some of {names}.")
    return value


def _list(path: Path, name: str, value: Any) -> list[Any]:
    if not isinstance(value, list) or (not value and name != "cells"):
        raise ValueError(f"{path}: field {name!r} must be a list, not {value!r}.")
    return value


def _typed(where: str, name: str, value: Any, example: Any) -> None:
    """Refuses a value of another type than the example's; a float may be whole."""
    wanted = (int, float) if isinstance(example, float) else type(example)
    if not isinstance(value, wanted) or isinstance(value, bool) != isinstance(example, bool):
        raise ValueError(f"{where}: field {name!r} is {value!r}: give {_NAMES[type(example)]}.")


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and value > 0


def _short(value: Any) -> str:
    if isinstance(value, list | tuple):
        return "-".join(map(_short, value))
    if isinstance(value, dict):
        return "/".join(f"{k}:{_short(v)}" for k, v in value.items())
    return str(value)
