"""Judges of the exercises in 03_stage1_encoding_alignment."""

from __future__ import annotations

from collections.abc import Callable

from nextgpt_lite.model.losses import IGNORE

Widen = Callable[[list[int], list[int], int], list[int]]


def widen(answer: Widen) -> str | None:
    """Labels of a sequence whose placeholders became K positions each."""
    one = answer([IGNORE, IGNORE, 7, 8], [1], 3)
    if one == [IGNORE, 7, 8] + [IGNORE] * 3 or one == [IGNORE, IGNORE, 7, 8, IGNORE, IGNORE]:
        return "the gap is as wide as before: room must be made where the item stands, not behind"
    if len(one) != 6:
        return f"one item and K = 3 make 4 labels into 6, yours are {len(one)}: K positions in all"
    if one != [IGNORE] * 4 + [7, 8]:
        return f"for labels [-100, -100, 7, 8], places [1], K = 3 yours are {one}"
    if answer([IGNORE, 5], [0], 1) != [IGNORE, 5]:
        return "with K = 1 nothing should change"
    two = answer([IGNORE, 5, IGNORE, 6], [0, 2], 2)
    if two != [IGNORE, IGNORE, 5, IGNORE, IGNORE, 6]:
        return f"two items move what follows twice; for places [0, 2] and K = 2 yours are {two}"
    return None
