"""Judges of the exercises in 11_a_modality_of_your_own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def fetch(answer: Callable[[Tensor, Tensor], int]) -> str | None:
    """The index of the vector whose cosine to the query is largest."""
    if not callable(answer):
        return f"a function is asked for, not {type(answer).__name__}"
    query = torch.tensor([1.0, 0.0])
    kept = torch.tensor([[5.0, 9.0], [0.5, 0.1], [-8.0, 0.0]])
    found = answer(query, kept)
    if found == 2:
        return "that is the farthest, or the sign is lost: the cosine should be large"
    if found == 0:
        return "the longest vector won: divide by the lengths first"
    return None if found == 1 else "it must return the index of the nearest vector, a number"
