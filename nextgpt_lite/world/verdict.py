"""What a reader of pictures, sounds or clips says about one of them.

Knows: the form of the answer only. Leaves to others: how an answer is reached (`verify`, `hear`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Verdict:
    """Whether a medium shows the scene asked for, attribute by attribute.

    Attributes:
        correct: every attribute holds and nothing else is in the way.
        attributes: one entry per attribute of the scene, e.g. kind, colour, size, count.
        found: what was read from the medium, for people and for evaluation records.
    """

    correct: bool
    attributes: dict[str, bool]
    found: Any = None
