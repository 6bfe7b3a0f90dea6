"""One person's judgements of items, shown without the systems' names.

Paper, appendix F (1 to 10) and G (which of the four models' answers ...): several people, three
aspects. Knows: the questions, what is shown in which order, what was said so far. Leaves to others:
showing it (`notebook.rating`), items (`items`), tables of several people (`results`).

    RATER.jsonl   one line for each judgement, written at once: a session goes on
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal

from nextgpt_lite.errors import DataError
from nextgpt_lite.evaluation.ratings.items import Item
from nextgpt_lite.reading import read_lines
from nextgpt_lite.writing import Journal

QUESTIONS = {
    "following": "Does the answer, words and media, respond to the instruction?",
    "rationality": "Do the media show what the instruction means?",
    "quality": "How good are the media, whatever was asked for?",
}
MOST = 10  # points
Mode = Literal["points", "best"]


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

    def __post_init__(self) -> None:
        most = MOST if self.mode == "points" else 1
        if len(self.order) != len(self.points) or not all(0 <= p <= most for p in self.points):
            raise DataError(f"{len(self.order)} answers have the points {[*self.points]}")


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
        DataError: the file was written in the other mode.
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
        self.journal = Journal(self.path, Judgement)
        if other := next((j for j in self.judgements if j.mode != mode), None):
            raise DataError(
                f"{self.path} holds judgements by {other.mode!r}: choose that mode, another file."
            )

    @property
    def judgements(self) -> list[Judgement]:
        """All that was said so far."""
        return self.journal.entries

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
        """Records the points of the answers, from the left.

        Raises:
            DataError: too few or too many, or out of range.
            OSError: the file cannot be written.
        """
        asked = self.task
        self.journal.look_again()
        if self.task is None:
            raise DataError("All is judged: there is nothing left to give points to.")
        if self.task != asked:
            raise DataError("This was judged in another window: judge the next one.")
        item, aspect = self.task
        order = self.order(item)
        least = 1 if self.mode == "points" else 0
        most = MOST if self.mode == "points" else 1
        right = len(points) == len(order) and all(least <= p <= most for p in points)
        if not right or (self.mode == "best" and sum(points) != 1):
            wish = "1 to 10 for each" if self.mode == "points" else "one of the"
            raise DataError(f"Points are {[*points]}: give {wish} of {len(order)} answers.")
        seconds = round(time.monotonic() - self._begun, 1)
        said = Judgement(
            item.id, item.group, item.level, aspect, order, tuple(points), self.mode, seconds
        )
        self.journal.add(said)
        self._begun = time.monotonic()

    def undo(self) -> None:
        """Takes the latest judgement back, whichever window it was given in."""
        self.journal.undo()


def read_judgements(path: str | Path) -> list[Judgement]:
    """The lines of a rater's file; a last one that was cut off by a crash is left out.

    Raises:
        DataError: another line cannot be read.
    """
    return read_lines(Path(path), Judgement)
