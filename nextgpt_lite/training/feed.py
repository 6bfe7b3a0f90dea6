"""Batches by their numbers, made ahead by processes of torch's DataLoader where a run has some.

Knows: which records a process reads in a step, and what of a batch is made where. A worker reads
records, opens media, makes tokens and takes kept rows from the cache: with a warm cache the whole
batch. Frozen work that is not kept needs the device, so the training process does that.

Leaves to others: records that give way (`usable`), rows (`features`), steps (`loop`).
"""

from __future__ import annotations

import ctypes
import pickle
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch.utils.data import DataLoader, Dataset

from nextgpt_lite.model.batch import Batch, collate
from nextgpt_lite.model.conversation import Encoded
from nextgpt_lite.training.features import NotKept
from nextgpt_lite.training.schedule import Schedule
from nextgpt_lite.training.usable import Usable

PR_SET_PDEATHSIG = 1  # of Linux: the signal that comes when the parent ends
HELD_OUT = 256  # records that the held-out loss is the mean of

Named: TypeAlias = list[tuple[str, Encoded]]


@dataclass
class Drawn:
    """One part of a process's share of a step's batch.

    Attributes:
        ids: of its records.
        counts: records "replaced" and "cut".
        batch: None where frozen work is still to be done.
        rest: pickled, what that is done with; empty where the worker met an error, which the
            training process then meets itself.
    """

    ids: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    batch: Batch | None = None
    rest: bytes = b""

    def pin_memory(self) -> Drawn:
        """Called by the DataLoader, so that copies to a GPU do not wait."""
        self.batch = self.batch and self.batch.each(torch.Tensor.pin_memory)
        return self


class Feed(Dataset[Drawn]):
    """Batches by number, of which a step has `schedule.accumulate`.

    Args:
        usable: the records.
        schedule: its `batch_size`, `accumulate`, `packed`, `row` and `workers`.
        process, processes: which share of a step is drawn.
    """

    def __init__(
        self, usable: Usable, schedule: Schedule, process: int = 0, processes: int = 1
    ) -> None:
        self.usable, self.model, self.features = usable, usable.model, usable.features
        self.schedule, self.process, self.processes = schedule, process, processes
        self._ahead: Iterator[Drawn] | None = None

    def share(self, number: int) -> range:
        """The records of a batch, by number."""
        step, part = divmod(number, self.schedule.accumulate)
        first = (step * self.processes + self.process) * self.schedule.batch_size
        return range(first, first + self.schedule.batch_size)[part :: self.schedule.accumulate]

    def take(self, number: int) -> Drawn:
        """The next batch, whole; the first call says where workers begin."""
        later = self.schedule.steps - 1 - number // self.schedule.accumulate
        workers = min(self.schedule.workers, later)
        if workers > 0 and self._ahead is None and sys.platform == "linux":  # others cannot fork
            self._ahead = iter(self._loader(number, workers))
        return self.whole(number, Drawn() if self._ahead is None else next(self._ahead))

    def _loader(self, first: int, workers: int) -> DataLoader[Drawn]:
        return DataLoader(
            self,
            batch_size=None,
            sampler=range(first, self.schedule.steps * self.schedule.accumulate),
            num_workers=workers,
            multiprocessing_context="fork",  # sources and models need not be picklable
            worker_init_fn=_live_as_long_as_the_training,
            pin_memory=self.model.device.type == "cuda",
            generator=torch.Generator(),  # else it would draw from that of the training
        )

    def close(self) -> None:
        """Ends the workers."""
        self._ahead = None

    def __getitem__(self, number: int) -> Drawn:
        """In a worker: all of a batch but frozen work that is not kept."""
        self.features.only_kept = True
        try:
            named = self._named(number)
            drawn = Drawn([name for name, _ in named], Counter(self.usable.counts))
            try:
                drawn.batch = self._collated(named)
            except NotKept:
                drawn.rest = pickle.dumps((named, *self.features.fresh()))
        except Exception:
            return Drawn()
        return drawn

    def whole(self, number: int, drawn: Drawn | None = None) -> Drawn:
        """A batch with the frozen work that it needs."""
        drawn = drawn or Drawn()
        if drawn.batch is not None:
            return drawn
        try:
            if drawn.rest:
                named, *fresh = pickle.loads(drawn.rest)
                self.features.take(*fresh)
            else:
                named = self._named(number)
                drawn.counts = Counter(self.usable.counts)
            drawn.batch = self._collated(named)
            if drawn.rest:
                self.features.fresh()  # was opened twice, for a batch before had it, too
        except ValueError:  # a medium that could be opened, but not read by a frozen part
            named = self._named(number, thorough=True)
            drawn.counts = Counter(self.usable.counts)
            drawn.batch = self._collated(named)
        drawn.ids = [name for name, _ in named]
        return drawn

    def _named(self, number: int, thorough: bool = False) -> Named:
        self.usable.counts.clear()
        return self.usable.many(self.share(number), thorough)

    def _collated(self, named: Named) -> Batch:
        packed = self.schedule.packed and not self.model.prefixes_frozen
        packed = packed and "packed" in self.model.llm.ways
        return collate(
            [encoded for _, encoded in named],
            pad_id=self.model.llm.tokenizer.pad_token_id or 0,
            width=self.model.encoder_width,
            features=self.features.media,
            conditions=self.features.conditions,
            latents=self.features.latents if self.model.config.denoising else None,
            pack=self.schedule.row if packed else None,
        )


class HeldOut:
    """The same few batches each time, made once.

    Args:
        feed: of records that are not trained on.
        epoch: how many records there are; None: without end.
    """

    def __init__(self, feed: Feed, epoch: int | None) -> None:
        self.feed = feed
        of_all = feed.schedule.batch_size * feed.processes
        self.count = -(-min(HELD_OUT, epoch or HELD_OUT) // of_all)
        self._made: list[Drawn] = []

    def batches(self) -> list[Drawn]:
        """On the CPU, this process's share of each."""
        self._made = self._made or [self.feed.whole(number) for number in range(self.count)]
        return self._made


def _live_as_long_as_the_training(_: int) -> None:
    """Ctrl-C reaches workers, too, which the training process ends once it has saved.

    If that is killed they end at once, for they hold its lock on the run's folder as well; where
    there is no such signal torch ends them, some seconds later.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
