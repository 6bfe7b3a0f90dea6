"""Takes a model through one stage, on accelerate, at all sizes.

Knows: losses over several processes and passes, what a model's checkpoint holds. Leaves to others:
the steps (`engine`), what learns (`stages`), which conversation is number i (`data.sources`),
batches (`feed`), frozen work (`features`), cutting a model (`sharding`).

Step n reads the same conversations on one process as on several, so the two differ by rounding
only.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import (
    DistributedDataParallelKwargs,
    DistributedType,
    broadcast_object_list,
    gather_object,
    set_seed,
)

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.sources import Source
from nextgpt_lite.errors import ConfigError, NextGPTError, NumericsError, RunError
from nextgpt_lite.model.batch import Batch
from nextgpt_lite.model.device import pick_device
from nextgpt_lite.model.known_media import KnownMedia
from nextgpt_lite.model.losses import Divisors, Losses
from nextgpt_lite.model.sharding import gathered, shard
from nextgpt_lite.reading import reading
from nextgpt_lite.training.checkpoint import RUN_FILE, read_run
from nextgpt_lite.training.engine import Engine, Line, Resume
from nextgpt_lite.training.features import Features
from nextgpt_lite.training.feed import Drawn, Feed, HeldOut
from nextgpt_lite.training.precision import compile_checked, mixed_precision
from nextgpt_lite.training.provenance import provenance
from nextgpt_lite.training.report import PROJECT, Trackers, Watcher, trackers
from nextgpt_lite.training.runfile import RUN_CONFIG
from nextgpt_lite.training.schedule import Schedule, decaying
from nextgpt_lite.training.stages import (
    Stage,
    check_learning,
    drop_absent_gradients,
    fitted,
    learning_parts,
    ledger,
    open_for,
)
from nextgpt_lite.training.usable import Usable
from nextgpt_lite.writing import beside

LOST = re.compile("by peer|broken pipe|remote process|gloo|nccl", re.I)  # told of by backends


class Trainer(Engine):
    """Takes a model through one stage.

    Args:
        model: from `NextGPT.from_config`, or with what earlier stages learned.
        stage: what learns.
        source: conversations by number.
        output: folder for `metrics.jsonl`, `ledger.json`, checkpoints and the trained model; of
            several machines all must see the same one.
        schedule: the numbers.
        cache: folder of frozen work that outlives the run (see `features`); None keeps none.
        cache_limit: bytes of it, beyond which what was used longest ago is deleted.
        report_to: "tensorboard", "trackio", "wandb", or accelerate's own trackers.
        watchers: called with each logged line, for instance `SamplesPage` or `LivePlot`.

    Attributes:
        settings: what `run.yaml` says of the run, where it can be said in a file (see `runfile`).
    """

    settings: dict[str, Any] | None = None
    schedule: Schedule
    accelerator: Accelerator

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
        cache_limit: int | None = None,
    ) -> None:
        device = pick_device(schedule.device)
        if device.index is not None:  # accelerate takes the current one
            torch.cuda.set_device(device)
        # Else a second run in this process could have no other precision, nor another device.
        alone = not (torch.distributed.is_available() and torch.distributed.is_initialized())
        AcceleratorState._reset_state(alone)
        self.accelerator = Accelerator(
            cpu=schedule.device == "cpu",
            mixed_precision=mixed_precision(schedule.mixed_precision, device),
            log_with=trackers(report_to) or None,
            project_dir=output,
            # Nothing here changes a buffer in training, and processes load decoders, which have
            # some, when they first meet their modality: their lists of buffers differ.
            kwargs_handlers=[DistributedDataParallelKwargs(broadcast_buffers=False)],
        )
        self.process = self.accelerator.process_index
        self.processes = self.accelerator.num_processes
        self.stage, self.source = fitted(stage, model), source
        if schedule.held_out:
            self.source, held_out = source.split(schedule.held_out)
        self.title = f"stage {stage.number}"
        open_for(model, self.stage)
        model.known_media = KnownMedia({})  # it is going to know others
        self.model = model.to(self.accelerator.device)
        self.features = Features(
            self.model, source.folder, cache, cache_limit, schedule.half_conditions
        )
        usable = Usable(self.model, lambda index: self.source(index), self.features)
        self.feed = Feed(usable, schedule, self.process, self.processes)
        self.held_out: HeldOut | None = None
        if schedule.held_out:
            apart = Usable(self.model, held_out, self.features)
            one = replace(schedule, accumulate=1, workers=0)
            self.held_out = HeldOut(Feed(apart, one, self.process, self.processes), held_out.epoch)
        self.set_aside = dict.fromkeys(("replaced", "cut"), 0)  # records, by all processes
        sharded = schedule.shard or self.accelerator.is_fsdp2
        if sharded:
            shard(self.model, self.model.llm)
        self.attention = self.model.llm.causal_lm.config._attn_implementation
        if self.accelerator.device.type == "cpu":  # faster than sdpa on short rows
            self.model.llm.causal_lm.set_attn_implementation("eager")
        if schedule.checkpointing:
            self.model.llm.causal_lm.gradient_checkpointing_enable({"use_reentrant": False})
        learning = learning_parts(self.model)
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        # Fused is one pass over the weights: five times as fast on a CPU.
        optimizer: Any = torch.optim.AdamW(
            decaying(parameters, schedule.weight_decay), betas=(0.9, schedule.beta2), fused=True
        )
        if sharded:  # accelerate would copy it, or lose parameters of which it has no share
            self.wrapped = self.model
            optimizer = self.accelerator.prepare_optimizer(optimizer)
        else:
            self.wrapped, optimizer = self.accelerator.prepare(self.model, optimizer)
        super().__init__(self.model, learning, [optimizer], output, schedule, watchers)

    def run(self, resume: Resume = False) -> list[Line]:
        """As of `Engine`; a loss that is not finite names the records of the batch.

        Raises:
            RunError: something else would learn than the ledger says, or another process of this
                training has ended.
        """
        try:
            logged = super().run(resume)
            self.accelerator.wait_for_everyone()
        except RuntimeError as error:
            alone = self.processes == 1 or isinstance(error, NextGPTError)
            if alone or not LOST.search(f"{error}"):
                raise
            raise RunError(
                f"another of the {self.processes} processes has ended in step {self.step + 1}, see "
                f"what it said; what was saved in {self.checkpoints.folder} is whole: go on with "
                "--resume (in Python resume=True)."
            ) from error
        return logged

    def batch(self, step: int, part: int = 0) -> tuple[Batch, list[str]]:
        """One part of this process's share of a step's batch, and the ids of its records."""
        return self._here(self.feed.whole(step * self.schedule.accumulate + part))

    def _here(self, drawn: Drawn) -> tuple[Batch, list[str]]:
        assert drawn.batch is not None
        return drawn.batch.to(self.accelerator.device), drawn.ids

    def backward(self) -> tuple[Line, Line, bool]:
        """Of one batch in one pass or several; see `Engine`."""
        started, passes = time.monotonic(), self.schedule.accumulate
        drawn = [self.feed.take(self.step * passes + part) for part in range(passes)]
        parts = [self._here(each) for each in drawn]
        self.waited = time.monotonic() - started
        each = zip(*(batch.divisors() for batch, _ in parts), strict=True)
        divisors = Divisors(*(torch.stack(values).mean(0) for values in each))
        divisors = self.accelerator.reduce(divisors, "mean")
        found, suspects = [], []
        for batch, ids in parts:
            losses = self._pass(batch, divisors, last=batch is parts[-1][0])
            found.append(torch.stack([*losses]).detach())
            suspects += [] if found[-1].isfinite().all() else ids
        tokens = torch.stack([batch.attention_mask.sum() for batch, _ in parts]).sum()
        asked = torch.tensor(float(self.stop.is_set()), device=tokens.device)
        aside = [float(sum(each.counts[name] for each in drawn)) for name in self.set_aside]
        counted = torch.tensor(aside, device=tokens.device)
        mine = torch.cat(
            [torch.stack(found).mean(0), torch.stack([asked, tokens.float()]), counted]
        )
        *known, stopped, read, replaced, cut = self.accelerator.reduce(mine, "mean").tolist()
        for name, share in (("replaced", replaced), ("cut", cut)):
            self.set_aside[name] += round(share * self.processes)
        if not math.isfinite(known[0]):
            raise NumericsError(
                f"The loss of step {self.step} is not finite in precision "
                f"{self.accelerator.mixed_precision!r}; its records are "
                f"{', '.join(gather_object(suspects))}: look at them, or try --precision no."
            )
        drop_absent_gradients(self.model, divisors.blocks)
        counts = {
            "samples": self.schedule.batch_size * self.processes,
            "tokens": round(read * self.processes),
        }
        return dict(zip(Losses._fields, known, strict=True)), counts, stopped > 0

    def _pass(self, batch: Batch, divisors: Divisors, last: bool) -> Losses:
        """Forward and backward of one part; processes wait for each other in the last one only."""
        apart = nullcontext() if last else self.accelerator.no_sync(self.wrapped)
        with apart:
            with self.accelerator.autocast():
                losses: Losses = self.wrapped(batch, divisors)
            self.accelerator.backward(losses.total / self.schedule.accumulate)
        return losses

    def clip(self) -> float:
        """As of `Engine`, over all processes and behind the scaler of fp16."""
        return float(gathered(self.accelerator.clip_grad_norm_(self.learning, self.schedule.clip)))

    def summary(self, lines: Sequence[Line]) -> Line:
        """As of `Engine`, how many records were bad so far, and at times the held-out loss.

        It is told with the first line at or after a checkpoint's step, and with the last one.
        """
        line = {**lines[-1], **{name: n for name, n in self.set_aside.items() if n}}
        every, logged = self.schedule.checkpoint_every, self.schedule.log_every
        before = (self.step - 1) // logged * logged
        due = self.step // every > before // every or self.step == self.schedule.steps
        return {**line, "held_out": self._held_out_loss()} if self.held_out and due else line

    @torch.no_grad()
    def _held_out_loss(self) -> float:
        """Of the same batches each time, without dropout."""
        assert self.held_out is not None
        set_seed(self.schedule.seed)  # noise of the denoising loss; the next step sets its own
        self.wrapped.eval()
        found = []
        for drawn in self.held_out.batches():
            batch, _ = self._here(drawn)
            divisors = self.accelerator.reduce(batch.divisors(), "mean")
            with self.accelerator.autocast():
                found.append(self.wrapped(batch, divisors).total.detach())
        self.wrapped.train()
        return float(self.accelerator.reduce(torch.stack(found).mean(), "mean"))

    def start(self, resume: Resume) -> None:
        """Checks what will learn, takes up the newest checkpoint, writes the ledger."""
        check_learning(self.model, self.stage, self.optimizers[0])
        if self.schedule.compile:
            compile_checked(self.model, self.batch(0)[0], self.accelerator.autocast)
        self.accelerator.init_trackers(PROJECT, asdict(self.schedule))
        self.origin = provenance(self.model, self.source)
        if resume and self.accelerator.distributed_type == DistributedType.DEEPSPEED:
            raise ConfigError(
                "DeepSpeed keeps the optimiser's moments to itself, so --resume would not be "
                "exact: give the newest checkpoint as --init of a new --output, or use FSDP2."
            )
        super().start(resume)
        if self.main:
            with beside(self.output / "ledger.json") as path:
                rows = [row._asdict() for row in ledger(self.model, self.stage)]
                path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
            if self.settings is not None:
                with beside(self.output / RUN_CONFIG) as path:
                    path.write_text(yaml.safe_dump(self.settings, sort_keys=False), "utf-8")
        self.wrapped.train()

    def newest(self) -> Path | None:
        """What the main process finds."""
        found = [self.checkpoints.newest() if self.main else None]
        return broadcast_object_list(found)[0]

    def close(self) -> None:
        """Keeps what was computed, and leaves the model as it is used."""
        self.feed.close()
        self.features.flush()
        self.model.llm.causal_lm.set_attn_implementation(self.attention)
        self.wrapped.eval()

    def write(self, folder: Path | None) -> None:
        """The model, as `NextGPT.from_pretrained` loads it."""
        self.model.save_pretrained(folder or self.output, is_main_process=self.main)

    def read(self, folder: Path) -> None:
        """Inverts `write`, and takes up the scaler of fp16."""
        self.model.load_trained(folder)
        run = read_run(folder)
        self.set_aside |= run.get("set_aside", {})
        scaler = run.get("scaler")
        if scaler is not None and self.accelerator.scaler is not None:
            with reading(folder / RUN_FILE):
                self.accelerator.scaler.load_state_dict(scaler)

    def state(self) -> dict[str, Any]:
        """As of `Engine`, and where the run comes from."""
        scaler = self.accelerator.scaler
        return {
            "stage": self.stage.number,
            **super().state(),
            "set_aside": self.set_aside,
            "scaler": None if scaler is None else scaler.state_dict(),
            "batch": self.schedule.batch_size * self.processes,
            **self.origin,
        }
