"""What a run leaves behind so that it may be killed at any moment.

Knows: checkpoints with their sums, which of them are kept and which is the newest whole one, ending
after the step in hand. Leaves to others: what a checkpoint holds (`engine`), and how it gets to the
disk (`writing`).

A checkpoint of the three stages is a folder with a `SHA256SUMS` that `sha256sum -c` reads; it is
also a model folder that `NextGPT.from_pretrained` loads.
"""

from __future__ import annotations

import json
import logging
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NotRequired

from pydantic import Field, with_config
from torch import Tensor, nn
from torch.optim import Optimizer
from typing_extensions import TypedDict

from nextgpt_lite.errors import CheckpointError
from nextgpt_lite.model.sharding import cut_like, gathered
from nextgpt_lite.reading import SUMS, check_sums, read_json, read_sums, said, write_sums
from nextgpt_lite.writing import beside, remove

logger = logging.getLogger(__name__)

RUN_FILE = "run.json"
OPTIMIZER_FILE = "optimizer.safetensors"


class Checkpoints:
    """The folders `step-00000100`, ... of a run: the newest few, and the best.

    Args:
        folder: where they lie.
        keep: how many of the newest are kept; the one of the lowest loss is kept besides.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        self.folder, self.keep = folder, keep

    def __iter__(self) -> Iterator[Path]:
        """From the newest to the oldest."""
        found = (path for path in self.folder.glob("step-*") if path.name[5:].isdigit())
        return iter(sorted(found, reverse=True))

    @contextmanager
    def new(self, step: int, run: dict[str, Any]) -> Iterator[Path]:
        """Gives an empty folder to write into; it counts once its last file is written.

        Args:
            step: names the checkpoint.
            run: what `run.json` will hold; "loss" decides which checkpoint is the best.
        """
        with beside(self.folder / f"step-{step:08}") as draft:
            draft.mkdir()
            yield draft
            (draft / RUN_FILE).write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
            write_sums(draft)
        kept = {*list(self)[: self.keep], self.best()}
        for path in self:
            if path not in kept:
                shutil.rmtree(path)

    def publish(self, step: int, folder: Path) -> None:
        """Copies the model of a checkpoint, and its `run.json`, to where the trained model lies.

        The sums come last: until then, those of another model refuse the mixture.
        """
        made = []
        for source in sorted((self.folder / f"step-{step:08}").iterdir()):
            if source.name not in (SUMS, OPTIMIZER_FILE):
                with beside(folder / source.name) as draft:
                    shutil.copyfile(source, draft)
                made.append(folder / source.name)
        write_sums(folder, made)

    def best(self) -> Path | None:
        """The one of the lowest loss, the newest of them if several are."""
        return min(self, key=_loss, default=None)

    def newest(self) -> Path | None:
        """The newest whole one. Damaged ones are set aside, and the log says so.

        Raises:
            CheckpointError: there are checkpoints, but every one is damaged.
        """
        damaged = []
        for path in self:
            trouble = _trouble(path)
            if trouble is None:
                return path
            aside = path.with_suffix(".damaged")
            remove(aside)
            damaged.append(path.replace(aside))
            logger.warning(
                "%s is damaged (%s): set aside as %s, the checkpoint before it is used.",
                path, trouble, aside.name,
            )  # fmt: skip
        if damaged:
            raise CheckpointError(
                f"{self.folder} holds no whole checkpoint, {len(damaged)} damaged: remove the "
                "folder to start from the beginning, or restore it from a copy."
            )
        return None


@with_config(extra="allow")
class Run(TypedDict):
    """What `run.json` says; `provenance` says more of its own."""

    step: Annotated[int, Field(ge=0)]
    seconds: float
    loss: float
    schedule: dict[str, Any]
    scaler: NotRequired[dict[str, Any] | None]
    base: NotRequired[dict[str, Any]]
    set_aside: NotRequired[dict[str, int]]
    versions: NotRequired[dict[str, Any] | None]


def read_run(folder: Path) -> dict[str, Any]:
    """Where the run was that wrote a folder, and what it must have in common to go on.

    Raises:
        MissingError, DamagedError: `run.json` is not there or not whole.
    """
    run: dict[str, Any] = read_json(folder / RUN_FILE, Run, "give a folder that a run wrote, whole")
    return run


def _loss(folder: Path) -> float:
    try:
        return float(read_json(folder / RUN_FILE)["loss"])
    except (OSError, ValueError, KeyError, TypeError):
        return float("inf")  # damaged, or no step was taken: never the best


def _trouble(folder: Path) -> str | None:
    """What is wrong with a checkpoint, None when it is whole."""
    try:
        if RUN_FILE not in read_sums(folder):
            return f"{SUMS} is cut off"
        check_sums(folder)
    except (OSError, ValueError) as error:
        return said(error)
    return None


def optimizer_state(model: nn.Module, optimizers: Sequence[Optimizer]) -> dict[str, Tensor]:
    """The optimizers' tensors as "parameter/moment", whole and on the CPU.

    Every process must ask, for a cut model is gathered.
    """
    return {
        f"{name}/{moment}": gathered(value).detach().cpu().contiguous()
        for name, parameter in model.named_parameters()
        for optimizer in optimizers
        if parameter in optimizer.state
        for moment, value in optimizer.state[parameter].items()
    }


def load_optimizer_state(
    model: nn.Module, optimizers: Sequence[Optimizer], state: dict[str, Tensor]
) -> None:
    """Inverts `optimizer_state`, whether or not the model is cut as it was then."""
    parameters = dict(model.named_parameters())
    held = {
        id(p): (o, group) for o in optimizers for group in o.param_groups for p in group["params"]
    }
    for key, value in state.items():
        name, _, moment = key.rpartition("/")
        parameter = parameters[name]
        optimizer, group = held[id(parameter)]
        if value.ndim and value.shape != parameter.shape:
            raise CheckpointError(f"{key} is {[*value.shape]}, expected {[*parameter.shape]}")
        if value.ndim:
            value = cut_like(value.to(parameter.device), parameter)
        elif group.get("fused"):  # which counts steps where it works; other optimizers on the CPU
            value = value.to(parameter.device)
        optimizer.state[parameter][moment] = value


class Asked(threading.Event):
    """Set when an end is asked for; `signal` says by what."""

    signal = signal.SIGINT


@contextmanager
def stopping() -> Iterator[Asked]:
    """SIGINT and SIGTERM ask for an end after the step in hand; a second one ends at once."""
    asked = Asked()
    if threading.current_thread() is not threading.main_thread():  # where no signal arrives
        yield asked
        return

    def ask(number: int, _: object) -> None:
        asked.signal = signal.Signals(number)
        asked.set()
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
