"""A data folder of any size: a place a record in memory, the record itself only when asked for.

Knows: which record lies where. Leaves to others: formats (`released`), items (`stream`).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

from nextgpt_lite.data.records import Record
from nextgpt_lite.data.released import Report, data_files, read_item, read_items
from nextgpt_lite.data.stream import Span
from nextgpt_lite.errors import DataError
from nextgpt_lite.messages import parts_of


class Records:
    """Records that stay in their files: 32 bytes each in memory, read anew at each access."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._files: list[Path] = []
        self._places = array("Q")  # four numbers a record: its file, and its span

    def add(self, path: Path, span: Span) -> None:
        """Notes one more record."""
        if not self._files or self._files[-1] != path:
            self._files.append(path)
        self._places.extend((len(self._files) - 1, span.number, span.start, span.length))

    def __len__(self) -> int:
        return len(self._places) // 4

    def __getitem__(self, index: int) -> Record:
        at = 4 * range(len(self))[index]
        file, *span = self._places[at : at + 4]
        path, place = self._files[file], Span(*span)
        return read_item(place.read(path), path, self.root, place.number)

    def __iter__(self) -> Iterator[Record]:
        return (self[index] for index in range(len(self)))


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
