"""Data sets of Hugging Face `datasets` as records: one in memory, a saved one, parquet files.

Knows: rows and columns of media. Leaves to others: what the fields of a row mean (`released`).
The package `datasets` is needed, nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, overload

import numpy as np

from nextgpt_lite.data.folder import LAYOUT
from nextgpt_lite.data.records import KINDS, Record
from nextgpt_lite.data.released import read_item
from nextgpt_lite.data.report import Report
from nextgpt_lite.data.shards import Held
from nextgpt_lite.errors import DataError, PackageError
from nextgpt_lite.writing import replacing

PARQUET = ".parquet"
_MEDIA = {"Image": "image", "Audio": "audio", "Video": "video"}  # features -> modalities


def is_saved(folder: Path) -> bool:
    """Whether `save_to_disk` wrote a folder, or it (or a file) is of parquet."""
    names = ("state.json", "dataset_dict.json")
    return (
        folder.suffix == PARQUET
        or any((folder / n).is_file() for n in names)
        or any(folder.glob(f"*{PARQUET}"))
    )


def load(data: Any) -> tuple[Any, str]:
    """A data set with its media undecoded, and its name.

    Raises:
        PackageError: `datasets` is not installed.
        DataError: it has several splits and none is called "train", or is streamed.
    """
    try:
        import datasets
    except ImportError as error:
        raise PackageError(
            "The package datasets reads these data: pip install 'nextgpt-lite[data]'."
        ) from error
    name = f"{data}" if isinstance(data, str | Path) else "the data set"
    if isinstance(data, str | Path):
        place = Path(data)
        if place.suffix == PARQUET or any(place.glob(f"*{PARQUET}")):
            files = [place] if place.suffix == PARQUET else sorted(place.glob(f"*{PARQUET}"))
            data = datasets.Dataset.from_parquet([str(path) for path in files])
        else:
            data = datasets.load_from_disk(str(place))
    if isinstance(data, dict):
        if len(data) > 1 and "train" not in data:
            raise DataError(f"{name}: its splits are {', '.join(data)}; give one of them.")
        data = data["train"] if "train" in data else next(iter(data.values()))
    if not hasattr(data, "__len__"):
        raise DataError(f"{name} is streamed, without numbers: load it without streaming=True.")
    for column, (_, several) in _columns(data).items():
        held = data.features[column]
        plain = type(held.feature if several else held)(decode=False)
        data = data.cast_column(column, type(held)(plain) if several else plain)
    return data, name


class Rows(Sequence[Record]):
    """Some rows of a data set as records."""

    def __init__(self, data: Any, rows: np.ndarray, name: str) -> None:
        self.data, self.rows, self.name = data, rows, name

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> Record: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Record]: ...
    def __getitem__(self, index: int | slice) -> Record | Sequence[Record]:
        if isinstance(index, slice):
            return Rows(self.data, self.rows[index], self.name)
        number = int(self.rows[index])
        return _record(self.data[number], _columns(self.data), self.name, number)


def rows_by_kind(data: Any, name: str, report: Report, keep: Path) -> dict[str, Rows]:
    """The rows of a data set by the kind of their records, kept by its fingerprint.

    Args:
        report: told of rows that are wrong.
        keep: folder where it is kept.
    """
    kept = keep / f"dataset-{data._fingerprint}-{LAYOUT}.npy"
    kinds = np.zeros(0, np.int8)  # (N,) -1 for what is wrong
    with suppress(OSError, ValueError):
        kinds = np.load(kept)
    if len(kinds) != len(data):
        kinds = np.full(len(data), -1, np.int8)
        columns = _columns(data)
        held = {column: _held(data, column) for column in columns}
        for number, row in enumerate(data.remove_columns([*columns])):
            for column, (_, several) in columns.items():
                empty = [{"bytes": b""}] * int(held[column][number])
                row[column] = empty if several else next(iter(empty), None)
            try:
                kinds[number] = KINDS.index(_record(row, columns, name, number).kind)
            except ValueError as error:
                report.skip(Path(name), str(error))
        with suppress(OSError), replacing(kept) as draft:
            np.save(draft, kinds)
    wrong = int((kinds < 0).sum())
    if wrong and not report.skipped:
        report.skip(Path(name), f"{name}: when they were first read, they were wrong.", wrong)
    report.read += len(kinds) - wrong
    found = {kind: np.flatnonzero(kinds == n) for n, kind in enumerate(KINDS)}
    return {kind: Rows(data, rows, name) for kind, rows in found.items() if len(rows)}


def _columns(data: Any) -> dict[str, tuple[str, bool]]:
    """Columns of media: their modality, and whether a row holds a list of them."""
    found = {}
    for column, feature in data.features.items():
        one = getattr(feature, "feature", feature)
        if modality := _MEDIA.get(type(one).__name__):
            found[column] = modality, one is not feature
    return found


def _held(data: Any, column: str) -> np.ndarray:
    """(N,) how many media each row of a column holds, without reading them."""
    counts = []
    for table in data.select_columns([column]).with_format("arrow").iter(1000):
        rows = table[column].combine_chunks()
        lengths = rows.value_lengths() if hasattr(rows, "value_lengths") else rows.is_valid()
        counts.append(lengths.cast("int64").fill_null(0).to_numpy())
    return np.concatenate([np.zeros(0, int), *counts])


def _record(
    row: dict[str, Any], columns: dict[str, tuple[str, bool]], name: str, number: int
) -> Record:
    item = {key: value for key, value in row.items() if value is not None}
    for column, (modality, several) in columns.items():
        held = item.pop(column, None)
        if held is not None:
            media = [_medium(modality, each) for each in (held if several else [held])]
            item.setdefault(f"{modality}s" if several else modality, media if several else media[0])
    return read_item(item, Path(name), Path(name).parent, number)


def _medium(modality: str, held: Any) -> Held:
    content = held.get("bytes")
    return Held(modality, Path(held["path"]).read_bytes() if content is None else content)
