"""A data folder of any size: a place a record in memory, the record itself only when asked for.

Knows: which record lies where. Leaves to others: formats (`released`), items (`stream`).
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import overload

from nextgpt_lite.data.records import Record
from nextgpt_lite.data.released import Report, data_files, read_item, read_items
from nextgpt_lite.data.stream import Span
from nextgpt_lite.errors import DataError
from nextgpt_lite.messages import parts_of


class Records(Sequence[Record]):
    """Records that stay in their files: 28 bytes each in memory, read anew at each access."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: list[Path] = []
        self._file = array("I")
        self._number = array("Q")
        self._start = array("Q")
        self._length = array("Q")

    def add(self, path: Path, span: Span) -> None:
        """Notes one more record."""
        if not self._files or self._files[-1] != path:
            self._files.append(path)
        self._file.append(len(self._files) - 1)
        self._number.append(span.number)
        self._start.append(span.start)
        self._length.append(span.length)

    def __len__(self) -> int:
        return len(self._file)

    @overload
    def __getitem__(self, index: int) -> Record: ...

    @overload
    def __getitem__(self, index: slice) -> list[Record]: ...

    def __getitem__(self, index: int | slice) -> Record | list[Record]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        path = self._files[self._file[index]]
        span = Span(self._number[index], self._start[index], self._length[index])
        return read_item(span.read(path), path, self.root, span.number)


def index_folder(
    folder: str | Path, held_out: bool = False, report: Report | None = None
) -> dict[str, Records]:
    """The records of a folder by kind, without holding them.

    Args:
        folder: the data folder, see `released.data_files`.
        held_out: likewise.
        report: told of items that are wrong and of those whose media are missing; both are
            skipped. Without one, the first of them raises.

    Raises:
        DataError: there is no data file, or (without a report) an item is wrong.
    """
    root = Path(folder)
    found: dict[str, Records] = {}
    for path in data_files(root, held_out):
        for span, record in read_items(path, root, report):
            if missing := _missing(record, root):
                reason = f"{path}, item {span.number}: {missing} does not exist; put it there."
                if report is None:
                    raise DataError(reason)
                report.read -= 1
                report.skip(path, reason)
                continue
            found.setdefault(record.kind, Records(root)).add(path, span)
    return found


def _missing(record: Record, root: Path) -> Path | None:
    """The first medium shown to the model that is not there; what it makes needs a caption only."""
    for message in record.messages:
        for part in parts_of(message) if message["role"] == "user" else ():
            if "path" in part and not (root / part["path"]).is_file():
                return root / part["path"]
    return None
