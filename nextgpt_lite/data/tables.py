"""Tables of captions, row by row: CC3M's TSV, WebVid's and AudioCaps' CSV, a `metadata.csv`.

Knows: cells, heads, and what the columns of a table without a head are. Leaves to others: what a
column means (`foreign`).
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

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
LONGEST = 2**20  # bytes of a row
csv.field_size_limit(LONGEST)


def rows(path: Path) -> Iterator[tuple[int, bytes]]:
    """(first byte, bytes) of each row behind the head; a quoted cell may hold line ends.

    Raises:
        DataError: no column holds captions.
    """
    _, skipped = head(path)
    with path.open("rb") as file:
        start, row = skipped, b""
        file.seek(skipped)
        for line in file:
            row += line
            if DELIMITERS[path.suffix] == "," and row.count(b'"') % 2 and len(row) < LONGEST:
                continue
            if row.strip():
                yield start, row
            start, row = start + len(row), b""
        if row.strip():
            yield start, row


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
    names = _cells(line.decode("utf-8-sig", "replace"), path)
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
    return text.split(delimiter) if delimiter == "\t" else next(csv.reader([text]), [])
