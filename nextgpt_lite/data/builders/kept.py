"""What a builder has written into a folder: every attempt, a person's decisions, the data file.

    DIR/t2m.json, mosit.json, images/, audios/, videos/   what `--data DIR` reads
    DIR/.build/settings.json                              what it was made by
    DIR/.build/attempts.jsonl                             all that was written, refused or not
    DIR/.build/review.jsonl                               decisions, see `review`

Knows: these files. Leaves to others: who fills them (`build`, `review`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from nextgpt_lite.data.records import Record
from nextgpt_lite.data.writing import conversation_item, mosit_item, write_file
from nextgpt_lite.errors import MissingError
from nextgpt_lite.reading import read_json, read_lines
from nextgpt_lite.writing import beside

PLACE = Path(".build")
SETTINGS, ATTEMPTS, REVIEW = (
    PLACE / name for name in ("settings.json", "attempts.jsonl", "review.jsonl")
)
Kind = Literal["t2m", "mosit"]
Plain = list[dict[str, Any]]  # messages


@dataclass(frozen=True)
class Attempt:
    """One thing that a language model wrote.

    Attributes:
        text: as it came.
        refused: the reason, or empty.
        messages: of the record that became of it.
    """

    number: int
    text: str
    refused: str
    messages: Plain


@dataclass(frozen=True)
class Decision:
    """What a person said of one record.

    Attributes:
        id: of the record.
        messages: as the person wrote them; empty where they stay.
    """

    id: str
    accepted: bool
    messages: Plain = field(default_factory=list)


@dataclass(frozen=True)
class Built:
    """What a folder holds.

    Attributes:
        file: of the data.
        kept: dialogues or wishes in it.
        refused: how many others, by reason.
    """

    file: Path
    kept: int
    refused: Counter[str]

    def __str__(self) -> str:
        total = self.refused.total()
        lines = [f"{self.file}: {self.kept} kept of {self.kept + total} written, {total} refused"]
        return "\n".join(lines + [f"{n:6} {reason}" for reason, n in self.refused.most_common()])


def settings_of(folder: Path) -> dict[str, Any]:
    """What a folder was made by.

    Raises:
        MissingError: no builder has written there.
    """
    if not (folder / SETTINGS).is_file():
        raise MissingError(
            f"{folder} is not the --output of `nextgpt-lite data build`: give one that is."
        )
    values: dict[str, Any] = read_json(folder / SETTINGS)
    return values


def read_attempts(folder: Path) -> list[Attempt]:
    """All that was written so far."""
    path = folder / ATTEMPTS
    return read_lines(path, Attempt) if path.is_file() else []


def read_decisions(folder: Path) -> dict[str, Decision]:
    """The latest decision on each record that was looked at, by its id."""
    path = folder / REVIEW
    return {each.id: each for each in read_lines(path, Decision)} if path.is_file() else {}


def records_of(folder: Path) -> list[Record]:
    """As many records as are wanted, of attempts that were not refused, as they were written.

    The last group of attempts may have given some more, which are for a larger `--count`.
    """
    settings = settings_of(folder)
    kind, count = settings["kind"], settings["count"]
    kept = [each for each in read_attempts(folder) if not each.refused][:count]
    return [Record(f"{kind}_{each.number:06}", _messages(each), kind) for each in kept]


def write(folder: Path) -> Built:
    """Writes the data file anew: what was kept, as a person left it."""
    settings = settings_of(folder)
    kind, source = settings["kind"], ", ".join(Path(name).stem for name in settings["pairs"])
    decisions, found = read_decisions(folder), records_of(folder)
    items = []
    for record in found:
        said = decisions.get(record.id)
        if said is None or said.accepted:
            record.messages = _messages(said) if said and said.messages else record.messages
            by_name = kind == "mosit"
            items.append(
                mosit_item(record, source) if by_name else conversation_item(record, lists=True)
            )
    path = folder / f"{kind}.json"
    with beside(path) as draft:
        write_file(draft, items)
    refused = Counter(each.refused for each in read_attempts(folder) if each.refused)
    if rejected := len(found) - len(items):
        refused["rejected by a person"] = rejected
    return Built(path, len(items), refused)


def _messages(held: Attempt | Decision) -> Any:
    return held.messages
