"""Files of any length, item by item, with the place of each in its file.

Knows: lists of JSON, objects that wrap them, lines of JSON; how to find where an item begins and
ends while holding one block and one item in memory. Leaves to others: tables (`tables`), archives
(`shards`), what an item means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

from nextgpt_lite.data import shards, tables
from nextgpt_lite.errors import DataError

BLOCK = 2**18  # bytes read at once
FIRST = 2**18  # an object that is longer wraps others
LINES = (".jsonl", ".ndjson")
SUFFIXES = (".json", *LINES, *tables.DELIMITERS, shards.SUFFIX)
WRAPPED = "annotations"  # MiniGPT-4 and COCO wrap their list in an object
_SCAN = json.JSONDecoder(strict=False, parse_int=len)  # Python refuses numbers of 5,000 digits
_BLANK = re.compile(r"[\s,:]*")

Found = Iterator[tuple["Span", Callable[[], Any]]]


@dataclass(frozen=True)
class Span:
    """Where an item stands in its file: number, first byte, bytes."""

    number: int
    start: int
    length: int

    def read(self, path: Path) -> Any:
        """The item itself.

        Raises:
            DataError: the file has changed, or the item is not UTF-8.
        """
        with path.open("rb") as file:
            file.seek(self.start)
            return parse(file.read(self.length), path, self.number)


def parse(raw: bytes, path: Path, number: int) -> Any:
    """One item of a file; raises DataError when it is not what the file's name says."""
    where = f"{path}, item {number}"
    if path.suffix == shards.SUFFIX:
        return shards.item(raw, where)
    if path.suffix in tables.DELIMITERS:
        return tables.item(raw, path, where)
    try:
        item = json.loads(raw.decode("utf-8"), strict=False)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: is no JSON in UTF-8 ({error}); write it again.") from error
    if isinstance(item, dict) and isinstance(item.get("image_id"), int):  # of COCO
        stat = path.stat()
        name = _coco_images(path, stat.st_size, stat.st_mtime_ns).get(item["image_id"])
        item = item if name is None else {**item, "image_name": name}
    return item


def items(path: Path) -> Found:
    """Every item of a file: its place, and a function that reads it as `parse` does.

    Raises:
        DataError: the file holds no items, or breaks off; names the file and the item.
    """
    if path.suffix == shards.SUFFIX:
        for number, (start, length, read) in enumerate(shards.samples(path)):
            yield Span(number, start, length), read
        return
    cut = (
        _lines(path)
        if path.suffix in LINES
        else tables.rows(path)
        if path.suffix in tables.DELIMITERS
        else _listed(path, WRAPPED)
    )
    for number, (start, raw) in enumerate(cut):
        yield (
            Span(number, start, len(raw)),
            lambda raw=raw, number=number: parse(raw, path, number),  # type: ignore[misc]
        )


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    start = 0
    with path.open("rb") as file:
        for line in file:
            content = line.removeprefix(b"\xef\xbb\xbf") if not start else line
            if content.strip():
                yield start + len(line) - len(content), content
            start += len(line)


def _listed(path: Path, key: str) -> Iterator[tuple[int, bytes]]:
    """(first byte, bytes) of each item of a file's list, or of the list under `key`.

    Lists one behind the other are read as one, objects one behind the other as lines.
    """
    # Latin-1 makes a character of each byte, so places in the text are places in the file; JSON's
    # own characters are ASCII, and the items are decoded as UTF-8 once they are cut out.
    with path.open("r", encoding="latin-1", newline="") as file:
        text = _Text(file, path)
        if text.next() == "{":
            if text.lines(key):
                while text.next() == "{":
                    yield text.cut()
                return
            text.seek(key)
        wrapped = text.wrapped
        while text.next() == "[":
            yield from text.list()
            if wrapped:
                return
        if text.next():
            raise text.error()
        if not text.number:
            raise DataError(f"{path}: its list is empty; write items into it, or remove it.")


class _Text:
    """A long JSON text, of which one block and one value are in memory."""

    def __init__(self, file: TextIO, path: Path) -> None:
        self.file, self.path = file, path
        self.text = file.read(BLOCK)
        self.before, self.at = 0, 3 * self.text.startswith("\xef\xbb\xbf")  # a byte order mark
        self.number = 0  # items so far
        self.lists = 0
        self.wrapped = False

    def next(self) -> str:
        """The character that a value begins or ends with; none where the text ends."""
        while True:
            blank = _BLANK.match(self.text, self.at)
            self.at = self.at if blank is None else blank.end()
            if self.at < len(self.text) or not self._more():
                return self.text[self.at : self.at + 1]

    def cut(self) -> tuple[int, bytes]:
        """(first byte, bytes) of the next value, behind which the text goes on."""
        while True:
            try:
                _, end = _SCAN.raw_decode(self.text, self.at)
                whole = end < len(self.text)  # else perhaps the beginning of a number or word
            except (ValueError, RecursionError):
                end = 0
                whole = False
            if not whole and not self._more() and not end:
                raise self.error()
            if whole or (end and end == len(self.text)):
                start, raw = self.before + self.at, self.text[self.at : end].encode("latin-1")
                self.at, self.number = end, self.number + 1
                return start, raw

    def list(self) -> Iterator[tuple[int, bytes]]:
        """The items of the list that begins here."""
        self.at, self.lists = self.at + 1, self.lists + 1
        while self.next() != "]":
            yield self.cut()
        self.at += 1

    def lines(self, key: str) -> bool:
        """Whether whole objects follow each other; refuses a single one that wraps no list."""
        while True:
            try:
                value, end = _SCAN.raw_decode(self.text, self.at)
                break
            except (ValueError, RecursionError):
                if len(self.text) > FIRST or not self._more():
                    return False
        if key in value:
            return False
        length = end - self.at
        while not (behind := self.text[self.at + length :].lstrip()) and self._more():
            pass
        if behind[:1] == "{":
            return True
        raise self.error()

    def seek(self, key: str) -> None:
        """Goes to the list under a key of the object that begins here."""
        self.at += 1
        while self.next() == '"':
            found = json.loads(self.cut()[1])
            if self.next() == "[" and found == key:
                self.number, self.wrapped = 0, True
                return
            if self.next() == "[":
                for _ in self.list():
                    pass
            else:
                self.cut()
        self.number = self.lists = 0
        raise self.error()

    def error(self) -> DataError:
        """The text is not what it should be from here on."""
        if not self.lists:
            return DataError(f"{self.path}: holds no list of items; wrap its content in [ ].")
        return DataError(
            f"{self.path}: not a JSON text from item {self.number} on; write the file again."
        )

    def _more(self) -> bool:
        block = self.file.read(max(BLOCK, len(self.text) - self.at))  # doubling keeps it linear
        self.before, self.text, self.at = self.before + self.at, self.text[self.at :] + block, 0
        return bool(block)


@lru_cache(maxsize=4)
def _coco_images(path: Path, size: int, changed: int) -> dict[int, str]:
    """Names of a COCO file's pictures by their numbers; none where it lists none."""
    found = {}
    with suppress(ValueError, TypeError):
        for _, raw in _listed(path, "images"):
            image = json.loads(raw)
            if isinstance(image, dict) and {"id", "file_name"} <= image.keys():
                found[image["id"]] = image["file_name"]
    return found
