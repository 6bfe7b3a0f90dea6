"""Takes the steps of any training: of a stage, of a refinement, of a part alone.

Knows: what comes after what in a step, checkpoints and going on from them, metrics, the end on
request. Leaves to others: the losses and what they reach (`loop`, `part`), the numbers
(`schedule`), files that outlive a kill (`checkpoint`), what is shown (`report`).

Everything random in step n depends on (seed, n) alone: a run that was killed goes on with the same
batches and the same dropout as one that was not.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from safetensors.torch import save_file
from torch import nn
from torch.optim import Optimizer

from nextgpt_lite.errors import ExistsError, RunError, Stopped
from nextgpt_lite.reading import read_tensors, reading
from nextgpt_lite.training.checkpoint import (
    OPTIMIZER_FILE,
    RUN_FILE,
    Asked,
    Checkpoints,
    load_optimizer_state,
    optimizer_state,
    read_run,
    stopping,
)
from nextgpt_lite.training.provenance import same_run, versions
from nextgpt_lite.training.report import METRICS, Report, Watcher, keep_until, peak_memory
from nextgpt_lite.training.schedule import Recipe
from nextgpt_lite.writing import owned

CHECKPOINTS = "checkpoints"
GRADIENT_STEPS = 50  # after which everything that learns must have had a gradient
SMOOTHING = 0.98  # of the loss by which checkpoints are compared

Line = dict[str, float]
Resume: TypeAlias = bool | Literal["anyway"]


class Engine(ABC):
    """A training from its newest checkpoint to its last step.

    Args:
        module: what is trained, or holds it.
        learning: what must have a gradient, by name: any of its parameters after 50 steps.
        optimizers: of all parameters that are open.
        output: folder for `metrics.jsonl`, checkpoints and what was trained.
        schedule: the numbers.
        watchers: called with each logged line.
    """

    title = "training"
    process, processes = 0, 1
    accelerator: Accelerator | None = None

    def __init__(
        self,
        module: nn.Module,
        learning: Mapping[str, Sequence[nn.Parameter]],
        optimizers: Sequence[Optimizer],
        output: Path,
        schedule: Recipe,
        watchers: Sequence[Watcher] = (),
    ) -> None:
        self.module, self.named, self.optimizers = module, learning, list(optimizers)
        self.learning = [p for p in module.parameters() if p.requires_grad]
        self.output, self.schedule, self.watchers = output, schedule, watchers
        self.checkpoints = Checkpoints(output / CHECKPOINTS, schedule.keep)
        self.stop = Asked()
        self.step = 0
        self.seconds = 0.0
        self.loss: float | None = None  # smoothed
        self.waited = 0.0  # seconds of the step in hand that went into its batch
        self._pace: float | None = None  # seconds a step, smoothed

    @abstractmethod
    def backward(self) -> tuple[Line, Line, bool]:
        """Adds the gradients of this step's batch.

        Returns:
            losses by name, with their sum as "total"; counts such as "samples" and "tokens"; and
            whether any process was asked to stop (`stop`) meanwhile.

        Raises:
            NumericsError: the loss is not finite.
        """

    @abstractmethod
    def write(self, folder: Path | None) -> None:
        """Writes what is trained into a checkpoint; None on processes that write nothing."""

    @abstractmethod
    def read(self, folder: Path) -> None:
        """Takes up what `write` wrote."""

    def run(self, resume: Resume = False) -> list[Line]:
        """Trains to the last step and puts what was trained into `output`; the logged lines.

        Interrupted by Ctrl-C or SIGTERM it ends the step in hand and writes a checkpoint first;
        after that, or after a kill, `resume=True` goes on from the newest checkpoint, bit for bit;
        "anyway" goes on also where that is not to be had, for packages or media are others now.

        Raises:
            NumericsError: the loss is not finite.
            ExistsError: `output` holds a checkpoint and `resume` is False.
            RunError: no gradient reaches something that should learn.
            CheckpointError: the checkpoint is of another run.
            RunError: another process writes into `output`.
            OSError: `output` cannot be written; what was saved before is whole.
        """
        with owned(self.output) if self.main else nullcontext():
            return self._run(resume)

    def _run(self, resume: Resume) -> list[Line]:
        schedule = self.schedule
        self.start(resume)
        logged: list[Line] = []
        lines: list[Line] = []
        first = saved = self.step
        unreached = dict(self.named)
        report = Report(
            self.output, self.title, schedule.steps, first, self.watchers, self.accelerator
        )
        try:
            with stopping() as self.stop:
                while self.step < schedule.steps:
                    line, stopped = self.take_step()
                    self._check_gradients(unreached, self.step - first)
                    lines.append(line)
                    report.show(line)
                    last = stopped or self.step == schedule.steps
                    if last or self.step % schedule.log_every == 0:
                        logged.append(self.summary(lines))
                        report.log(logged[-1])
                        lines = []
                    if last or self.step - saved >= schedule.checkpoint_every:
                        self.save()
                        saved = self.step
                    if stopped:
                        raise Stopped(
                            f"saved step {self.step} in {self.checkpoints.folder}; go on with "
                            "--resume (in Python resume=True).",
                            128 + self.stop.signal,
                        )
        finally:
            report.close()
            self.close()
        if not self.step:  # nothing to learn: what is there is the result
            self.save()
        if self.main:
            self.checkpoints.publish(self.step, self.output)
        return logged

    @property
    def main(self) -> bool:
        """Whether this process writes and reports."""
        return self.process == 0

    def take_step(self) -> tuple[Line, bool]:
        """One step of all processes: its line, and whether any of them was asked to stop."""
        started, self.waited = time.monotonic(), 0.0
        set_seed(self.seed_of_step())
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        losses, counts, stopped = self.backward()
        norm = self.clip()
        self.set_rates()
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        self.after_step()
        before = losses["total"] if self.loss is None else self.loss
        self.loss = SMOOTHING * before + (1 - SMOOTHING) * losses["total"]
        seconds = time.monotonic() - started
        self.seconds += seconds
        self._pace = seconds if self._pace is None else 0.9 * self._pace + 0.1 * seconds
        line = {
            "step": self.step,
            **losses,
            "gradient": norm,
            "rate": self.optimizers[0].param_groups[0]["lr"],
            **counts,
            "seconds": self.seconds,
            "data_share": self.waited / seconds,
            **{f"{name}_per_second": count / seconds for name, count in counts.items()},
            "seconds_left": (self.schedule.steps - self.step) * self._pace,
            "peak_memory": peak_memory(self.learning[0].device),
        }
        return line, stopped

    def seed_of_step(self) -> int:
        """Of every source of random numbers in this step: dropout, media, data; by process."""
        step = self.schedule.seed * 1_000_003 + self.step
        return (step * self.processes + self.process) % 2**32

    def clip(self) -> float:
        """Scales the gradients down to the norm that the schedule allows; their norm before."""
        return float(nn.utils.clip_grad_norm_(self.learning, self.schedule.clip))

    def set_rates(self) -> None:
        """Gives the optimizers the learning rate of this step."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.schedule.rate(self.step)

    def after_step(self) -> None:  # noqa: B027
        """What else a step changes."""

    def summary(self, lines: Sequence[Line]) -> Line:
        """What is logged of the lines since the last time."""
        return lines[-1]

    def close(self) -> None:  # noqa: B027
        """Called when the run has ended, also by an error."""

    def start(self, resume: Resume) -> None:
        """Takes up the newest checkpoint."""
        if not resume and any(self.checkpoints):
            raise ExistsError(
                f"{self.checkpoints.folder} holds checkpoints: pass --resume or choose another "
                "--output."
            )
        newest = self.newest() if resume else None
        if newest is not None:
            self._load(newest, resume == "anyway")
        if self.main:
            keep_until(self.step, self.output / METRICS)

    def newest(self) -> Path | None:
        """The checkpoint to go on from, the same on all processes."""
        return self.checkpoints.newest()

    def save(self) -> None:
        """Writes a checkpoint; every process takes part, for a sharded model is gathered."""
        moments = optimizer_state(self.module, self.optimizers)
        making = self.checkpoints.new(self.step, self.state()) if self.main else nullcontext()
        with making as folder:
            self.write(folder)
            if folder is not None:
                save_file(moments, folder / OPTIMIZER_FILE)

    def state(self) -> dict[str, Any]:
        """What `run.json` says: where the run is, and what it must have in common to go on."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "loss": self.loss,
            "schedule": asdict(self.schedule),
            "versions": versions(),
        }

    def _load(self, folder: Path, anyway: bool) -> None:
        """Takes up a checkpoint, unless another run would come of it."""
        theirs = read_run(folder)
        is_over = theirs["step"] >= self.schedule.steps  # nothing will be computed
        same_run(self.state(), theirs, folder / RUN_FILE, anyway or is_over)
        self.read(folder)
        moments = read_tensors(folder / OPTIMIZER_FILE)
        with reading(folder / OPTIMIZER_FILE):
            load_optimizer_state(self.module, self.optimizers, moments)
        self.step, self.seconds, self.loss = theirs["step"], theirs["seconds"], theirs["loss"]

    def _check_gradients(self, unreached: dict[str, Sequence[nn.Parameter]], taken: int) -> None:
        """Strikes out what has a gradient; refuses what has had none but zeros for some steps."""
        for name in [n for n, named in unreached.items() if any(map(_has_gradient, named))]:
            del unreached[name]
        if unreached and taken >= GRADIENT_STEPS:
            raise RunError(
                f"No loss reached {', '.join(sorted(unreached))} in {taken} steps of {self.title}: "
                "the data lack what trains it, or it is not connected to a loss."
            )


def _has_gradient(parameter: nn.Parameter) -> bool:
    return parameter.grad is not None and bool(torch.any(parameter.grad))
