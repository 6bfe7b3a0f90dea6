"""One loop on accelerate for all stages and sizes.

Knows: steps, learning rate, gradient clipping, checkpoints written whole or not at all, metrics.
Leaves to others: what learns (`stages`), which conversation is number i (`mixture`), frozen work
(`features`).

Everything random in step n depends on (seed, n) alone: a run that was stopped goes on with the
same batches and the same dropout as one that was not.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from tqdm.auto import tqdm

from nextgpt_lite.batch import Batch, collate
from nextgpt_lite.losses import Losses
from nextgpt_lite.model import NextGPT
from nextgpt_lite.training.features import Features
from nextgpt_lite.training.mixture import Mixture
from nextgpt_lite.training.stages import Stage, ledger, open_for

CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.jsonl"


@dataclass(frozen=True)
class Schedule:
    """The numbers of a run."""

    steps: int
    batch_size: int
    learning_rate: float
    warmup: int = 50
    weight_decay: float = 0.01
    clip: float = 1.0
    seed: int = 0
    log_every: int = 10
    checkpoint_seconds: float = 60.0
    mixed_precision: str = "no"

    @classmethod
    def of(cls, stage: Stage, **changes: Any) -> Schedule:
        """The stage's defaults, with every given change that is not None."""
        values = {
            "steps": stage.steps,
            "batch_size": stage.batch_size,
            "learning_rate": stage.learning_rate,
            **{name: value for name, value in changes.items() if value is not None},
        }
        return cls(**values)

    def rate(self, step: int) -> float:
        """Linear warm-up, then a cosine down to a twentieth."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * (0.05 + 0.475 * (1 + math.cos(math.pi * min(1.0, progress))))


class Trainer:
    """Takes a model through one stage.

    Args:
        model: from `NextGPT.from_config`, or with what earlier stages learned.
        stage: what learns.
        mixture: conversations by number.
        output: folder for `metrics.jsonl`, `ledger.json`, the checkpoint and the trained model.
        schedule: the numbers.
        media_folder: where media paths of the conversations are resolved.
    """

    def __init__(
        self,
        model: NextGPT,
        stage: Stage,
        mixture: Mixture,
        output: Path,
        schedule: Schedule,
        media_folder: Path | None = None,
    ) -> None:
        self.accelerator = Accelerator(mixed_precision=schedule.mixed_precision)
        self.stage, self.mixture, self.output, self.schedule = stage, mixture, output, schedule
        self.learning = open_for(model, stage)
        self.model = model.to(self.accelerator.device)
        self.features = Features(self.model, media_folder)
        matrices = [p for p in self.learning if p.ndim > 1]
        vectors = [p for p in self.learning if p.ndim <= 1]
        optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": schedule.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            betas=(0.9, 0.98),
        )
        self.wrapped, self.optimizer = self.accelerator.prepare(self.model, optimizer)
        self.step = 0
        self.seconds = 0.0

    def run(self, resume: bool = False) -> list[dict[str, float]]:
        """Trains to the last step, saves the model into `output`, returns the logged metrics.

        Interrupted by Ctrl-C it writes a checkpoint first; `resume=True` goes on from it.

        Raises:
            FloatingPointError: the loss is not finite; names the records of the batch.
            FileExistsError: `output` holds a checkpoint and `resume` is False.
        """
        self.output.mkdir(parents=True, exist_ok=True)
        path = self.output / CHECKPOINT
        if path.exists():
            if not resume:
                raise FileExistsError(f"{path} exists: pass --resume or choose another --output.")
            self._load(path)
        self._write("ledger.json", [row._asdict() for row in ledger(self.model, self.stage)])
        metrics: list[dict[str, float]] = []
        bar = tqdm(
            total=self.schedule.steps,
            initial=self.step,
            desc=f"stage {self.stage.number}",
            disable=not self.accelerator.is_main_process,
            mininterval=1.0,
        )
        self.wrapped.train()
        saved = time.monotonic()
        try:
            while self.step < self.schedule.steps:
                line = self._one_step()
                bar.update()
                bar.set_postfix({k: f"{line[k]:.3f}" for k in Losses._fields}, refresh=False)
                if self.step % self.schedule.log_every == 0 or self.step == self.schedule.steps:
                    metrics.append(line)
                    self._log(line)
                if time.monotonic() - saved > self.schedule.checkpoint_seconds:
                    self._save(path)
                    saved = time.monotonic()
        except KeyboardInterrupt:
            self._save(path)
            raise
        finally:
            bar.close()
            self.wrapped.eval()
        self.accelerator.wait_for_everyone()
        if self.accelerator.is_main_process:
            self.model.save_pretrained(self.output)
            self._save(path)
        return metrics

    def batch(self, step: int) -> tuple[Batch, list[str]]:
        """This process's batch of a step, and the ids of its records."""
        process, processes = self.accelerator.process_index, self.accelerator.num_processes
        first = (step * processes + process) * self.schedule.batch_size
        records = [self.mixture(first + i) for i in range(self.schedule.batch_size)]
        encoded = [self.model.conversation.encode(record.messages) for record in records]
        batch = collate(
            encoded,
            pad_id=self.model.llm.tokenizer.pad_token_id or 0,
            width=self.model.encoder.width,
            features=self.features.media,
            conditions=self.features.conditions,
        )
        return batch.to(self.accelerator.device), [record.id for record in records]

    def _one_step(self) -> dict[str, float]:
        started = time.monotonic()
        torch.manual_seed(self.schedule.seed * 1_000_003 + self.step)  # dropout
        batch, ids = self.batch(self.step)
        with self.accelerator.autocast():
            losses: Losses = self.wrapped(batch)
        if not torch.isfinite(losses.total):
            raise FloatingPointError(
                f"The loss of step {self.step} is not finite; its records are {', '.join(ids)}."
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(losses.total)
        norm = self.accelerator.clip_grad_norm_(self.learning, self.schedule.clip)
        rate = self.schedule.rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.step += 1
        self.seconds += time.monotonic() - started
        return {
            "step": self.step,
            **losses.floats(),
            "gradient": float(norm),
            "rate": rate,
            "tokens": int(batch.attention_mask.sum()),
            "seconds": self.seconds,
        }

    def _log(self, line: dict[str, float]) -> None:
        if self.accelerator.is_main_process:
            with (self.output / METRICS).open("a") as file:
                file.write(json.dumps({k: float(f"{v:.6g}") for k, v in line.items()}) + "\n")

    def _write(self, name: str, values: Any) -> None:
        if self.accelerator.is_main_process:
            (self.output / name).write_text(json.dumps(values, indent=1) + "\n")

    def _save(self, path: Path) -> None:
        """Writes beside and renames, so that a cut-off write harms nothing."""
        if not self.accelerator.is_main_process:
            return
        state = {
            "stage": self.stage.number,
            "schedule": asdict(self.schedule),
            "step": self.step,
            "seconds": self.seconds,
            "learned": [parameter.detach().cpu() for parameter in self.learning],
            "optimizer": self.optimizer.state_dict(),
        }
        beside = path.with_suffix(".writing")
        torch.save(state, beside)
        beside.replace(path)  # atomic on one file system

    def _load(self, path: Path) -> None:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state["stage"] != self.stage.number:
            raise ValueError(
                f"{path} is of stage {state['stage']}, not {self.stage.number}: choose another "
                "--output for this stage."
            )
        self.step, self.seconds = state["step"], state["seconds"]
        with torch.no_grad():
            for parameter, value in zip(self.learning, state["learned"], strict=True):
                parameter.copy_(value)
        self.optimizer.load_state_dict(state["optimizer"])
