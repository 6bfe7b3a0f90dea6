"""Records that lie in files, each once before any comes again: of a folder, of `datasets`.

Knows: which of them a stage reads, in which order, and which are held out. Leaves to others: file
formats and places (`released`, `folder`), orders by number (`order`).
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np

from nextgpt_lite import media
from nextgpt_lite.data import hub
from nextgpt_lite.data.folder import identity, index_cache, index_folder
from nextgpt_lite.data.order import Epochs, Shares
from nextgpt_lite.data.places import is_there
from nextgpt_lite.data.records import Record
from nextgpt_lite.data.report import Report
from nextgpt_lite.data.sources import Source, Wanted, path_of
from nextgpt_lite.errors import DataError
from nextgpt_lite.messages import Message, parts_of, text_of

MIDDLE = 2**16  # bytes of a media file that tell it from another
SEEN = 64  # records of a kind whose media are told apart


class Indexed(Source):
    """Records of some kinds, weighted as a stage says, each once before any comes again.

    Pairs of medium and caption serve where captions are wanted and there are none: their captions
    are then what is asked for.

    Args:
        stage: what is wanted.
        found: records by kind.
        seed: of the order.
        name: for errors.

    Raises:
        DataError: there is no record of any kind the stage needs.
    """

    def __init__(
        self, stage: Wanted, found: Mapping[str, Sequence[Record]], seed: int, name: str
    ) -> None:
        self.records = {kind: records for kind, records in found.items() if kind in stage.mixture}
        self.turned = "caption" in stage.mixture and "caption" not in found and "pair" in found
        if self.turned:
            self.records["caption"] = found["pair"]
        if "pair" in self.records and not getattr(self.records["pair"], "present", True):
            del self.records["pair"]
        if not self.records:
            needed = ", ".join(stage.mixture)
            raise DataError(
                f"{name}: no record for stage {stage.number}; it needs one of {needed}."
            )
        self.name, self.weights, self.seed = name, stage.mixture, seed
        self._arrange({kind: np.arange(len(of)) for kind, of in self.records.items()})

    def _arrange(self, among: Mapping[str, np.ndarray]) -> None:
        """Draws from these records of each kind, by their numbers."""
        self.among = {kind: numbers.astype(np.uint32) for kind, numbers in among.items()}
        self.shares = Shares({kind: self.weights[kind] for kind in among}, self.seed)
        self.epochs = {}
        for kind, numbers in among.items():
            groups = getattr(self.records[kind], "groups", lambda: None)()
            groups = None if groups is None else groups[numbers]
            self.epochs[kind] = Epochs(len(numbers), self.seed + 1, groups)
        self.epoch = self.shares.needed([len(numbers) for numbers in among.values()])

    def split(self, share: float) -> tuple[Source, Source]:
        """As of `Source`: a share of each kind, by their number in the data."""
        parts: tuple[dict[str, np.ndarray], dict[str, np.ndarray]] = {}, {}
        for kind, numbers in self.among.items():
            mixed = np.random.default_rng(len(numbers)).permutation(numbers)
            held = min(len(numbers) - 1, max(1, round(share * len(numbers))))
            if held:
                parts[1][kind] = np.sort(mixed[:held])
            parts[0][kind] = np.sort(mixed[held:])
        if not parts[1]:
            raise DataError(f"{self.name}: too few records to hold any out: leave out held_out.")
        found = copy(self), copy(self)
        for source, among in zip(found, parts, strict=True):
            source._arrange(among)
        return found

    def __call__(self, index: int) -> Record:
        which, drawn = self.shares(index)
        kind = [*self.among][which]
        record = self.records[kind][int(self.among[kind][self.epochs[kind](drawn)])]
        return as_caption(record) if self.turned and kind == "caption" else record


class FolderSource(Indexed):
    """Conversations of a folder, or of one file, in any of the formats that are read.

    Records stay in their files until they are drawn. Wrong items are left out, with a warning that
    counts them and those without their media; `report` has the reasons.

    Args:
        follow_links: let symbolic links in the folder lead out of it.

    Raises:
        DataError: the folder has no record of any kind the stage needs.
    """

    def __init__(
        self, stage: Wanted, folder: str | Path, seed: int = 0, follow_links: bool = False
    ) -> None:
        self.place = Path(folder)
        self.folder = self.place if self.place.is_dir() else self.place.parent
        if follow_links:
            media.follow_links(self.folder)
        self.report = Report()
        keep = index_cache() / ("linked" if follow_links else "")
        found = index_folder(folder, report=self.report, keep=keep)
        try:
            super().__init__(stage, found, seed, f"{folder}")
        except DataError:  # of media that may be there by now
            self.report = Report()
            found = index_folder(folder, report=self.report, keep=keep, anew=True)
            super().__init__(stage, found, seed, f"{folder}")
        finally:
            if self.report.skipped:
                warnings.warn(str(self.report), stacklevel=2)

    def identity(self) -> str:
        """sha256 of all data files; media count by their names, not by their bytes."""
        return identity(self.place)

    def media(self) -> dict[str, str]:
        """Of some files the size and the middle; one that is absent is not told apart."""
        shown = (
            part["path"]
            for records in self.records.values()
            for record in records[:: len(records) // SEEN + 1]
            for message in record.messages for part in parts_of(message) if "path" in part
        )  # fmt: skip
        found = {}
        for name in sorted({str(path) for path in shown}):
            path = path_of({"type": "image", "path": name}, self.folder)
            if not is_there(path):
                continue
            size = path.stat().st_size
            with path.open("rb") as file:
                file.seek(max(0, size - MIDDLE) // 2)
                digest = hashlib.sha256(f"{size} ".encode() + file.read(MIDDLE))
            found[name] = digest.hexdigest()[:16]
        return found


class HubSource(Indexed):
    """The rows of a data set of Hugging Face `datasets`.

    Raises:
        DataError: it has no record of any kind the stage needs.
        PackageError: `datasets` is not installed.
    """

    def __init__(self, stage: Wanted, data: Any, seed: int = 0) -> None:
        self.data, name = hub.load(data)
        self.report = Report()
        found = hub.rows_by_kind(self.data, name, self.report, index_cache())
        if self.report.skipped:
            warnings.warn(str(self.report), stacklevel=2)
        super().__init__(stage, found, seed, name)

    def identity(self) -> str:
        """The fingerprint that `datasets` gives it."""
        return f"{self.data._fingerprint}"


def as_caption(record: Record) -> Record:
    """A pair as what stage 2 learns from: its caption is asked for, its medium is made."""
    shown = next(p for p in parts_of(record.messages[0]) if p["type"] != "text")
    said = text_of(record.messages[1])
    messages: list[Message] = [
        {"role": "user", "content": [{"type": "text", "text": said}]},
        {"role": "assistant", "content": [{**shown, "caption": said}]},
    ]
    return Record(record.id, messages, "caption")
