"""One loop on accelerate for all stages and sizes.

Knows: steps, learning rate, gradient clipping, what a checkpoint holds, metrics. Leaves to others:
what learns (`stages`), which conversation is number i (`data.sources`), frozen work (`features`),
files that outlive a kill (`checkpoint`), cutting a model (`sharding`).

Everything random in step n depends on (seed, n) alone: a run that was killed goes on with the same
batches and the same dropout as one that was not. Step n reads the same conversations on one process
as on several, so the two differ by rounding only.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import (
    DistributedDataParallelKwargs,
    DistributedType,
    broadcast_object_list,
    gather_object,
    set_seed,
)
from safetensors.torch import load_file, save_file

from nextgpt_lite.data.sources import Source
from nextgpt_lite.model.batch import Batch, collate
from nextgpt_lite.model.losses import Divisors, Losses
from nextgpt_lite.model.nextgpt import NextGPT
from nextgpt_lite.model.sharding import gathered, shard
from nextgpt_lite.training.checkpoint import (
    OPTIMIZER_FILE,
    RUN_FILE,
    Checkpoints,
    beside,
    load_optimizer_state,
    optimizer_state,
    stopping,
)
from nextgpt_lite.training.features import Features
from nextgpt_lite.training.precision import compile_checked, mixed_precision
from nextgpt_lite.training.provenance import provenance, same_run
from nextgpt_lite.training.report import (
    METRICS,
    PROJECT,
    Report,
    Trackers,
    Watcher,
    keep_until,
    trackers,
)
from nextgpt_lite.training.schedule import Schedule, decaying
from nextgpt_lite.training.stages import (
    Stage,
    check_learning,
    fitted,
    forget_absent,
    ledger,
    open_for,
    without_gradient,
)

CHECKPOINTS = "checkpoints"
GRADIENT_STEPS = 50  # after which every learning part must have had a gradient
SMOOTHING = 0.98  # of the loss by which checkpoints are compared


class Trainer:
    """Takes a model through one stage.

    Args:
        model: from `NextGPT.from_config`, or with what earlier stages learned.
        stage: what learns.
        source: conversations by number.
        output: folder for `metrics.jsonl`, `ledger.json`, checkpoints and the trained model; of
            several machines all must see the same one.
        schedule: the numbers.
        cache: folder of frozen work that outlives the run (see `features`); None keeps none.
        report_to: "tensorboard", "trackio", "wandb", or accelerate's own trackers.
        watchers: called with each logged line, for instance `SamplesPage` or `LivePlot`.
    """

    def __init__(
        self,
        model: NextGPT,
        stage: Stage,
        source: Source,
        output: Path,
        schedule: Schedule,
        cache: Path | None = None,
        report_to: Trackers | None = None,
        watchers: Sequence[Watcher] = (),
    ) -> None:
        AcceleratorState._reset_state()  # else a second run could not have another precision
        self.accelerator = Accelerator(
            mixed_precision=mixed_precision(schedule.mixed_precision),
            log_with=trackers(report_to) or None,
            project_dir=output,
            # Nothing here changes a buffer in training, and processes load decoders, which have
            # some, when they first meet their modality: their lists of buffers differ.
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        )
        self.watchers = watchers
        stage = fitted(stage, model)
        self.stage, self.source, self.output, self.schedule = stage, source, output, schedule
        self.checkpoints = Checkpoints(output / CHECKPOINTS, schedule.keep)
        open_for(model, stage)
        self.model = model.to(self.accelerator.device)
        self.features = Features(self.model, source.folder, cache)
        sharded = schedule.shard or self.accelerator.is_fsdp2
        if sharded:
            shard(self.model)
        self.attention = self.model.llm.causal_lm.config._attn_implementation
        if self.accelerator.device.type == "cpu":  # faster than sdpa on short rows
            self.model.llm.causal_lm.set_attn_implementation("eager")
        if schedule.checkpointing:
            self.model.llm.causal_lm.gradient_checkpointing_enable({"use_reentrant": False})
        self.learning = [p for p in self.model.parameters() if p.requires_grad]
        groups = decaying(self.learning, schedule.weight_decay)
        # Fused is one pass over the weights: five times as fast on a CPU.
        optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.98), fused=True)
        if sharded:  # accelerate would copy it, or lose parameters of which it has no share
            self.wrapped = self.model
            self.optimizer = self.accelerator.prepare_optimizer(optimizer)
        else:
            self.wrapped, self.optimizer = self.accelerator.prepare(self.model, optimizer)
        self.step = 0
        self.seconds = 0.0
        self.loss: float | None = None  # smoothed

    def run(self, resume: bool = False) -> list[dict[str, float]]:
        """Trains to the last step, saves the model into `output`, returns the logged metrics.

        Interrupted by Ctrl-C or SIGTERM it ends the step in hand and writes a checkpoint first;
        after that, or after a kill, `resume=True` goes on from the newest checkpoint.

        Raises:
            FloatingPointError: the loss is not finite; names the records of the batch.
            FileExistsError: `output` holds a checkpoint and `resume` is False.
            RuntimeError: something else would learn than the ledger says.
            ValueError: the checkpoint is of another stage, base model, data set or schedule.
            OSError: `output` cannot be written; what was saved before is whole.
        """
        self._start(resume)
        metrics: list[dict[str, float]] = []
        idle, first, saved = set(self.stage.learns), self.step, self.step
        title = f"stage {self.stage.number}"
        self.report = Report(
            self.accelerator, self.output, title, self.schedule.steps, self.step, self.watchers
        )
        self.wrapped.train()
        try:
            with stopping() as stop:
                while self.step < self.schedule.steps:
                    line, stopped = self._one_step(stop)
                    idle = self._reached(idle, self.step - first)
                    self.report.show(line)
                    last = stopped or self.step == self.schedule.steps
                    if last or self.step % self.schedule.log_every == 0:
                        metrics.append(line)
                        self.report.log(line)
                    if last or self.step - saved >= self.schedule.checkpoint_every:
                        self._save()
                        saved = self.step
                    if stopped:
                        raise KeyboardInterrupt
        finally:
            self.features.flush()
            self.report.close()
            self.model.llm.causal_lm.set_attn_implementation(self.attention)
            self.wrapped.eval()
        if self.accelerator.is_main_process:
            self.checkpoints.publish(self.step, self.output)
        self.accelerator.wait_for_everyone()
        return metrics

    def batch(self, step: int, part: int = 0) -> tuple[Batch, list[str]]:
        """One part of this process's share of a step's batch, and the ids of its records."""
        process, processes = self.accelerator.process_index, self.accelerator.num_processes
        first = (step * processes + process) * self.schedule.batch_size
        share = range(first, first + self.schedule.batch_size)[part :: self.schedule.accumulate]
        records = [self.source(index) for index in share]
        encoded = [self.model.conversation.encode(record.messages) for record in records]
        packed = self.schedule.packed and not self.model.prefixes_frozen
        batch = collate(
            encoded,
            pad_id=self.model.llm.tokenizer.pad_token_id or 0,
            width=self.model.encoder_width,
            features=self.features.media,
            conditions=self.features.conditions,
            latents=self.features.latents if self.model.config.denoising else None,
            pack=self.schedule.row if packed else None,
        )
        return batch.to(self.accelerator.device), [record.id for record in records]

    def _one_step(self, stop: Event) -> tuple[dict[str, float], bool]:
        """One step of all processes: its log line, and whether any of them was asked to stop."""
        started = time.monotonic()
        self._seed()
        parts = [self.batch(self.step, part) for part in range(self.schedule.accumulate)]
        each = zip(*(batch.divisors() for batch, _ in parts), strict=True)
        divisors = Divisors(*(torch.stack(values).mean(0) for values in each))
        divisors = self.accelerator.reduce(divisors, "mean")
        self.optimizer.zero_grad(set_to_none=True)
        found, suspects = [], []
        for batch, ids in parts:
            losses = self._pass(batch, divisors, last=batch is parts[-1][0])
            found.append(torch.stack([*losses]).detach())
            suspects += [] if found[-1].isfinite().all() else ids
        tokens = torch.stack([batch.attention_mask.sum() for batch, _ in parts]).sum()
        asked = torch.tensor(float(stop.is_set()), device=tokens.device)
        mine = torch.cat([torch.stack(found).mean(0), torch.stack([asked, tokens.float()])])
        *known, stopped, read = self.accelerator.reduce(mine, "mean").tolist()
        if not math.isfinite(known[0]):
            raise FloatingPointError(
                f"The loss of step {self.step} is not finite in precision "
                f"{self.accelerator.mixed_precision!r}; its records are "
                f"{', '.join(gather_object(suspects))}: look at them, or try --precision no."
            )
        forget_absent(self.model, divisors.blocks)
        norm = self.accelerator.clip_grad_norm_(self.learning, self.schedule.clip)
        rate = self.schedule.rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.step += 1
        before = known[0] if self.loss is None else self.loss
        self.loss = SMOOTHING * before + (1 - SMOOTHING) * known[0]
        processes, seconds = self.accelerator.num_processes, time.monotonic() - started
        self.seconds += seconds
        line = {
            "step": self.step,
            **dict(zip(Losses._fields, known, strict=True)),
            "gradient": float(gathered(norm)),
            "rate": rate,
            "tokens": round(read * processes),
            "seconds": self.seconds,
            **self.report.measured(
                self.step, seconds, self.schedule.batch_size * processes, round(read * processes)
            ),
        }
        return line, stopped > 0

    def _pass(self, batch: Batch, divisors: Divisors, last: bool) -> Losses:
        """Forward and backward of one part; processes wait for each other in the last one only."""
        apart = nullcontext() if last else self.accelerator.no_sync(self.wrapped)
        with apart:
            with self.accelerator.autocast():
                losses: Losses = self.wrapped(batch, divisors)
            self.accelerator.backward(losses.total / self.schedule.accumulate)
        return losses

    def _seed(self) -> None:
        """Every source of random numbers, apart for each process: dropout, media, mixtures."""
        process, processes = self.accelerator.process_index, self.accelerator.num_processes
        step = self.schedule.seed * 1_000_003 + self.step
        set_seed((step * processes + process) % 2**32)

    def _reached(self, idle: set[str], taken: int) -> set[str]:
        """The learning parts that have had no gradient yet; refused after some steps."""
        idle = without_gradient(self.model, idle) if idle else idle
        if idle and taken >= GRADIENT_STEPS:
            raise RuntimeError(
                f"No loss reached {', '.join(sorted(idle))} in {taken} steps of stage "
                f"{self.stage.number}: the data lack what trains it."
            )
        return idle

    def _start(self, resume: bool) -> None:
        """Checks what will learn, takes up the newest checkpoint, writes the ledger."""
        check_learning(self.model, self.stage, self.optimizer)
        if self.schedule.compile:
            compile_checked(self.model, self.batch(0)[0], self.accelerator.autocast)
        self.accelerator.init_trackers(PROJECT, asdict(self.schedule))
        self.origin = provenance(self.model, self.source)
        if not resume and any(self.checkpoints):
            raise FileExistsError(
                f"{self.checkpoints.folder} holds checkpoints: pass --resume or choose another "
                "--output."
            )
        if resume and self.accelerator.distributed_type == DistributedType.DEEPSPEED:
            raise ValueError(
                "DeepSpeed keeps the optimiser's moments to itself, so --resume would not be "
                "exact: give the newest checkpoint as --init of a new --output, or use FSDP2."
            )
        main = self.accelerator.is_main_process
        found = broadcast_object_list([self.checkpoints.newest() if main and resume else None])
        if found[0] is not None:
            self._load(found[0])
        if not main:
            return
        with beside(self.output / "ledger.json") as path:
            rows = [row._asdict() for row in ledger(self.model, self.stage)]
            path.write_text(json.dumps(rows, indent=1) + "\n")
        keep_until(self.step, self.output / METRICS)

    def _save(self) -> None:
        """Writes a checkpoint; every process takes part, for a sharded model is gathered."""
        main = self.accelerator.is_main_process
        moments = optimizer_state(self.model, self.optimizer)
        with self.checkpoints.new(self.step, self._state()) if main else nullcontext() as folder:
            self.model.save_pretrained(folder or self.output, is_main_process=main)
            if folder is not None:
                save_file(moments, folder / OPTIMIZER_FILE)

    def _state(self) -> dict[str, Any]:
        """What `run.json` says: where the run is, and where it comes from."""
        scaler = self.accelerator.scaler
        return {
            "stage": self.stage.number,
            "step": self.step,
            "seconds": self.seconds,
            "loss": self.loss,
            "scaler": None if scaler is None else scaler.state_dict(),
            "batch": self.schedule.batch_size * self.accelerator.num_processes,
            "schedule": asdict(self.schedule),
            **self.origin,
        }

    def _load(self, folder: Path) -> None:
        """Takes up a checkpoint, unless another run would come of it."""
        theirs, ours = json.loads((folder / RUN_FILE).read_text()), self._state()
        same_run(ours, theirs, folder)
        self.model.load_trained(folder)
        load_optimizer_state(self.model, self.optimizer, load_file(folder / OPTIMIZER_FILE))
        if theirs["scaler"] is not None and self.accelerator.scaler is not None:
            self.accelerator.scaler.load_state_dict(theirs["scaler"])
        self.step, self.seconds, self.loss = theirs["step"], theirs["seconds"], theirs["loss"]
