"""Archives of samples, as WebDataset and img2dataset lay them out: `000123.jpg`, `000123.txt`.

Files of one sample stand one behind the other in a tar, and have the same name up to the first dot.
An archive that is not compressed is read at any place, so its samples are records by number like
all others: shuffled, split over processes and gone on with in the same way, and never unpacked.

Knows: where a sample begins and ends. Leaves to others: what its fields mean (`foreign`).
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

from nextgpt_lite.errors import DataError
from nextgpt_lite.model.modality import MODALITIES, get_modality

SUFFIX = ".tar"
BLOCK = 512  # bytes that a tar is made of
_TEXTS = {"txt": "caption", "text": "caption", "caption": "caption"}


@dataclass(frozen=True)
class Held:
    """A medium whose file lies in another file: a source of a part (`messages.MediaSource`)."""

    modality: str
    content: bytes

    @cached_property
    def key(self) -> str:
        """By the bytes."""
        return hashlib.sha256(self.content).hexdigest()

    def open(self) -> Any:
        """The medium."""
        return get_modality(self.modality).take(self.content)


def samples(path: Path) -> Iterator[tuple[int, int, Callable[[], Any]]]:
    """(first byte, bytes, function that reads it without its media) of each sample.

    Raises:
        DataError: it is no tar that can be read at any place, or breaks off.
    """
    damaged: list[int] = []
    try:
        with tarfile.open(path, "r:"):  # its first header is one
            pass
        # Archives one behind the other have zeros between them.
        with tarfile.open(path, "r:", ignore_zeros=True) as archive:
            files = (member for member in _members(archive, path, damaged) if member.isfile())
            for _, group in groupby(files, lambda member: _split(member.name)[0]):
                members = [*group]
                start = members[0].offset
                texts = [m for m in members if _split(m.name)[1] in (*_TEXTS, "json")]
                end = members[-1].offset_data + -(-members[-1].size // BLOCK) * BLOCK
                if end > path.stat().st_size:
                    raise DataError(f"{path}: breaks off within its last sample; fetch it again.")
                held = {m.name: b"" for m in members}
                held |= {m.name: archive.extractfile(m).read() for m in texts}  # type: ignore[union-attr]
                yield start, end - start, lambda held=held: _item(held, f"{path}")  # type: ignore[misc]
            if damaged:
                raise DataError(
                    f"{path}: is damaged at byte {damaged[0]:,}, samples are lost; fetch it again."
                )
    except (tarfile.TarError, OSError) as error:
        raise DataError(
            f"{path}: cannot be read as a tar that is not compressed ({error}); fetch it again."
        ) from error


def _members(archive: tarfile.TarFile, path: Path, damaged: list[int]) -> Iterator[tarfile.TarInfo]:
    """All of them; `damaged` is told where something between them is none."""
    behind = 0
    for member in archive:
        damaged += [behind] * _holds(path, behind, member.offset)
        behind = archive.offset
        yield member
    damaged += [behind] * _holds(path, behind, path.stat().st_size)


def _holds(path: Path, start: int, end: int) -> bool:
    """Whether a byte of a file is not zero."""
    if start >= end:
        return False
    with path.open("rb") as file:
        file.seek(start)
        return any(any(file.read(min(BLOCK, end - at))) for at in range(start, end, BLOCK))


def item(raw: bytes, where: str) -> dict[str, Any]:
    """A sample of its bytes in the archive."""
    try:
        with tarfile.open(fileobj=io.BytesIO(raw), mode="r:", ignore_zeros=True) as archive:
            held = {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}  # type: ignore[union-attr]
    except tarfile.TarError as error:
        raise DataError(f"{where}: is no longer where it was; write the file again.") from error
    return _item(held, where)


def _item(held: dict[str, bytes], where: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    media: dict[str, Any] = {}
    for name, content in held.items():
        key, suffix = _split(name)
        found.setdefault("id", key)
        try:
            if suffix == "json":
                values = json.loads(content)
                found = {**values, **found} if isinstance(values, dict) else found
            elif suffix in _TEXTS:
                found[_TEXTS[suffix]] = content.decode("utf-8")
        except ValueError as error:
            raise DataError(f"{where}: {name} is no text in UTF-8 ({error}).") from error
        for modality in MODALITIES.values():
            if f".{suffix}" in modality.extensions:
                media[modality.name] = Held(modality.name, content)
    return {**found, **media}


def _split(name: str) -> tuple[str, str]:
    """What the files of a sample have in common, and the kind of one."""
    folder, _, file = name.rpartition("/")
    stem, _, suffix = file.partition(".")
    return f"{folder}/{stem}".lstrip("/"), suffix.lower()
