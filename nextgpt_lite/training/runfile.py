"""A run as a file: every setting of `train` in YAML, and `key=value` words in the place of some.

    stage: 1
    profile: colab
    data: my_data
    output: runs/s1
    llm: qwen3-0.6b              # any field of NextGPTConfig
    lora: {rank: 16}
    learning_rate: 3.0e-4        # any field of Schedule
    stages:                      # what a stage has otherwise
      2: {init: runs/s1, output: runs/s2}

Knows: which keys there are, and what goes before what. Leaves to others: what they mean (`run`,
`schedule`, `model.config`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import ConfigDict, Field, create_model

from nextgpt_lite.errors import ConfigError
from nextgpt_lite.model.config import NextGPTConfig
from nextgpt_lite.reading import checked, parse_yaml, read_yaml
from nextgpt_lite.training.schedule import Schedule

RUN_CONFIG = "run.yaml"  # in a run's folder: all its settings
MODEL = [field.name for field in dataclasses.fields(NextGPTConfig) if field.name != "profile"]
_TYPES: dict[str, Any] = {
    "stage": Annotated[int, Field(ge=1, le=3)],
    "profile": str,
    "output": str,
    "init": str,
    "data": Any,
    "follow_links": bool,
    "cache": str,
    "cache_limit": str | int,
    "resume": bool,
    "report_to": Literal["tensorboard", "trackio", "wandb"],
    "samples_every": Annotated[int, Field(ge=0)],
    **get_type_hints(Schedule, include_extras=True),
    **dict.fromkeys(MODEL, Any),  # which the configuration checks itself
}
_FIELDS: Any = {name: (kind | None, None) for name, kind in _TYPES.items()}
_Values = create_model("_Values", __config__=ConfigDict(extra="forbid"), **_FIELDS)


def settings(
    path: Path | None, words: Sequence[str] = (), options: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What `run.train` is called with: a file's values, below its stage's, below words and options.

    Args:
        path: a run file; None stands for an empty one.
        words: "key=value", the value in YAML; "lora.rank=8" changes one value of a key.
        options: those of the command line; None was not given.

    Raises:
        MissingError: there is no such file.
        DamagedError: it is no YAML, or a value has another type.
        ConfigError: a key is unknown, or the stage or the output is missing.
    """
    where = "key=value" if path is None else f"{path}"
    values: dict[str, Any] = {} if path is None else read_yaml(path)
    given = {key: value for key, value in (options or {}).items() if value is not None}
    pairs = [_pair(word) for word in words]
    stages = checked(values.pop("stages", {}), dict[int, dict[str, Any]], f"{where}: stages")
    stage = given.get("stage", dict(pairs).get("stage", values.get("stage")))
    values |= stages.get(stage, {})
    for key, value in pairs:
        first, *rest = key.split(".")
        if rest and first in MODEL and first not in values:
            preset = given.get("profile", values.get("profile", "lite"))
            values[first] = NextGPTConfig.from_profile(preset).to_dict()[first]
        _put(values, [first, *rest], value)
    values |= given
    for key in values:
        if key not in _TYPES:
            near = ", ".join(get_close_matches(key, _TYPES, n=3, cutoff=0.5) or _TYPES)
            raise ConfigError(f"{where}: there is no setting {key!r}: use some of {near}.")
    fitting = checked(values, _Values, where, "correct it").model_dump(exclude_none=True)
    if missing := [key for key in ("stage", "output") if key not in fitting]:
        raise ConfigError(f"{missing[0]} is missing: give --{missing[0]}, or a file that has it.")
    config = {key: fitting.pop(key) for key in MODEL if key in fitting}
    return {**fitting, "config": config}


def resolved(
    schedule: Schedule, config: NextGPTConfig, init: str | Path | None, **own: Any
) -> dict[str, Any]:
    """A run's settings, whole: what its folder keeps, and `settings` reads again.

    A model that is given keeps what it was built of, so its fields stand only where there is none.
    """
    model = config.to_dict()
    return {
        "profile": config.profile,
        **({} if init is None else {"init": str(init)}),
        **own,
        **dataclasses.asdict(schedule),
        **({key: model[key] for key in MODEL} if init is None else {}),
    }


def _pair(word: str) -> tuple[str, Any]:
    key, equals, text = word.partition("=")
    if not equals:
        raise ConfigError(f"{word!r} is no setting: write key=value, such as steps=100.")
    return key, parse_yaml(text, word)


def _put(values: dict[str, Any], keys: Sequence[str], value: Any) -> None:
    first, *rest = keys
    if not rest:
        values[first] = value
        return
    if not isinstance(values.setdefault(first, {}), dict):
        raise ConfigError(f"{first} is {values[first]!r} and holds no {rest[0]!r}: write {first}=.")
    _put(values[first], rest, value)
