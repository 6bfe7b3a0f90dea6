"""Judges of the exercises in 02_encoders."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def median_rank(answer: Callable[[Tensor], float]) -> str | None:
    """The median rank of the diagonal, 1 for first."""
    if not callable(answer):
        return f"a function is asked for, not {type(answer).__name__}"
    perfect = torch.eye(5)
    found = float(answer(perfect))
    if found == 0:
        return "ranks begin at 1: the right answer on top has rank 1, not 0"
    if found == 5:
        return "the highest similarity comes first, not the lowest"
    if found != 1:
        return f"for a diagonal of ones and zeros elsewhere the median rank is 1, not {found:g}"
    # Own similarity 0.5; three others beat it in the last three rows. Ranks 1, 1, 4, 4, 4.
    uneven = torch.full((5, 5), 0.1).fill_diagonal_(0.5)
    for row in (2, 3, 4):
        others = [column for column in range(5) if column != row][:3]
        uneven[row, others] = 0.9
    found = float(answer(uneven))
    if found == 3:
        return "compare each row's own similarity with the others of its row, not of its column"
    if found != 4:
        return f"for ranks 1, 1, 4, 4 and 4 the median is 4, not {found:g}"
    skewed = perfect.clone()
    skewed[0] = torch.tensor([0.0, 1.0, 1.0, 1.0, 1.0])
    if float(answer(skewed)) != 1:
        return "one bad row of five does not move the median: is yours the mean?"
    return None
