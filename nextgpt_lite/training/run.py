"""One stage from the command line or a notebook: builds the model, picks the data, trains.

Knows: how a stage starts from nothing or from an earlier stage's folder. Leaves to others:
everything that `Trainer` does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.opening import Data, open_source
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.model.checkpoint import read_config
from nextgpt_lite.model.config import LANGUAGE_MODELS, NextGPTConfig, trained_folder
from nextgpt_lite.model.hub import model_folder
from nextgpt_lite.training.checkpoint import RUN_FILE, read_run
from nextgpt_lite.training.engine import Resume
from nextgpt_lite.training.loop import Trainer
from nextgpt_lite.training.provenance import base, same_base
from nextgpt_lite.training.report import Trackers, Watcher
from nextgpt_lite.training.runfile import resolved
from nextgpt_lite.training.samples_page import SamplesPage
from nextgpt_lite.training.schedule import Schedule
from nextgpt_lite.training.stages import STAGES
from nextgpt_lite.writing import usable


def train(
    stage: int,
    output: str | Path,
    *,
    profile: str = "lite",
    config: Mapping[str, Any] | None = None,
    data: Data = None,
    follow_links: bool = False,
    init: str | Path | None = None,
    resume: Resume = False,
    cache: str | Path | None = None,
    cache_limit: str | int | None = None,
    report_to: Trackers | None = None,
    samples_every: int = 0,
    watchers: Sequence[Watcher] = (),
    steps: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    seed: int = 0,
    device: str = "auto",
    accumulate: int | None = None,
    mixed_precision: Literal["no", "bf16", "fp16", "auto"] | None = None,
    checkpointing: bool | None = None,
    shard: bool | None = None,
    **schedule: Any,
) -> Trainer:
    """Trains one stage and saves the model into `output`.

    Args:
        stage: 1, 2 or 3.
        output: folder of the run; stage n + 1 takes it as `init`.
        profile: preset to start from when there is no `init`.
        config: changes to that preset: `{"messenger": "caption"}`, `{"signal_tokens": {...}}`, ...
        data: a folder or file, the name of a plugin, a source, or several with weights, see
            `data.open_source`; None is the plugin "lite", which makes conversations without end.
        follow_links: let symbolic links in folders of data lead out of them.
        init: folder of an earlier stage (or "lite"); nothing it learned is lost.
        resume: go on from the checkpoint in `output`, bit for bit; "anyway" also where packages or
            media have changed since, and so not bit for bit.
        cache: folder where frozen work is kept for the next run; None keeps it in memory.
        cache_limit: bytes, or "200GB", beyond which what was used longest ago is deleted.
        report_to, watchers: of `Trainer`.
        samples_every: steps between sample replies in `samples.html`; 0 makes none.
        steps, batch_size, learning_rate: None takes the preset's own, as of all of `Schedule`.
        seed: of what is untrained, and of the order of the data.
        device, accumulate, mixed_precision, checkpointing, shard, schedule: changes of `Schedule`.

    Returns:
        the trainer, with `.model` trained.

    Raises:
        ConfigError: the stage or a field is unknown, `data` lacks what the stage needs, or `init`
            was built with something else than `config`.
        MissingError: `init` or `data` is missing.
    """
    if stage not in STAGES:
        raise ConfigError(f"Unknown stage {stage!r}: choose 1, 2 or 3.")
    plan = STAGES[stage]
    if init is not None:
        profile = _profile(init, config or {})
    numbers = Schedule.of(
        plan, profile, steps=steps, batch_size=batch_size, learning_rate=learning_rate, seed=seed,
        device=device, accumulate=accumulate, mixed_precision=mixed_precision,
        checkpointing=checkpointing, shard=shard, **schedule,
    )  # fmt: skip
    usable(Path(output))
    source = open_source(data, plan, numbers.seed, follow_links)
    if init is None:
        model = NextGPT.from_config(
            NextGPTConfig.from_profile(profile, **(config or {})), numbers.seed, device=device
        )
    else:
        model = NextGPT.from_pretrained(init, device=device)
        if (Path(init) / RUN_FILE).is_file():
            same_base(base(model), read_run(Path(init)).get("base", {}), Path(init) / RUN_FILE)
    if samples_every and numbers.shard:
        raise ConfigError("samples_every needs the whole model on one device: leave out --shard.")
    if samples_every:
        page = SamplesPage(model, Path(output), samples_every, source.prompts())
        watchers = [*watchers, page]
    kept = None if cache is None else Path(cache)
    limit = None if cache_limit is None else in_bytes(cache_limit)
    trainer = Trainer(model, plan, source, Path(output), numbers, kept, report_to, watchers, limit)
    trainer.settings = resolved(
        numbers, model.config, init, stage=stage, output=str(output),
        data=_told(data), follow_links=follow_links, cache="none" if kept is None else str(kept),
        cache_limit=cache_limit,
        report_to=report_to if isinstance(report_to, str) else None, samples_every=samples_every,
    )  # fmt: skip
    trainer.run(resume)
    return trainer


def in_bytes(size: str | int) -> int:
    """Bytes of "200GB", "512 MB", "2e9" or a number.

    Raises:
        ConfigError: it is no size.
    """
    found = re.fullmatch(r"([\d.]+(?:e\d+)?)\s*([kMGT]?)B?", str(size).strip(), re.IGNORECASE)
    if found is None:
        raise ConfigError(f"cache_limit is {size!r}: give bytes, or a size such as 200GB.")
    return int(float(found[1]) * 1000 ** " KMGT".index(found[2].upper() or " "))


def _told(data: Any) -> Any:
    """Data as a run file names them."""
    if isinstance(data, list | tuple):
        return [_told(each) for each in data]
    plain = data is None or isinstance(data, str | Mapping)
    return data if plain else str(data) if isinstance(data, Path) else type(data).__name__


def _profile(init: str | Path, config: Mapping[str, Any]) -> str:
    """The preset that a trained model began with.

    Raises:
        ConfigError: `config` says otherwise than what it was built of.
    """
    folder = trained_folder(init) if init == "lite" else model_folder(str(init))
    saved = NextGPTConfig.from_dict(read_config(folder)["config"]).to_dict()
    config = {**config, **LANGUAGE_MODELS.get(config.get("llm", ""), {})}
    for name, value in config.items():
        own = saved.get(name)
        inside = {**own, **value} if isinstance(own, dict) and isinstance(value, dict) else value
        if inside != own:
            raise ConfigError(
                f"{init} is trained with {name} {own!r}, which cannot become {value!r}: leave out "
                f"init, or {name}."
            )
    return str(saved["profile"])
