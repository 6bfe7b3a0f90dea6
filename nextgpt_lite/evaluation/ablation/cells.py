"""One cell of a grid: its name by what made it, its stages, its answers.

A stage is known by a hash of all its result depends on: the settings that reach it, its schedule
and data, the frozen parts, and the stage before it. Two cells that agree so far share the folder.
A first stage 1 learns the input projection alone, which no setting of the output side reaches, so
that a whole grid needs it once. The result of a cell is known by its last stage, the questions and
the decoders: another decoder means new answers of the same trained model.

Knows: hashes, folders, the order of work. Leaves to others: the loop (`training.loop`),
instructions and their judge (a plugin), who does what (`runner`).
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from filelock import FileLock
from tqdm.auto import tqdm

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.opening import open_source
from nextgpt_lite.evaluation.ablation.grid import Cell
from nextgpt_lite.evaluation.baselines import Chat
from nextgpt_lite.evaluation.comparison.rows import Row, judged
from nextgpt_lite.evaluation.comparison.run import data_identity
from nextgpt_lite.evaluation.protocols import System
from nextgpt_lite.evaluation.registry import find
from nextgpt_lite.evaluation.tables.sheet import run_table
from nextgpt_lite.model.checkpoint import PROJECTIONS_FILE, identity
from nextgpt_lite.model.config import NextGPTConfig, locate, trained_folder
from nextgpt_lite.model.frozen import with_found_conditions
from nextgpt_lite.reading import read_tensors
from nextgpt_lite.training.cache import hash_files
from nextgpt_lite.training.checkpoint import RUN_FILE, read_run
from nextgpt_lite.training.engine import CHECKPOINTS
from nextgpt_lite.training.features import component_files
from nextgpt_lite.training.loop import Trainer
from nextgpt_lite.training.schedule import FREE, Schedule
from nextgpt_lite.training.stages import Stage
from nextgpt_lite.writing import beside

INPUT_SIDE = ("profile", "encoder", "llm", "input_tokens", "input_projection", "chat_format",
              "precision", "quantization", "official_encoder")  # fmt: skip
ONLY_RUNNING = ("decoder_settings", "offload", "text_encoders")  # what changes no training


@dataclass(frozen=True)
class StageRun:
    """One stage of a cell; `input_only` where other cells may go on from it in other ways."""

    stage: Stage
    schedule: Schedule
    key: str
    folder: Path
    input_only: bool

    @property
    def done(self) -> bool:
        """Whether its training is complete."""
        there = (self.folder / RUN_FILE).is_file()
        return there and bool(read_run(self.folder)["step"] == self.schedule.steps)


@dataclass(frozen=True)
class Plan:
    """A cell with its stages and the file of its result."""

    cell: Cell
    config: NextGPTConfig
    frozen: dict[str, str]
    stages: tuple[StageRun, ...]
    key: str
    output: Path

    @property
    def result(self) -> Path:
        """The file of the result, which exists only when it is complete."""
        return self.output / "cells" / f"{self.key[:20]}.json"


def plan_of(cell: Cell, output: Path, precision: str | None = None) -> Plan:
    """Works out, without loading a model, what a cell needs and what it is called."""
    config = with_found_conditions(cell.settings.config(cell.profile))
    if precision is not None:
        config = replace(config, precision=precision)
    frozen = fingerprints(config, output)
    every = {k: v for k, v in config.to_dict().items() if k not in ONLY_RUNNING}
    runs: list[StageRun] = []
    start = cell.settings.init
    before = identity(trained_folder(start)) if start else ""
    for number in cell.settings.stages:
        stage = cell.settings.stage(number)
        schedule = cell.settings.numbers(number, cell.seed, cell.profile)
        first = not (runs or start) and stage.learns == ("input_projection",)
        reaching = ["encoder", "llm"]
        if not first:
            trained_by = "" if config.denoising else " text"
            reaching += [f"{modality}{trained_by}" for modality in config.decoders]
        numbers = asdict(schedule)
        before = _hash(
            {
                "before": before,
                "stage": number,
                "config": {k: every[k] for k in INPUT_SIDE} if first else every,
                "schedule": {k: numbers[k] for k in numbers if _counts(k)},
                "mixture": stage.mixture,
                "learns": stage.learns,
                "data": open_source(cell.data, stage, schedule.seed).identity(),
                "frozen": {part: frozen[part] for part in reaching},
            }
        )
        folder = output / "stages" / f"{number}-{before[:20]}"
        runs.append(StageRun(stage, schedule, before, folder, first))
    asked = cell.score.asked()
    making = {part["type"] for one in asked for part in one.wanted}
    score: dict[str, Any] = cell.score.model_dump(mode="json", exclude={"instructions"})
    tables = score.pop("tables")
    if tables:
        score["tables"] = [
            [name, tables[name], data_identity(setting.data)]
            for name, (_, setting) in zip(tables, cell.score.settings(), strict=True)
        ]
    key = _hash(
        {
            "model": before,
            "score": score,
            "asked": [one.plain() for one in asked],
            "beside": cell.beside,
            "frozen": {part: frozen[part] for part in ("encoder", *sorted(making))},
        }
    )
    return Plan(cell, config, frozen, tuple(runs), key, output)


def run_cell(plan: Plan, device: str = "auto") -> None:
    """Trains the stages that are not trained yet, scores the model, and writes the result at once.

    Args:
        device: of both (see `model.device`).

    Raises:
        Timeout: another worker is at one of its stages.
    """
    started = time.monotonic()
    for index, run in enumerate(plan.stages):
        with locked(plan.output, run.folder.name):
            if not run.done:
                _train(plan, index, device)
    model = _load(plan, len(plan.stages), device)
    answers = list(score(model, plan.cell))
    sheets = {}
    for name, setting in plan.cell.score.settings():
        parts = plan.output / "tables" / plan.key[:20] / f"table_{name}"
        sheets[f"{name}"] = run_table(
            name, model, replace(setting, seed=plan.cell.seed, parts=parts)
        )
    last = read_run(plan.stages[-1].folder)
    result = {
        "cell": plan.cell.name,
        "seed": plan.cell.seed,
        "key": plan.key,
        "profile": plan.cell.profile,
        "settings": plan.cell.settings.model_dump(mode="json"),
        "config": plan.config.to_dict(),
        "score": plan.cell.score.model_dump(mode="json"),
        "stages": [_summary(run) for run in plan.stages],
        "frozen": plan.frozen,
        **{name: last[name] for name in ("base", "versions", "commit")},
        "seconds": round(time.monotonic() - started, 1),
        "answers": answers,
        "tables": {name: sheet.plain() for name, sheet in sheets.items()},
    }
    with beside(plan.result) as draft:
        draft.write_text(json.dumps(result) + "\n", encoding="utf-8")


def score(model: NextGPT, cell: Cell) -> Iterator[Row]:
    """Asks a trained cell everything, and what stands beside it; yields one row an answer."""
    asked, settings = cell.score.asked(), cell.score
    systems: list[System] = [Chat(model, cell.name)]
    for name in cell.beside:
        systems.append(find("system", name)(model))
        systems[-1].name = f"{cell.name}, {name}"
    judge = find("judge", settings.judging)(model)
    for system in systems:
        rows = judged(
            system, asked, judge, seed=cell.seed, batch_size=settings.batch_size,
            num_inference_steps=settings.num_inference_steps,
        )  # fmt: skip
        yield from tqdm(rows, total=len(asked), desc=system.name, mininterval=1.0)


@contextmanager
def locked(output: Path, name: str, wait: bool = False) -> Iterator[None]:
    """Holds the lock `name` among the workers on this machine; one that dies gives it up.

    Raises:
        Timeout: another worker holds it, and `wait` is False.
    """
    folder = output / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f"{name}.lock", timeout=-1 if wait else 0):
        yield


def fingerprints(config: NextGPTConfig, output: Path) -> dict[str, str]:
    """sha256 of each frozen part's files; of a decoder's text encoder also as "image text"."""

    def digest(name: str, part: str = "encoder") -> str:  # all files, as the encoder's results need
        return hash_files(component_files(locate(name), part), output / "cache")

    found = {"encoder": digest(config.encoder), "llm": digest(config.llm)}
    for modality, name in config.decoders.items():
        found[modality] = digest(name)
        found[f"{modality} text"] = digest(name, modality)
    return found


def _train(plan: Plan, index: int, device: str) -> None:
    """Takes the model through one stage, from its newest checkpoint if there is one."""
    run = plan.stages[index]
    trainer = Trainer(
        _load(plan, index, device),
        run.stage,
        open_source(plan.cell.data, run.stage, run.schedule.seed),
        run.folder,
        replace(run.schedule, device=device),
        cache=plan.output / "cache",
    )
    trainer.run(resume="anyway")  # whose warning tells that packages have changed
    shutil.rmtree(run.folder / CHECKPOINTS)  # its last one has become the folder's model


def _load(plan: Plan, index: int, device: str) -> NextGPT:
    """The model as stage `index` finds it, always from files, as after an interruption."""
    seed = plan.stages[index].schedule.seed if index < len(plan.stages) else plan.cell.seed
    model = NextGPT.from_config(plan.config, seed, device=device)
    start = plan.cell.settings.init
    if not index:
        if start is not None:
            model.load_trained(trained_folder(start))
        return model
    before = plan.stages[index - 1]
    if before.input_only:
        state = read_tensors(before.folder / PROJECTIONS_FILE)
        prefix = "input_projection."
        mine = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        model.input_projection.load_state_dict(mine)
    else:
        model.load_trained(before.folder)
    return model


def _summary(run: StageRun) -> dict[str, Any]:
    told = read_run(run.folder)
    return {
        "stage": run.stage.number,
        "key": run.key,
        "mixture": run.stage.mixture,
        **{name: told[name] for name in ("schedule", "batch", "loss", "seconds", "data")},
    }


def _counts(name: str) -> bool:
    """Whether a number of a schedule changes what is learned."""
    return name in ("steps", "batch_size") or name not in FREE


def _hash(values: Any) -> str:
    return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
