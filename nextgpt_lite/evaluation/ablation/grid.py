"""The grid file: which cells there are, with which settings, and how they are scored.

    title: signal tokens against captions
    profile: lite
    seeds: [0, 1, 2]
    fixed: {stages: [2, 3], schedule: {2: {steps: 300}}}   # of every cell that says nothing else
    product: {messenger: [signal, caption]}                # every combination is a cell
    cells: [{name: one token, signal_tokens: 1, beside: [own words]}]  # and these
    score: {groups: [image, audio], prompts: 100, num_inference_steps: 10}

Knows: the fields, their defaults, and that a mistake is one sentence. Leaves to others: training
and scoring.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from transformers import AutoConfig

from nextgpt_lite.data.records import Kind
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.evaluation.comparison.own import read_instructions
from nextgpt_lite.evaluation.protocols import Instruction
from nextgpt_lite.evaluation.registry import find, has
from nextgpt_lite.evaluation.tables.sheet import Setting
from nextgpt_lite.model.checkpoint import read_config
from nextgpt_lite.model.config import NextGPTConfig, check_layer, locate, trained_folder
from nextgpt_lite.model.frozen import with_found_conditions
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.reading import read_yaml, reading
from nextgpt_lite.training.schedule import Schedule
from nextgpt_lite.training.stages import STAGES, Stage

STRICT = ConfigDict(extra="forbid", strict=True, frozen=True)
_NUMBERS: Any = {name: (kind | None, None) for name, kind in get_type_hints(Schedule).items()}
Changes: Any = create_model("Changes", __config__=STRICT, **_NUMBERS)  # of a schedule
Number = Annotated[int, Field(ge=1, le=3)]
Count = Annotated[int, Field(gt=0)]
Weight = Annotated[float, Field(gt=0)]
Part = Literal["input_projection", "token_rows", "lora", "output_projections"]
Named: TypeAlias = str | list[str] | dict[str, Weight] | None  # data


class Settings(BaseModel):
    """What a cell may vary. None takes the preset's value.

    Attributes:
        messenger, distance, distance_weight, denoising, condition_dropout, hidden_layer: of
            `NextGPTConfig`.
        signal_tokens: a number for every modality, numbers by modality, or "condition": as many as
            the decoder's condition has vectors.
        projection, input_projection: kinds of the output and of the input projection.
        projection_layers: of the output projection.
        lora_rank: of `LoraSettings`.
        init: a trained model of the same configuration that the first stage goes on from, such as
            "lite" or a folder; None begins with what is untrained.
        stages: which stages, in which order.
        schedule: changes to a stage's numbers, by stage. A `seed` there goes before the cell's, so
            that a stage can be the same one for all seeds.
        mixture: kinds of conversation and their weights, by stage.
        modalities: that pairs show and replies hold, by stage.
        learns: the parts that learn instead of the stage's own, by stage: without "lora" the LLM
            stays frozen in stage 3, with it it learns in stage 2.
    """

    model_config = STRICT

    messenger: str = "signal"
    signal_tokens: Count | dict[str, Count] | Literal["condition"] | None = None
    projection: str = "transformer"
    projection_layers: Count | None = None
    input_projection: str = "linear"
    distance: str = "l2"
    distance_weight: float = 1.0
    denoising: float = 0.0
    condition_dropout: float = 0.0
    hidden_layer: int = -1
    lora_rank: int | None = None
    init: str | None = None
    stages: Annotated[list[Number], Field(min_length=1)] = [1, 2, 3]
    schedule: dict[Number, Changes] = {}
    mixture: dict[Number, dict[Kind, Weight]] = {}
    modalities: dict[Number, list[str]] = {}
    learns: dict[Number, Annotated[list[Part], Field(min_length=1)]] = {}

    def config(self, profile: str) -> NextGPTConfig:
        """The preset with these settings."""
        preset = NextGPTConfig.from_profile(profile)
        tokens = self.signal_tokens
        if tokens == "condition":
            shapes = with_found_conditions(preset).conditions
            tokens = {modality: length for modality, (length, _) in shapes.items()}
        if isinstance(tokens, int):
            tokens = dict.fromkeys(preset.signal_tokens, tokens)
        config = NextGPTConfig.from_profile(
            profile,
            signal_tokens={**preset.signal_tokens, **(tokens or {})},
            messenger=self.messenger,
            distance=self.distance,
            distance_weight=self.distance_weight,
            denoising=self.denoising,
            condition_dropout=self.condition_dropout,
            hidden_layer=self.hidden_layer,
            input_projection={"kind": self.input_projection},
            output_projection={
                "kind": self.projection,
                **({} if self.projection_layers is None else {"layers": self.projection_layers}),
            },
        )
        if self.lora_rank is not None:
            config.lora.rank = self.lora_rank
        return config

    def stage(self, number: int) -> Stage:
        """A stage with the mixture and the modalities of this cell.

        Raises:
            ConfigError: there is no such modality.
        """
        stage = STAGES[number]
        modalities = tuple(self.modalities.get(number, stage.modalities))
        if wrong := [name for name in modalities if name not in MODALITIES]:
            known = ", ".join(MODALITIES)
            raise ConfigError(f"field 'modalities.{number}' has {wrong[0]!r}: use some of {known}.")
        mixture: Any = self.mixture.get(number, stage.mixture)
        every = STAGES[3].reaches  # whatever may learn, with the losses that can reach it
        parts: Any = self.learns.get(number, stage.learns)
        reaches = {part: stage.reaches.get(part, every[part]) for part in parts}
        return replace(stage, mixture=mixture, modalities=modalities, reaches=reaches)

    def numbers(self, number: int, seed: int, profile: str) -> Schedule:
        """The schedule of a stage, from the preset's."""
        changes = self.schedule.get(number, Changes()).model_dump(exclude_unset=True)
        return Schedule.of(STAGES[number], profile, **{"seed": seed, **changes})


class ScoreSettings(BaseModel):
    """How a cell is scored.

    Attributes:
        plugin: whose instructions are asked, and whose judge says what answers are worth.
        instructions: a file of the reader's own instead (see `comparison.own`).
        judge: name in the registry; None takes the plugin's, or "likeness" for a file.
        groups: of the instructions; None takes all.
        prompts: instructions of each group and level, and items of each table.
        tables: names of tables, and the files or folders whose items each measures: captions (5 to
            7), FID and CLIPSIM (2 to 4), questions with fixed answers (12, 13), your own.
        num_inference_steps: of the decoders.
        batch_size: media a decoder makes at once; fixed, for rounding depends on it.
    """

    model_config = STRICT

    plugin: str = "lite"
    instructions: str | None = None
    judge: str | None = None
    groups: list[str] | None = None
    prompts: Count = 100
    num_inference_steps: Count = 20
    batch_size: Count = 16
    tables: dict[int | str, list[str] | str] = {}

    def settings(self) -> Iterator[tuple[int | str, Setting]]:
        """How each table is measured.

        Raises:
            ConfigError: there is no such table, or file.
        """
        for name, files in self.tables.items():
            find("table", str(name))
            data = tuple(map(Path, [files] if isinstance(files, str) else files))
            if gone := [str(path) for path in data if not path.exists()]:
                raise ConfigError(f"table {name}: {gone[0]} is not there; name a file or folder.")
            steps = self.num_inference_steps
            yield name, Setting(self.prompts, steps, data=data, plugin=self.plugin)

    def asked(self) -> list[Instruction]:
        """The instructions, the same for every cell and seed."""
        if self.instructions is None:
            made: list[Instruction] = find("instructions", self.plugin)(
                self.prompts, groups=self.groups
            )
            return made
        kept: dict[tuple[str, str], list[Instruction]] = {}
        for one in read_instructions(self.instructions, self.groups):
            kept.setdefault((one.group, one.level), []).append(one)
        return [one for some in kept.values() for one in some[: self.prompts]]

    @property
    def judging(self) -> str:
        """The name of the judge."""
        return self.judge or (self.plugin if self.instructions is None else "likeness")


class GridFile(BaseModel):
    """What stands in the file, before its cells are made.

    Attributes:
        data: what is trained on: a folder or a plugin, several, or several with weights; None: the
            default.
    """

    model_config = STRICT

    title: str = ""
    profile: str = "lite"
    data: Named = None
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = [0]
    fixed: dict[str, Any] = {}
    product: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}
    cells: list[dict[str, Any]] = []
    score: ScoreSettings = ScoreSettings()


@dataclass(frozen=True)
class Cell:
    """One point of the grid with one seed.

    Attributes:
        beside: systems in the registry that answer from the trained cell too, such as "own words"
            and "gold caption"; their rows are named "<cell>, own words".
    """

    name: str
    profile: str
    data: Named
    settings: Settings
    score: ScoreSettings
    seed: int
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Grid:
    """What a grid file says."""

    path: Path
    title: str
    cells: tuple[Cell, ...]


def read_grid(path: str | Path) -> Grid:
    """Reads and checks a grid file.

    Raises:
        MissingError: there is none.
        ConfigError: in one sentence, naming the file and the field.
    """
    path = Path(path)
    given = read_yaml(path, Any)
    file: GridFile = _checked(GridFile, given, f"{path}")
    named: dict[str, dict[str, Any]] = {}
    beside: dict[str, tuple[str, ...]] = {}
    choices = [[(dial, choice) for choice in some] for dial, some in file.product.items()]
    for combination in itertools.product(*choices) if choices else ():
        named[_name(dict(combination))] = dict(combination)
    for cell in file.cells:
        own = dict(cell)
        others = own.pop("beside", ())
        name = str(own.pop("name", _name(own)))
        if not isinstance(others, list | tuple) or not all(has("system", one) for one in others):
            raise ConfigError(
                f"{path}: cell {name!r}: field 'beside' is {others!r}: give a list of systems, "
                "such as [own words, gold caption]."
            )
        beside[name] = (*others,)
        if name in named:
            raise ConfigError(f"{path}: field 'cells' names {name!r} twice: give another name.")
        named[name] = own
    if not named:
        raise ConfigError(f"{path}: no cell: give 'product' or 'cells'.")
    settings = {
        name: _settings(f"{path}: cell {name!r}", file.profile, {**file.fixed, **own})
        for name, own in named.items()
    }
    try:
        file.score.asked()
        [*file.score.settings()]
        find("judge", file.score.judging)
    except ValueError as error:
        raise ConfigError(f"{path}: field 'score': {_one_line(error)}") from error
    cells = tuple(
        Cell(name, file.profile, file.data, own, file.score, seed, beside.get(name, ()))
        for seed in file.seeds  # a grid that is cut short has whole seeds rather than whole cells
        for name, own in settings.items()
    )
    return Grid(path, file.title or path.stem, cells)


def _settings(where: str, profile: str, values: dict[str, Any]) -> Settings:
    """Settings that can be trained: everything in them is tried once, here."""
    settings: Settings = _checked(Settings, values, where)
    try:
        config = with_found_conditions(settings.config(profile))
        with reading(locate(config.llm), "config.json"):
            blocks = AutoConfig.from_pretrained(locate(config.llm)).num_hidden_layers
        check_layer(config.hidden_layer, blocks)
        if settings.init is not None:
            read_config(trained_folder(settings.init))
        for number in settings.stages:
            settings.numbers(number, 0, profile)
            settings.stage(number)
    except ValueError as error:
        raise ConfigError(f"{where}: {_one_line(error)}") from error
    return settings


def _checked(form: type[BaseModel], values: Any, where: str) -> Any:
    """The values in their form; the first of pydantic's complaints becomes a sentence."""
    try:
        return form.model_validate(values)
    except ValidationError as error:
        wrong = error.errors()[0]
    *place, last = wrong["loc"] or ("the file",)
    # Where several forms are possible pydantic names them too: "int", "dict[str,...]", "[key]".
    field = ".".join(str(p) for p in (*place, last) if f"{p}".isidentifier() or isinstance(p, int))
    if wrong["type"] == "extra_forbidden":
        inside = f" in {'.'.join(map(str, place))}" if place else ""
        known = Changes if "schedule" in place else form
        names = ", ".join(ScoreSettings.model_fields if "score" in place else known.model_fields)
        raise ConfigError(f"{where}: unknown field {last!r}{inside}: use some of {names}.")
    hint = " (YAML reads 1e-3 as a text, 1.0e-3 as a number)" if "float" in wrong["type"] else ""
    wish = wrong["msg"].replace("Input should", "it should")
    raise ConfigError(f"{where}: field {field!r} is {wrong['input']!r}: {wish}{hint}.")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _name(values: dict[str, Any]) -> str:
    """What a cell is called by its settings: "messenger signal, stages 2-3"."""
    return ", ".join(f"{dial} {_short(value)}" for dial, value in values.items())


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "-".join(map(_short, value))
    if isinstance(value, dict):
        return "/".join(f"{key}:{_short(each)}" for key, each in value.items())
    return str(value)
