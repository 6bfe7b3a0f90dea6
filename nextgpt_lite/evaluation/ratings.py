"""People's judgement: answers of several systems to the same wish, shown without their names.

Paper, appendix F (1 to 10) and G (which of the four models' answers ...): several people, three
aspects. Knows: what is shown in which order, what was said so far, the file, tables. Leaves to
others: showing it (`notebook.rating`), agreement (`agreement`), intervals (`statistics`).

    FOLDER/items.json and media   what is judged, by `write_items`; can be sent to the raters
    RATER.jsonl                   one line for each judgement, written at once: a session goes on
"""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Literal

import numpy as np

from nextgpt_lite.baselines.answer import Answer
from nextgpt_lite.evaluation.agreement import Level, agreement
from nextgpt_lite.evaluation.comparison import mean, where
from nextgpt_lite.evaluation.instructions import Instruction
from nextgpt_lite.evaluation.statistics import Interval, table
from nextgpt_lite.media import load, safe_path, save
from nextgpt_lite.modality import MODALITIES
from nextgpt_lite.training.checkpoint import beside
from nextgpt_lite.world.render import render

QUESTIONS = {
    "following": "Does the answer, words and media, respond to the instruction?",
    "rationality": "Do the media show what the instruction means?",
    "quality": "How good are the media, whatever was asked for?",
}
COLUMNS = ("rater", "id", "group", "level", "system", *QUESTIONS)
LETTERS = "ABCD"
MOST = 10  # points
Mode = Literal["points", "best"]
Parts = list[dict[str, Any]]


@dataclass(frozen=True)
class Item:
    """One instruction and the answers to it.

    Attributes:
        id, group, level: as in `comparison`: which instruction, what it asks for, how hard it is.
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
            raise ValueError(f"Item {self.id!r} has {len(self.answers)} answers: give two to four.")


def item_of(instruction: Instruction, answers: Mapping[str, Answer]) -> Item:
    """An instruction with its whole conversation, true media in it, and each system's answer."""
    several = len(instruction.messages) > 1
    asked: Parts = []
    for turn in instruction.messages:
        who = f"{turn['role'].capitalize()}: " if several else ""
        for part in turn["content"]:
            if part["type"] == "text":
                asked.append({"type": "text", "text": who + part["text"]})
            else:
                asked.append({"type": part["type"], "data": render(part["scene"])})
    given = {name: answer.reply.parts for name, answer in answers.items()}
    return Item(instruction.id, instruction.group, instruction.level, asked, given)


@dataclass(frozen=True)
class Judgement:
    """What one person said of one item in one aspect.

    Attributes:
        order: the systems as they stood, from the left.
        points: of each in that order: 1 to 10, or 1 for the best and 0 for the others.
        seconds: it took.
    """

    id: str
    group: str
    level: str
    aspect: str
    order: tuple[str, ...]
    points: tuple[int, ...]
    mode: Mode = "points"
    seconds: float = 0.0


class Session:
    """One person's judgements, in a seeded order that hides the systems.

    Items come in another order for every rater, answers in another order for every item; the
    three aspects of an item are asked one after the other, its answers staying where they are.

    Args:
        items: what is judged.
        path: the file that is gone on with, or made.
        rater: who judges.
        mode: "points" asks for 1 to 10 each, "best" for one of them.
        seed: of both orders.

    Raises:
        ValueError: the file was written in the other mode.
    """

    def __init__(
        self,
        items: Sequence[Item],
        path: str | Path,
        rater: str,
        mode: Mode = "points",
        seed: int = 0,
    ) -> None:
        self.items = {item.id: item for item in items}
        self.path, self.rater, self.mode, self.seed = Path(path), rater, mode, seed
        order = sorted(self.items)
        Random(f"{seed}/{rater}").shuffle(order)
        self.tasks = [(name, aspect) for name in order for aspect in QUESTIONS]
        self._begun = time.monotonic()
        self.judgements = read_judgements(self.path) if self.path.is_file() else []
        if other := next((j for j in self.judgements if j.mode != mode), None):
            raise ValueError(
                f"{self.path} holds judgements by {other.mode!r}: choose that mode, another file."
            )
        if self.judgements:
            self._rewrite(self.judgements)  # without a line that was cut off

    @property
    def task(self) -> tuple[Item, str] | None:
        """The item and the aspect to be judged now; None when all are."""
        done = {(j.id, j.aspect) for j in self.judgements}
        left = next((task for task in self.tasks if task not in done), None)
        return None if left is None else (self.items[left[0]], left[1])

    @property
    def done(self) -> int:
        """How many of `tasks` are judged."""
        return len({(j.id, j.aspect) for j in self.judgements} & {*self.tasks})

    def order(self, item: Item) -> tuple[str, ...]:
        """The systems of an item as they stand, from the left."""
        names = sorted(item.answers)
        Random(f"{self.seed}/{self.rater}/{item.id}").shuffle(names)
        return tuple(names)

    def judge(self, points: Sequence[int]) -> None:
        """Takes the points of the answers from the left, and keeps them.

        Raises:
            ValueError: too few or too many, or out of range.
            OSError: the file cannot be written.
        """
        if self.task is None:
            raise ValueError("All is judged: there is nothing left to give points to.")
        item, aspect = self.task
        order = self.order(item)
        least = 1 if self.mode == "points" else 0
        most = MOST if self.mode == "points" else 1
        right = len(points) == len(order) and all(least <= p <= most for p in points)
        if not right or (self.mode == "best" and sum(points) != 1):
            wish = "1 to 10 for each" if self.mode == "points" else "one of the"
            raise ValueError(f"Points are {[*points]}: give {wish} of {len(order)} answers.")
        seconds = round(time.monotonic() - self._begun, 1)
        said = Judgement(
            item.id, item.group, item.level, aspect, order, tuple(points), self.mode, seconds
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(said))
            file.flush()
            os.fsync(file.fileno())
        self.judgements.append(said)
        self._begun = time.monotonic()

    def undo(self) -> None:
        """Takes the latest judgement back."""
        if self.judgements:
            self._rewrite(self.judgements[:-1])
            self.judgements.pop()

    def _rewrite(self, judgements: Sequence[Judgement]) -> None:
        with beside(self.path) as draft:
            draft.write_text("".join(map(_line, judgements)), encoding="utf-8")


def _line(judgement: Judgement) -> str:
    return json.dumps(asdict(judgement)) + "\n"


def read_judgements(path: str | Path) -> list[Judgement]:
    """The lines of a rater's file; a last one that was cut off by a crash is left out.

    Raises:
        ValueError: another line cannot be read.
    """
    lines = Path(path).read_text(encoding="utf-8").splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        try:
            values = json.loads(line)
            order, points = tuple(values.pop("order")), tuple(values.pop("points"))
            found.append(Judgement(order=order, points=points, **values))
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break
            raise ValueError(f"{path}, line {number} is no judgement: remove it.") from error
    return found


# ---- files


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
        save(row.name, part["data"], folder / name)
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
        MediaError: a medium is missing or lies outside the folder.
    """
    folder = Path(folder)

    def loaded(part: dict[str, Any]) -> dict[str, Any]:
        if part["type"] == "text":
            return part
        return {"type": part["type"], "data": load(part["type"], safe_path(folder, part["path"]))}

    values = json.loads((folder / "items.json").read_text(encoding="utf-8"))
    return [
        Item(
            **{name: each[name] for name in ("id", "group", "level")},
            asked=[loaded(part) for part in each["asked"]],
            answers={name: [loaded(p) for p in parts] for name, parts in each["answers"].items()},
        )
        for each in values
    ]


# ---- results


@dataclass
class Results:
    """The judgements of several people.

    Attributes:
        rows: one for each rater, item and system: `COLUMNS`, aspects from 0 to 100 ("best": 100
            for the chosen one); as `comparison` has them, with raters in place of seeds.
        mode: how they were asked.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    mode: Mode = "points"

    @classmethod
    def of(cls, judgements: Mapping[str, Sequence[Judgement]]) -> Results:
        """The judgements of each rater by name."""
        rows: dict[tuple[str, str, str], dict[str, Any]] = {}
        modes = {each.mode for some in judgements.values() for each in some}
        if len(modes) > 1:
            raise ValueError("Some judged by points, others chose the best: give one sort of file.")
        unit = 100 / MOST if modes == {"points"} else 100.0
        for rater, some in judgements.items():
            for said in some:
                for system, points in zip(said.order, said.points, strict=True):
                    about = (rater, said.id, said.group, said.level, system)
                    empty: dict[str, Any] = dict.fromkeys(QUESTIONS, "")
                    row = {**dict(zip(COLUMNS, about, strict=False)), **empty}
                    row = rows.setdefault((rater, said.id, system), row)
                    row[said.aspect] = unit * points
        return cls([*rows.values()], modes.pop() if modes else "points")

    @classmethod
    def read(cls, folder: str | Path) -> Results:
        """Every `RATER.jsonl` of a folder."""
        files = sorted(Path(folder).glob("*.jsonl"))
        return cls.of({path.stem: read_judgements(path) for path in files})

    def write_csv(self, path: str | Path) -> None:
        """One line for each rater, item and system."""
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)

    def mean(self, system: str, aspect: str, **values: str) -> Interval:
        """A system's mean, 0 to 100, with its interval over raters and items."""
        mine = where(self.rows, system=system, **values)
        return mean([{**row, "seed": row["rater"]} for row in mine], aspect)

    def agreement(self, aspect: str, level: Level | None = None) -> Interval:
        """Krippendorff's alpha of an aspect over all answers.

        Args:
            level: None takes "ordinal" for points and "nominal" for choices.
        """
        values, _ = table(self.rows, aspect, prompt=("id", "system"), seed="rater")
        return agreement(values, level or ("ordinal" if self.mode == "points" else "nominal"))

    def markdown(self, by: str = "level") -> str:
        """Systems down, aspects across for each level (appendix G) or group (appendix F)."""
        if not self.rows:
            return "Nobody has judged anything yet.\n"
        kinds = list(dict.fromkeys(row[by] for row in self.rows))
        kinds.sort(key=lambda kind: {"simple": 0, "complex": 1}.get(kind, 2))
        systems = sorted({row["system"] for row in self.rows})
        lines = [["system", *(f"{kind}: {aspect}" for kind in kinds for aspect in QUESTIONS)]]
        for name in systems:
            cells = [self.mean(name, a, **{by: kind}) for kind in kinds for a in QUESTIONS]
            lines.append([name, *(str(cell) for cell in cells)])
        lines.insert(1, ["---"] * len(lines[0]))
        raters = {row["rater"] for row in self.rows}
        items = {row["id"] for row in self.rows}
        said = [f"{aspect} {_two(self.agreement(aspect))}" for aspect in QUESTIONS]
        what = "1 to 10, times ten" if self.mode == "points" else "share of choices, per cent"
        table_lines = [f"| {' | '.join(cells)} |" for cells in lines]
        note = (
            f"{len(raters)} raters, {len(items)} instructions; {what}, mean [95 % interval]. "
            f"Krippendorff's alpha: {', '.join(said)}."
        )
        return "\n".join([*table_lines, "", note]) + "\n"


def _two(value: Interval) -> str:
    if np.isnan(value.mean):
        return "not defined"
    return f"{value.mean:.2f} [{value.low:.2f}, {value.high:.2f}]"
