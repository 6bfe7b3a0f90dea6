"""What people judge: an instruction, and the answers of several systems to it.

Knows: an item, and the folder that can be sent to raters. Leaves to others: the order in which it
is shown, and without which names (`session`).

    FOLDER/items.json and media   by `write_items`
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict

from nextgpt_lite.data.sources import medium
from nextgpt_lite.errors import DataError
from nextgpt_lite.evaluation.protocols import Answer, Instruction
from nextgpt_lite.media import safe_path
from nextgpt_lite.model.conversation import content_parts
from nextgpt_lite.model.modality import MODALITIES, get_modality
from nextgpt_lite.reading import read_json, reading

LETTERS = "ABCD"
Parts = list[Any]


@dataclass(frozen=True)
class Item:
    """One instruction and the answers to it.

    Attributes:
        id, group, level: as in `comparison.rows`: which instruction, what it asks for, how hard it
            is.
        asked: the parts of the conversation up to where an answer is wanted (see `item_of`).
        answers: the parts of each system's reply, by the system's name; two to four.
    """

    id: str
    group: str
    level: str
    asked: Parts
    answers: dict[str, Parts]

    def __post_init__(self) -> None:
        if not 2 <= len(self.answers) <= len(LETTERS):
            raise DataError(f"Item {self.id!r} has {len(self.answers)} answers: give two to four.")


class StoredPart(TypedDict):
    """Words, or a file beside `items.json`."""

    type: str
    text: NotRequired[str]
    path: NotRequired[str]


@with_config(extra="allow")
class StoredItem(TypedDict):
    """An entry of `items.json`."""

    id: str
    group: str
    level: str
    asked: list[StoredPart]
    answers: dict[str, list[StoredPart]]


def item_of(instruction: Instruction, answers: Mapping[str, Answer]) -> Item:
    """An instruction with its whole conversation, true media in it, and each system's answer."""
    several = len(instruction.messages) > 1
    asked: Parts = []
    for turn in instruction.messages:
        who = f"{turn['role'].capitalize()}: " if several else ""
        for part in content_parts(turn):
            if part["type"] == "text":
                asked.append({"type": "text", "text": who + part["text"]})
            else:
                asked.append({"type": part["type"], "data": medium(part)})
    given = {name: answer.reply.parts for name, answer in answers.items()}
    return Item(instruction.id, instruction.group, instruction.level, asked, given)


def write_items(items: Sequence[Item], folder: str | Path) -> None:
    """Writes `items.json` and the media, so that others can judge them."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = dict.fromkeys(MODALITIES, 0)

    def stored(part: dict[str, Any]) -> dict[str, Any]:
        if part["type"] == "text":
            return {"type": "text", "text": part["text"]}
        row = MODALITIES[part["type"]]
        name = f"{row.name}_{counts[row.name]:04}{row.suffix}"  # says nothing of the system
        counts[row.name] += 1
        row.save(part["data"], folder / name)
        return {"type": row.name, "path": name}

    plain = [
        {
            **{name: getattr(item, name) for name in ("id", "group", "level")},
            "asked": [stored(part) for part in item.asked],
            "answers": {n: [stored(p) for p in parts] for n, parts in sorted(item.answers.items())},
        }
        for item in items
    ]
    (folder / "items.json").write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


def read_items(folder: str | Path) -> list[Item]:
    """What `write_items` wrote, media loaded.

    Raises:
        DamagedError: `items.json` is not whole.
        MediaError: a medium is missing or lies outside the folder.
    """
    folder = Path(folder)

    def loaded(part: dict[str, Any]) -> dict[str, Any]:
        if part["type"] == "text":
            return part
        medium = get_modality(part["type"]).load(safe_path(folder, part["path"]))
        return {"type": part["type"], "data": medium}

    path = folder / "items.json"
    values = read_json(path, list[StoredItem], "write the items again")
    with reading(path, remedy="write the items again"):
        if len({each["id"] for each in values}) < len(values):
            raise DataError("two items have one id")
        return [
            Item(
                **{name: each[name] for name in ("id", "group", "level")},
                asked=[loaded(part) for part in each["asked"]],
                answers={n: [loaded(p) for p in parts] for n, parts in each["answers"].items()},
            )
            for each in values
        ]
