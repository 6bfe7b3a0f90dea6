"""Judges of the exercises in 04_stage2_decoding_alignment."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nextgpt_lite.model.losses import condition_distance
from nextgpt_lite.notebook.exercises import Function, normal


def _conditions(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """(4, 6, 8) each, items of unequal size."""
    condition = 3 * normal(random, 4, 6, 8) * torch.arange(1, 5)[:, None, None]
    return condition + normal(random, 4, 6, 8), condition


def _error(projected: Tensor, condition: Tensor) -> Tensor:
    return (projected - condition).pow(2).mean()


distance = Function(
    right=condition_distance,
    draw=_conditions,
    mistakes={
        "divide by the mean square of the condition": _error,
        "square the error, take no root, and divide by the condition's": (
            lambda projected, condition: _error(projected, condition).sqrt()
        ),
        "divide by the target's size, not by the projection's: else a large wrong answer looks "
        "near": lambda projected, condition: _error(projected, condition) / projected.pow(2).mean(),
        "divide once for the whole batch, not once an item": (
            lambda projected, condition: (
                (projected - condition).pow(2).flatten(1).mean(1)
                / condition.pow(2).flatten(1).mean(1)
            ).mean()
        ),
        "no root: squares by squares": (
            lambda projected, condition: condition_distance(projected, condition).sqrt()
        ),
        "one number is asked for, not one an item: take the mean over the batch, too": (
            lambda projected, condition: (
                (projected - condition).pow(2).flatten(1).mean(1) / condition.pow(2).mean()
            )
        ),
    },
)


Blocks = dict[str, list[int]]


def _completed(chosen: list[int], blocks: Blocks) -> list[int]:
    rest = {ids[0]: ids[1:] for ids in blocks.values()}
    return [x for token in chosen for x in (token, *rest.get(token, []))]


def _ended(chosen: list[int], blocks: Blocks) -> list[int]:
    firsts = [ids[0] for ids in blocks.values()]
    until = next((i + 1 for i, token in enumerate(chosen) if token in firsts), len(chosen))
    return _completed(chosen[:until], blocks)


def _reply(random: np.random.Generator) -> tuple[list[int], Blocks]:
    widths = [int(n) for n in random.integers(1, 5, 3)]
    blocks = {
        name: list(range(70 + 10 * i, 70 + 10 * i + width))
        for i, (name, width) in enumerate(zip(("image", "audio", "video"), widths, strict=True))
    }
    return [int(t) for t in random.choice([1, 2, 3, 70, 80, 90], random.integers(1, 9))], blocks


complete = Function(
    right=_completed,
    draw=_reply,
    mistakes={
        "words may follow a block: the reply does not end with it": _ended,
        "the first token is there twice: append only the rest": (
            lambda chosen, blocks: [
                x for t in chosen for x in (t, *_completed([t], blocks) * (t >= 70))
            ]
        ),
        "the rest of each block is missing": lambda chosen, blocks: chosen,
        "a block follows where its first token stands, not at the end": (
            lambda chosen, blocks: chosen + [x for t in chosen for x in _completed([t], blocks)[1:]]
        ),
        "a block may be asked for twice: complete it each time": (
            lambda chosen, blocks: [
                x
                for i, t in enumerate(chosen)
                for x in ([t] if t in chosen[:i] else _completed([t], blocks))
            ]
        ),
    },
)
