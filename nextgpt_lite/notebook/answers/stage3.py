"""Judges of the exercises in 05_stage3_instruction_tuning."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Merge = Callable[[Tensor, Tensor, Tensor, float], Tensor]
Trained = Callable[[list[tuple[str, list[str]]]], list[bool]]


def merge(answer: Merge) -> str | None:
    """W + alpha / r * B A."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((6, 5), (2, 5), (6, 2))
    w, a, b = (torch.randn(shape, generator=generator) for shape in shapes)
    before = w.clone()
    given = torch.as_tensor(answer(w, a, b, 8))
    if not torch.equal(w, before):
        return "your function changed W in place: return a new matrix"
    if given.shape != w.shape:
        return f"the result should be shaped like W, (6, 5), not {tuple(given.shape)}"
    wrong = {
        "the scale alpha / r is missing": w + b @ a,
        "divide alpha by r: it is the number of rows of A": w + 8 * b @ a,
        "W itself is missing from the sum": 8 / 2 * b @ a,
        "alpha is divided by the width; divide by r, the number of rows of A": w + 8 / 5 * b @ a,
    }
    if torch.allclose(given, w + 8 / 2 * b @ a, atol=1e-5):
        return None
    for hint, value in wrong.items():
        if torch.allclose(given, value, atol=1e-5):
            return hint
    return "not yet: y = W x + alpha / r * B (A x) for every x, so which matrix stands before x?"


def trained(answer: Trained) -> str | None:
    """True for every token of every reply."""
    reply = ["hello", "[IMG0]", "[IMG1]", "</s>"]
    one = list(answer([("user", ["hi", "you"]), ("assistant", reply)]))
    if len(one) != 6:
        return f"2 + 4 tokens need 6 answers, one a token, yours are {len(one)}"
    if one == [True, True, False, False, False, False]:
        return "the other way round: the model learns to answer, not to ask"
    if one[:2] != [False, False]:
        return "what the user says is not trained on"
    if one == [False, False, True, True, True, False]:
        return "the end token is trained on too: else the model never learns to stop"
    if one == [False, False, True, False, False, True]:
        return "signal tokens are trained on too: the model must learn to choose them"
    if one != [False, False, True, True, True, True]:
        return f"for 2 user tokens and a reply of 4 yours are {one}"
    turns = [("user", ["a"]), ("assistant", ["b"]), ("user", ["c"]), ("assistant", ["d"])]
    if list(answer(turns)) != [False, True, False, True]:
        return "every reply of a conversation is trained on, not only the last"
    return None
