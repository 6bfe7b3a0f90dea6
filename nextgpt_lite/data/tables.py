"""Tables of captions, row by row: CC3M's TSV, WebVid's and AudioCaps' CSV, a `metadata.csv`.

Knows: cells, heads, and what the columns of a table without a head are. Leaves to others: what a
column means (`foreign`).
"""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from nextgpt_lite.errors import DataError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
CAPTIONS = (
    "caption",
    "text",
    "title",
    "sentence",
    "description",
    "name",
)  # the first that is there
_PLACE = re.compile(r"https?://|[^\s]+\.\w{2,4}$")
LONGEST = 2**17  # bytes of a row of several lines; Python's own limit of a cell


def rows(path: Path) -> Iterator[tuple[int, bytes]]:
    """(first byte, bytes) of each row behind the head; a quoted cell may hold line ends.

    A quote that nothing closes costs its own line, not what stands behind it.

    Raises:
        DataError: no column holds captions.
    """
    _, start = head(path)
    with path.open("rb") as file:
        file.seek(start)
        ahead: deque[bytes] = deque()  # lines that were read, and belong to no row yet
        while ahead or (line := file.readline()):
            ahead = ahead or deque([line])
            count = _row(ahead, file) if DELIMITERS[path.suffix] == "," else 1
            row = b"".join(ahead.popleft() for _ in range(count))
            if row.strip():
                yield start, row
            start += len(row)


def _row(ahead: deque[bytes], file: BinaryIO) -> int:
    """How many of the lines ahead are a row; reads further ones where a cell goes on."""
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        size = 0
        while size < LONGEST:
            if taken == len(ahead):
                ahead.append(file.readline())
            line = ahead[taken]
            if not line:
                break
            taken, size = taken + 1, size + len(line)
            yield line.decode("latin-1")
        while ahead and not ahead[-1]:
            ahead.pop()

    try:
        next(csv.reader(lines(), strict=True), None)
    except csv.Error:
        return 1
    return max(1, taken)


def item(raw: bytes, path: Path, where: str) -> dict[str, Any]:
    """A row by its columns.

    Raises:
        DataError: it has another number of cells than the head, or is no UTF-8.
    """
    columns, _ = head(path)
    try:
        cells = _cells(raw.decode("utf-8"), path)
    except (ValueError, csv.Error) as error:
        raise DataError(f"{where}: is no row in UTF-8 ({error}); write it again.") from error
    if len(cells) != len(columns):
        raise DataError(
            f"{where}: has {len(cells)} cells where {len(columns)} belong; write it again."
        )
    return dict(zip(columns, cells, strict=True))


def head(path: Path) -> tuple[tuple[str, ...], int]:
    """The columns of a table, and the bytes of the line that names them, if one does.

    Raises:
        DataError: no column holds captions.
    """
    stat = path.stat()
    return _head(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=64)
def _head(path: Path, size: int, changed: int) -> tuple[tuple[str, ...], int]:
    with path.open("rb") as file:
        line = file.readline(LONGEST)
    try:
        names = _cells(line.decode("utf-8-sig", "replace"), path)
    except (DataError, csv.Error) as error:
        raise DataError(f"{path}: its first line is no row ({error}); write it again.") from error
    if {name.strip().lower() for name in names} & {*CAPTIONS}:
        return tuple(name.strip().lower() for name in names), len(line)
    places = [bool(_PLACE.match(name.strip())) for name in names]
    if len(names) == 2 and sum(places) == 1:
        return tuple("file" if is_place else "caption" for is_place in places), 0
    raise DataError(
        f"{path}: no column of its first line is one of {', '.join(CAPTIONS)}; name the columns."
    )


def _cells(text: str, path: Path) -> list[str]:
    text, delimiter = text.rstrip("\r\n"), DELIMITERS[path.suffix]
    if delimiter == "\t":
        return text.split(delimiter)
    try:
        return next(csv.reader([text], strict=True), [])
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise DataError("a quote that opens a cell is never closed") from error
        return next(csv.reader([text]), [])
