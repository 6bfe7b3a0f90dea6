"""Judges of the exercises in 04_stage2_decoding_alignment."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nextgpt_lite.model.losses import condition_distance
from nextgpt_lite.notebook.exercises import expect

Distance = Callable[[Tensor, Tensor], Tensor]
Complete = Callable[[list[int], dict[str, list[int]]], list[int]]


def distance(answer: Distance) -> str | None:
    """Mean squared error relative to the mean square of the condition."""
    generator = torch.Generator().manual_seed(0)
    condition = 3 * torch.randn(4, 6, 8, generator=generator) * torch.arange(1, 5)[:, None, None]
    projected = condition + torch.randn(4, 6, 8, generator=generator)
    given = torch.as_tensor(answer(projected, condition))
    if given.ndim:
        return f"one number is asked for, yours has shape {tuple(given.shape)}: take the mean"
    error = (projected - condition).pow(2)
    each = error.flatten(1).mean(1) / condition.pow(2).flatten(1).mean(1)
    hints = {
        float(error.mean()): "divide by the mean square of the condition",
        float(error.mean().sqrt()): "square the error, take no root, and divide by the condition's",
        float(error.mean() / projected.pow(2).mean()): "divide by the target's size, not by "
        "the projection's: else a large wrong answer looks near",
        float(each.mean()): "divide once for the whole batch, not once an item",
        float((error.mean() / condition.pow(2).mean()).sqrt()): "no root: squares by squares",
    }
    return expect(given, float(condition_distance(projected, condition)), hints, tolerance=1e-5)


def complete(answer: Complete) -> str | None:
    """Every first token of a block is followed by the rest of it."""
    blocks = {"image": [90, 91, 92], "audio": [80, 81]}
    plain = answer([1, 2], blocks)
    if plain is None:
        return "return the sequence"
    if list(plain) != [1, 2]:
        return f"words stay as they are: [1, 2] became {list(plain)}"
    one = list(answer([1, 90, 2], blocks))
    if one == [1, 90, 91, 92]:
        return "words may follow a block: the reply does not end with it"
    if one == [1, 90, 90, 91, 92, 2]:
        return "the first token is there twice: append only the rest"
    if one != [1, 90, 91, 92, 2]:
        return f"[1, 90, 2] should become [1, 90, 91, 92, 2], not {one}"
    several = list(answer([90, 80, 90], blocks))
    if several != [90, 91, 92, 80, 81, 90, 91, 92]:
        return f"a reply may hold several blocks: [90, 80, 90] became {several}"
    return None
