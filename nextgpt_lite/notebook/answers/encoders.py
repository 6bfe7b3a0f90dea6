"""Judges of the exercises in 02_encoders."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nextgpt_lite.notebook.exercises import Function, normal
from nextgpt_lite.world.pretraining.encoder_losses import contrast


def _ranks(similar: Tensor, dim: int = 1) -> Tensor:
    own = similar.diagonal().unsqueeze(dim)
    return 1 + (similar > own).sum(dim).double()


median_rank = Function(
    right=lambda similar: _ranks(similar).median(),
    draw=lambda random: (normal(random, *2 * [2 * int(random.integers(2, 9)) + 1]),),
    mistakes={
        "ranks begin at 1: the right answer on top has rank 1, not 0": (
            lambda similar: _ranks(similar).median() - 1
        ),
        "the highest similarity comes first, not the lowest": (
            lambda similar: _ranks(-similar).median()
        ),
        "compare each row's own similarity with the others of its row, not of its column": (
            lambda similar: _ranks(similar, 0).median()
        ),
        "that is the mean: one bad row of five does not move the median": (
            lambda similar: _ranks(similar).mean()
        ),
    },
)


def _one_way(rows: Tensor, columns: Tensor, temperature: float) -> Tensor:
    return F.cross_entropy(rows @ columns.T / temperature, torch.arange(len(rows)))


info_nce = Function(
    right=lambda items, texts, temperature: contrast(
        items / temperature, texts, tuple(range(len(items)))
    ),
    draw=lambda random: (
        *F.normalize(normal(random, 2, int(random.integers(3, 9)), 6), dim=-1),
        float(random.uniform(0.05, 0.5)),
    ),
    mistakes={
        "that is one direction, items to texts: texts choose among items too": _one_way,
        "that is one direction, texts to items: items choose among texts too": (
            lambda items, texts, temperature: _one_way(texts, items, temperature)
        ),
        "that is the sum of both directions: take their mean": (
            lambda items, texts, temperature: (
                _one_way(items, texts, temperature) + _one_way(texts, items, temperature)
            )
        ),
        "similarities are divided by the temperature, not multiplied": (
            lambda items, texts, temperature: (
                (_one_way(items, texts, 1 / temperature) + _one_way(texts, items, 1 / temperature))
                / 2
            )
        ),
        "the temperature is missing": (
            lambda items, texts, temperature: (
                (_one_way(items, texts, 1) + _one_way(texts, items, 1)) / 2
            )
        ),
    },
)
