"""A JSON list of any length, item by item, with the place of each in the file.

Knows: how to find where an item begins and ends while holding one block and one item in memory.
Leaves to others: what an item means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextgpt_lite.errors import DataError

BLOCK = 2**18  # bytes read at once
_SCAN = json.JSONDecoder(strict=False)
_BLANK = re.compile(r"[\s,]*")
_OPENING = re.compile(r'\s*(?:\{\s*"annotations"\s*:\s*)?\[')  # MiniGPT-4 wraps its list


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
            return parse(file.read(self.length), f"{path}, item {self.number}")


def parse(raw: bytes, where: str) -> Any:
    """One item, which is named `where`; raises DataError when it is not JSON in UTF-8."""
    try:
        return json.loads(raw.decode("utf-8"), strict=False)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: is no JSON in UTF-8 ({error}); write it again.") from error


def items(path: Path) -> Iterator[tuple[Span, bytes]]:
    """Every item of a list, or of the list under "annotations", as bytes.

    Raises:
        DataError: the file holds no list, or breaks off; names the file and the item.
    """
    # Latin-1 makes a character of each byte, so places in the text are places in the file; JSON's
    # own characters are ASCII, and the items are decoded as UTF-8 once they are cut out.
    with path.open("r", encoding="latin-1", newline="") as file:
        text = file.read(BLOCK)
        at = 3 if text.startswith("\xef\xbb\xbf") else 0  # a byte order mark
        opening = _OPENING.match(text, at)
        if opening is None:
            raise DataError(f"{path}: holds no list of items; wrap its content in [ ].")
        before, at, number = 0, opening.end(), 0
        while True:
            at = _skip(text, at)
            if text[at : at + 1] == "]":
                return
            try:
                _, end = _SCAN.raw_decode(text, at)
                if end == len(text):
                    raise ValueError  # perhaps only the beginning of a number or word
            except (ValueError, RecursionError) as error:
                block = file.read(max(BLOCK, len(text) - at))  # doubling keeps long items linear
                if not block:
                    raise DataError(
                        f"{path}: not a JSON text from item {number} on; write the file again."
                    ) from error
                before, text, at = before + at, text[at:] + block, 0
                continue
            yield Span(number, before + at, end - at), text[at:end].encode("latin-1")
            at, number = end, number + 1


def _skip(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return at if blank is None else blank.end()
