"""Exercises whose answer is a number: `answers/numbers.yaml`, other numbers for each student.

An entry may say which numbers of its question can be others (`vary`); its answer, and what wrong
answers show, are then formulas. Which of them a student gets follows from the student's name.

Knows: entries, and the question's words. Leaves to others: judging (`exercises`), and giving each
student a notebook (`course`).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random

from nextgpt_lite.reading import read_yaml

STUDENT = "NEXTGPT_LITE_STUDENT"  # environment variable: whose numbers a notebook is about
Values = Mapping[str, float]


@dataclass(frozen=True)
class Number:
    """One entry.

    Attributes:
        truth: the right number, or a formula in the names of `given`.
        hints: a sentence for each wrong number, or formula.
        tolerance: relative.
        says: the words of the question that hold numbers, their names in braces.
        given: the numbers that stand in the notebook.
        vary: what each of them may be for a student.
    """

    truth: float | str
    hints: Mapping[float | str, str] = field(default_factory=dict)
    tolerance: float = 1e-6
    says: str = ""
    given: Values = field(default_factory=dict)
    vary: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def of(self, name: str, student: str) -> Values:
        """The numbers of a student's question; those of the notebook for no student ("")."""
        if not student:
            return self.given
        random = Random(f"{student}/{name}")
        return {**self.given, **{key: random.choice(list(v)) for key, v in self.vary.items()}}

    def solved(self, values: Values) -> tuple[float, dict[float, str]]:
        """The right number for these values, and the sentence of each wrong one."""

        def number(formula: float | str) -> float:
            # formulas are the package's own, never a reader's
            return float(eval(str(formula), {"log": math.log}, dict(values)))

        return number(self.truth), {number(wrong): hint for wrong, hint in self.hints.items()}

    def reworded(self, text: str, values: Values) -> tuple[str, int]:
        """A notebook's text with these values in it, and how often the words were found."""
        words = map(re.escape, self.says.format(**self.given).split())
        return re.subn(r"\s+".join(words), self.says.format(**values), text)


@cache
def numbers() -> dict[str, Number]:
    """All entries, by name."""
    entries = read_yaml(Path(__file__).parent / "answers" / "numbers.yaml")
    return {name: Number(**entry) for name, entry in entries.items()}


def student() -> str:
    """The student whose notebook this is; "" for a reader of his own."""
    return os.environ.get(STUDENT, "")
