"""A data folder of any size: a place a record in memory, the record itself only when asked for.

Knows: which record lies where, kept from one start to the next by the size and time of each file.
Leaves to others: formats (`released`), items (`stream`), where files lie (`places`).

A record's number depends on the data files alone: one whose medium is missing keeps its number, so
that a run goes on as it was when a medium is deleted or comes back.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, overload

import numpy as np

from nextgpt_lite.data.places import data_files, is_there
from nextgpt_lite.data.records import KINDS, Record
from nextgpt_lite.data.released import read_item, read_items
from nextgpt_lite.data.report import Report
from nextgpt_lite.data.stream import Span
from nextgpt_lite.errors import DataError
from nextgpt_lite.messages import parts_of
from nextgpt_lite.model.config import cache_folder
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.reading import sha256
from nextgpt_lite.writing import replacing

LAYOUT = 2  # of an index; a change of what is read from files is one, too
PLACE = np.dtype(
    [("kind", "u1"), ("missing", "?"), ("file", "<u4"), ("number", "<u4"),
     ("start", "<u8"), ("length", "<u4")]
)  # fmt: skip


class Records(Sequence[Record]):
    """Records that stay in their files: 22 bytes each in memory, read anew at each access.

    Args:
        root: the data folder.
        files: of it.
        places: (N,) of `PLACE`.

    Attributes:
        present: how many have their media, when they were last looked for.
    """

    def __init__(self, root: Path, files: list[Path], places: np.ndarray) -> None:
        self.root, self.files, self.places = root, files, places
        self.present = int(len(places) - places["missing"].sum())

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        if isinstance(index, slice):
            return Records(self.root, self.files, self.places[index])
        place = self.places[index]
        path = self.files[place["file"]]
        span = Span(int(place["number"]), int(place["start"]), int(place["length"]))
        return read_item(span.read(path), path, self.root, span.number)

    def groups(self) -> np.ndarray:
        """(N,) which archive each record is read from; 0 for all other files."""
        archives = np.array(
            [n + 1 if path.suffix == ".tar" else 0 for n, path in enumerate(self.files)]
        )
        return archives[self.places["file"]]


def index_folder(
    folder: str | Path, held_out: bool = False, report: Report | None = None,
    keep: Path | None = None, anew: bool = False,
) -> dict[str, Records]:  # fmt: skip
    """The records of a folder by kind, without holding them.

    Args:
        folder: the data folder, or one file; see `places.data_files`.
        held_out: likewise.
        report: told of items that are wrong, which are left out, and of those whose media are
            missing. Without one, the first of them raises.
        keep: folder where indices outlive the program; None keeps none.
        anew: read all files, whatever is kept.

    Raises:
        DataError: there is no data file, or (without a report) an item is wrong.
    """
    files = data_files(folder, held_out)
    root = Path(folder) if Path(folder).is_dir() else Path(folder).parent
    found = []
    for number, path in enumerate(files):
        places, told = _indexed(path, root, report is None, keep, anew)
        places["file"] = number
        found.append(places)
        if report is not None:
            report.add(told)
    places = np.concatenate(found)
    kinds = [(n, kind) for n, kind in enumerate(KINDS) if np.any(places["kind"] == n)]
    return {kind: Records(root, files, places[places["kind"] == n]) for n, kind in kinds}


def index_cache() -> Path:
    """Where indices of data files are kept."""
    return cache_folder() / "index"


def identity(folder: str | Path, held_out: bool = False) -> str:
    """sha256 of the names and contents of a folder's data files, by their indices where kept."""
    root, digest = Path(folder), hashlib.sha256()
    for path in data_files(folder, held_out):
        known = _read(_kept(path, root, index_cache()), path)
        content = known[0]["sha256"] if known else sha256(path) if is_there(path) else ""
        name = path.relative_to(root) if root.is_dir() else path.name
        digest.update(os.fsencode(f"{name} {content};"))
    return digest.hexdigest()


def _indexed(
    path: Path, root: Path, strict: bool, keep: Path | None, anew: bool
) -> tuple[np.ndarray, Report]:
    there = is_there(path)  # and no link to nothing
    kept = None if keep is None or strict or not there else _kept(path, root, keep)
    known = None if kept is None or anew else _read(kept, path)
    report = Report()
    if known is not None:
        about, places = known
        report.read, report.reasons = about["read"], about["reasons"]
        report.skipped.update({str(path): about["skipped"]} if about["skipped"] else {})
        report.notes.update(about["notes"])
        return places, report
    listed = []
    for span, record in read_items(path, root, None if strict else report):
        if missing := _missing(record, root):
            reason = f"{path}, item {span.number}: {missing} does not exist; put it there."
            if strict:
                raise DataError(reason)
            report.read -= 1
            report.skip(path, reason)
        kind = KINDS.index(record.kind)
        listed.append((kind, missing is not None, 0, span.number, span.start, span.length))
    places = np.array(listed, PLACE)
    if kept is not None:
        about = {
            **_state(path), "sha256": sha256(path), "read": report.read,
            "skipped": report.skipped[str(path)], "reasons": report.reasons,
            "notes": dict(report.notes),
        }  # fmt: skip
        with suppress(OSError), replacing(kept) as draft:  # else only slower next time
            np.savez(draft, places=places, about=np.array(json.dumps(about)))
    return places, report


def _read(kept: Path, path: Path) -> tuple[dict[str, Any], np.ndarray] | None:
    """What is kept of a file, unless it has changed."""
    with suppress(OSError, ValueError, KeyError), np.load(kept) as held:
        about = json.loads(str(held["about"]))
        if all(about[name] == value for name, value in _state(path).items()):
            return about, held["places"]
    return None


def _kept(path: Path, root: Path, keep: Path) -> Path:
    name = f"{path.absolute()}|{root.absolute()}"
    return keep / f"{hashlib.sha256(os.fsencode(name)).hexdigest()[:32]}.npz"


def _state(path: Path) -> dict[str, Any]:
    stat = path.stat()
    return {
        "layout": LAYOUT, "size": stat.st_size, "changed": stat.st_mtime_ns,
        "modalities": [*MODALITIES], "kinds": [*KINDS],
    }  # fmt: skip


def _missing(record: Record, root: Path) -> Path | None:
    """The first medium shown to the model that is not there; what it makes needs a caption only."""
    for message in record.messages:
        for part in parts_of(message) if message["role"] == "user" else ():
            if "path" in part and not is_there(root / part["path"]):
                return root / part["path"]
    return None
