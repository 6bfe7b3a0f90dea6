"""Rows of frozen work on disk: tensors by content, one folder for each component that made them.

Knows: files, and how several processes share them without a lock. A folder holds *segments*,
safetensors files that are written beside, renamed when whole and never changed: a reader maps them
into memory, and a run that is killed loses what was not yet written, nothing else. Two processes
that compute the same row both write it; the rows are equal, and one of them is used.

Leaves to others: what is computed and what its key is (`features`).
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from nextgpt_lite.errors import DamagedError, MissingError
from nextgpt_lite.reading import read_json, read_shapes, read_tensors, reading, sha256
from nextgpt_lite.writing import replacing

logger = logging.getLogger(__name__)

CARD = "component.json"
LIMIT = 8 * 10**9  # bytes of a cache, unless the caller says otherwise
MEMORY = 10**9  # bytes of rows that nothing on disk keeps
LEFT = 0.8  # share of the limit that is kept when something has to go
PENDING_BYTES, PENDING_SECONDS = 64 * 10**6, 30.0  # what a killed run may have to compute again


class Rows:
    """Tensors of one shape by key.

    Args:
        folder: of this component; None keeps the newest rows in memory only.
        card: what made them, written beside them for `listing`.
        limit: bytes of the whole cache (the folder above); beyond it what was used longest ago is
            deleted. In memory no more are kept either, between batches.
    """

    def __init__(
        self, folder: Path | None, card: dict[str, Any] | None = None, limit: int = LIMIT
    ) -> None:
        self.folder, self.card, self.limit = folder, card or {}, limit
        self._stored: dict[bytes, tuple[Tensor, int, Path]] = {}  # segment, row in it, its file
        self._used: set[Path] = set()  # segments, since something was last deleted
        self._deleted = False
        self._pending: dict[bytes, Tensor] = {}
        self._pending_bytes = 0
        self._seen: set[str] = set()
        self._shape: Sequence[int] | None = None  # of a row
        self._written = self._touched = time.monotonic()
        self._changed = 0  # when the folder was, at the last look
        self._read_segments()

    def __contains__(self, key: bytes) -> bool:
        return key in self._stored or key in self._pending

    def __len__(self) -> int:
        return len(self._stored) + len(self._pending)

    def stack(self, keys: Sequence[bytes]) -> Tensor:
        """(N, ...) the rows of N keys that are there."""
        return torch.stack([self._row(key) for key in keys])

    def add(self, keys: Iterable[bytes], rows: Iterable[Tensor]) -> None:
        """Keeps new rows; from time to time they are written."""
        for key, row in zip(keys, rows, strict=True):
            self._pending[key] = row.detach().cpu()
            self._pending_bytes += row.nbytes
        if self.folder is not None and (
            self._pending_bytes > PENDING_BYTES
            or time.monotonic() - self._written > PENDING_SECONDS
        ):
            self.flush()

    def flush(self) -> None:
        """Writes what is new as one segment. A full or read-only disk costs a warning, no row."""
        if self.folder is None or not self._pending:
            return
        self._written = time.monotonic()
        self._make_room()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / CARD).exists():
                with replacing(self.folder / CARD) as draft:
                    draft.write_text(json.dumps(self.card, indent=1) + "\n", encoding="utf-8")
            keys = torch.from_numpy(np.frombuffer(b"".join(self._pending), np.uint8).copy())
            values = torch.stack([*self._pending.values()])  # (N, ...)
            name = f"{uuid4().hex}.safetensors"
            draft = self.folder / f".{name}"
            save_file({"keys": keys.view(len(values), -1), "rows": values}, draft)
            draft.replace(self.folder / name)  # atomic on one file system
        except (OSError, SafetensorError) as error:
            self._stop(f"cannot be written ({error}): make room in")
            return
        self._read_segments()
        self._pending = {k: row for k, row in self._pending.items() if k not in self._stored}
        self._pending_bytes = sum(row.nbytes for row in self._pending.values())

    def settle(self) -> None:
        """Lets go of rows that were deleted, and of the oldest in memory; between batches only.

        Rows that other processes have written since are found.
        """
        if time.monotonic() - self._touched > PENDING_SECONDS:
            self._touch()
        self._read_segments()
        if self._deleted:
            self._deleted = False
            there = set(_segments(self.folder)) if self.folder else set()
            self._stored = {k: place for k, place in self._stored.items() if place[2] in there}
        while self.folder is None and self._pending_bytes > min(MEMORY, self.limit):
            self._pending_bytes -= self._pending.pop(next(iter(self._pending))).nbytes

    def _touch(self) -> None:
        """Tells the disk which segments were used."""
        self._touched = time.monotonic()
        for path in self._used:
            with suppress(OSError):
                os.utime(path)
        self._used.clear()

    def _make_room(self) -> None:
        """Deletes what was used longest ago, of any component, where the new rows find no room."""
        assert self.folder is not None
        new = sum(row.nbytes for row in self._pending.values())
        if size_of(self.folder.parent) + new <= self.limit:
            return
        self._touch()
        prune(self.folder.parent, int(LEFT * self.limit) - new)
        self._deleted = True

    def _stop(self, why: str) -> None:
        assert self.folder is not None
        logger.warning(
            "The feature cache %s %s it; this run goes on, and keeps the newest rows in memory.",
            self.folder.parent, why,
        )  # fmt: skip
        self.folder = None

    def _row(self, key: bytes) -> Tensor:
        if key in self._pending:
            return self._pending[key]
        segment, index, path = self._stored[key]
        self._used.add(path)
        return segment[index]

    def _read_segments(self) -> None:
        """Maps segments that are new since the last look, another process's among them."""
        changed = 0
        with suppress(OSError):  # there is no such folder yet
            changed = 0 if self.folder is None else self.folder.stat().st_mtime_ns
        if self.folder is None or changed == self._changed:
            return
        self._changed = changed
        for path in sorted(self.folder.glob("[!.]*.safetensors")):
            if path.name in self._seen:
                continue
            self._seen.add(path.name)
            try:
                stored = read_tensors(path, remedy="its rows are computed again")
                with reading(path, remedy="its rows are computed again"):
                    keys, rows = stored["keys"].numpy(), stored["rows"]
                    fitting = keys.dtype == np.uint8 and keys.ndim == 2 and len(keys) == len(rows)
                    if not fitting or self._shape not in (None, rows.shape[1:]):
                        raise DamagedError(f"keys {keys.shape}, rows {[*rows.shape]}")
                os.utime(path)  # when it was last of use, for `prune`
            except MissingError:  # pruned a moment ago
                continue
            except (OSError, ValueError) as error:
                logger.warning("%s", error)
                continue
            self._shape = rows.shape[1:]
            for index, key in enumerate(keys):
                self._stored.setdefault(key.tobytes(), (rows, index, path))


@dataclass(frozen=True)
class Component:
    """What a cache holds of one component."""

    name: str
    made_by: str
    rows: int
    bytes: int
    last_used: float


def listing(root: Path) -> list[Component]:
    """Every component of a cache, the largest first."""
    found = []
    for card in sorted(root.glob(f"*/{CARD}")):
        segments = _segments(card.parent)
        rows = 0
        for path in segments:
            with suppress(OSError, ValueError):  # damaged, or pruned a moment ago
                rows += read_shapes(path).get("keys", (0,))[0]
        try:
            made_by = f"{read_json(card).get('name', '?')}"
        except (OSError, ValueError):
            made_by = "?"
        used = max((path.stat().st_mtime for path in segments), default=0.0)
        found.append(Component(card.parent.name, made_by, rows, size_of(card.parent), used))
    return sorted(found, key=lambda each: -each.bytes)


def prune(root: Path, keep: int = 0) -> int:
    """Deletes the segments used longest ago until at most `keep` bytes are left; returns bytes.

    A run that has a segment mapped goes on reading it.
    """
    before = size_of(root)
    segments = [path for folder in root.glob("*/") for path in _segments(folder)]
    left = sum(path.stat().st_size for path in segments)
    for path in sorted(segments, key=lambda each: each.stat().st_mtime):
        if left <= keep:
            break
        left -= path.stat().st_size
        path.unlink(missing_ok=True)
    for card in root.glob(f"*/{CARD}"):
        if not _segments(card.parent):
            shutil.rmtree(card.parent, ignore_errors=True)
    return before - size_of(root)


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder; one that vanishes meanwhile counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def hash_files(paths: Iterable[Path], memory: Path | None = None) -> str:
    """sha256 over files, in the order of their paths; unchanged ones are not read twice.

    Args:
        paths: the files.
        memory: folder where hashes are kept by path, size and time of change.
    """
    known: dict[str, str] = {}
    notes = None if memory is None else memory / "hashes.json"
    if notes is not None:
        with suppress(OSError, ValueError):  # not there yet, or damaged: only slower
            known = read_json(notes, dict[str, str])
    digest, grown = hashlib.sha256(), False
    for path in sorted(paths):
        stat = path.stat()
        name = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
        if name not in known:
            known[name] = sha256(path)
            grown = True
        digest.update(f"{path.name}:{known[name]};".encode())
    if grown and notes is not None:
        try:
            with replacing(notes) as draft:
                draft.write_text(json.dumps(known), encoding="utf-8")
        except OSError:
            pass  # only slower next time
    return digest.hexdigest()


def _segments(folder: Path) -> list[Path]:
    return [*folder.glob("[!.]*.safetensors")]
