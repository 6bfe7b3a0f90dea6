"""What a run leaves behind so that it may be killed at any moment.

Knows: writing beside and renaming, checkpoints with their sums, which of them are kept and which
is the newest whole one, ending after the step in hand. Leaves to others: what a checkpoint holds
(`engine`).

A checkpoint of the three stages is a folder with a `SHA256SUMS` that `sha256sum -c` reads; it is
also a model folder that `NextGPT.from_pretrained` loads.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn
from torch.optim import Optimizer

from nextgpt_lite.errors import CheckpointError
from nextgpt_lite.model.sharding import cut_like, gathered

logger = logging.getLogger(__name__)

SUMS = "SHA256SUMS"
RUN_FILE = "run.json"
OPTIMIZER_FILE = "optimizer.safetensors"


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Gives a place to write beside `path`, and renames it to `path` once all is on the disk.

    If the writing is cut off, even by SIGKILL or a power cut, `path` stays as it was before:
    without the wait for the disk, a file system may keep the new name and lose what is in it.

    Raises:
        OSError: in one sentence: the disk is full, the folder is read-only, ...
    """
    draft = path.with_suffix(".writing")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove(draft)  # left by a run that was killed
        yield draft
        for written in (*draft.iterdir(), draft) if draft.is_dir() else (draft,):
            _to_disk(written)
        draft.replace(path)  # atomic on one file system
        _to_disk(path.parent)
    except (OSError, RuntimeError, SafetensorError) as error:
        with suppress(OSError):
            _remove(draft)
        raise _unwritten(path, error) from error


def append(path: Path, text: str) -> None:
    """Adds text to a file of lines.

    Raises:
        OSError: in one sentence, as of `beside`.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise _unwritten(path, error) from error


def _unwritten(path: Path, error: Exception) -> OSError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else error
    return OSError(
        f"{path} cannot be written ({why}): make room or make the folder writable, then start "
        "again (a training with --resume); what was saved before is whole."
    )


def _to_disk(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk; Windows syncs no folders."""
    if path.is_dir() and sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
            (draft / RUN_FILE).write_text(json.dumps(run, indent=1) + "\n")
            lines = [f"{_sum(path)}  {path.name}\n" for path in sorted(draft.iterdir())]
            (draft / SUMS).write_text("".join(lines))
        kept = {*list(self)[: self.keep], self.best()}
        for path in self:
            if path not in kept:
                shutil.rmtree(path)

    def publish(self, step: int, folder: Path) -> None:
        """Copies the model of a checkpoint, and its `run.json`, to where the trained model lies."""
        for source in sorted((self.folder / f"step-{step:08}").iterdir()):
            if source.name not in (SUMS, OPTIMIZER_FILE):
                with beside(folder / source.name) as draft:
                    shutil.copyfile(source, draft)

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
            _remove(aside)
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


def _loss(folder: Path) -> float:
    try:
        return float(json.loads((folder / RUN_FILE).read_text())["loss"])
    except (OSError, ValueError, KeyError, TypeError):
        return float("inf")  # damaged, or no step was taken: never the best


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _trouble(folder: Path) -> str | None:
    """What is wrong with a checkpoint, None when it is whole."""
    try:
        lines = (folder / SUMS).read_text().splitlines()
        sums = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
        if RUN_FILE not in sums:
            return f"{SUMS} is cut off"
        for name, digest in sums.items():
            if _sum(folder / Path(name).name) != digest:
                return f"{name} is not what was written"
    except (OSError, ValueError) as error:
        return f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
    return None


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
        if value.ndim:
            value = cut_like(value.to(parameter.device), parameter)
        elif group.get("fused"):  # which counts steps where it works; other optimizers on the CPU
            value = value.to(parameter.device)
        optimizer.state[parameter][moment] = value


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """SIGINT and SIGTERM ask for an end after the step in hand; a second one ends at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():  # where no signal arrives
        yield asked
        return

    def ask(number: int, _: object) -> None:
        asked.set()
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
