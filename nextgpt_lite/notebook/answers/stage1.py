"""Judges of the exercises in 03_stage1_encoding_alignment."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers.loss.loss_utils import ForCausalLMLoss

from nextgpt_lite.model.losses import IGNORE
from nextgpt_lite.model.nextgpt import NextGPTModel
from nextgpt_lite.model.projections import InputProjection
from nextgpt_lite.notebook.exercises import Function, normal


def _widened(labels: list[int], places: list[int], K: int) -> list[int]:
    return [x for i, label in enumerate(labels) for x in ([IGNORE] * K if i in places else [label])]


def _behind(labels: list[int], places: list[int], K: int) -> list[int]:
    return labels + [IGNORE] * (K - 1) * len(places)


def _labelled(random: np.random.Generator) -> tuple[list[int], list[int], int]:
    length = int(random.integers(3, 9))
    places = sorted(int(p) for p in random.choice(length, int(random.integers(1, 3)), False))
    trained = random.random(length) < 0.6
    labels = [
        int(random.integers(5, 99)) if trained[i] and i not in places else IGNORE
        for i in range(length)
    ]
    return labels, places, int(random.integers(1, 5))


widen = Function(
    right=_widened,
    draw=_labelled,
    mistakes={
        "room must be made where the item stands, not behind": _behind,
        "nothing became wider": lambda labels, places, K: labels,
        "one placeholder becomes K positions in all, yours become K + 1": (
            lambda labels, places, K: _widened(labels, places, K + 1)
        ),
        "each item makes room for itself: yours widens the first only": (
            lambda labels, places, K: _widened(labels, places[:1], K)
        ),
        "a label of -100 need not be an item: look at places": (
            lambda labels, places, K: _widened(
                labels, [i for i, label in enumerate(labels) if label == IGNORE], K
            )
        ),
    },
)


def _sequence(random: np.random.Generator) -> tuple[Any, ...]:
    """ids and labels with a placeholder an item, its places, features, table, projection."""
    length, D, E, K = int(random.integers(5, 9)), 4, 3, int(random.integers(2, 5))
    places = sorted(int(p) for p in random.choice(length, int(random.integers(1, 4)), False))
    ids = [int(i) for i in random.integers(0, 12, length)]
    labels = [i if n not in places and random.random() < 0.5 else IGNORE for n, i in enumerate(ids)]
    table, features = normal(random, 12, D), normal(random, len(places), E)
    return ids, labels, places, features, table, normal(random, K * D, E), normal(random, K * D)


def _filled(
    ids: list[int], labels: list[int], places: list[int], *tensors: Tensor, moved: bool = True
) -> tuple[Tensor, list[int]]:
    """By the package's own splice; `moved`: later gaps stand behind the wider earlier ones."""
    features, table, weight, bias = tensors
    projection = InputProjection(weight.shape[1], table.shape[1], len(weight) // table.shape[1])
    projection.linear.load_state_dict({"weight": weight, "bias": bias})
    K, count = projection.tokens, len(places)
    wide = _widened(ids, places, K)
    starts = torch.tensor([p + moved * n * (K - 1) for n, p in enumerate(places)])
    embedded = table[torch.tensor(wide).clamp_min(0)][None]  # (1, S, D)
    model: Any = SimpleNamespace(input_projection=projection)
    spliced = NextGPTModel.splice(model, embedded, torch.zeros(count).long(), starts, features)
    return spliced[0].detach(), _widened(labels, places, K)


def _turned(weight: Tensor, bias: Tensor, D: int) -> tuple[Tensor, Tensor]:
    """A projection whose numbers are cut into K vectors across, not along."""
    order = torch.arange(len(bias)).reshape(-1, D).T.reshape(-1)
    order = order.reshape(D, -1).reshape(-1, D).reshape(-1)
    return weight[order], bias[order]


def _both(result: tuple[Any, Any]) -> Tensor:
    inputs, labels = (torch.as_tensor(each).detach().float() for each in result)
    shapes = torch.tensor([*inputs.shape, *labels.shape])
    return torch.cat([shapes, inputs.flatten(), labels.flatten()])


assemble = Function(
    right=_filled,
    draw=_sequence,
    mistakes={
        "each gap moves everything behind it by K - 1: the next item's place, too": (
            lambda *given: _filled(*given, moved=False)
        ),
        "the vectors are right, and the labels were not widened with them": (
            lambda ids, labels, *rest: (_filled(ids, labels, *rest)[0], labels)
        ),
        "only the labels are right: the gap must hold the projected vectors": (
            lambda ids, labels, places, features, table, weight, bias: _filled(
                ids, labels, places, features, table, 0 * weight, 0 * bias
            )
        ),
        "the first D of the K D numbers are the first vector: reshape to (K, D)": (
            lambda ids, labels, places, features, table, weight, bias: _filled(
                ids, labels, places, features, table, *_turned(weight, bias, table.shape[1])
            )
        ),
        "the bias of the projection is missing": (
            lambda ids, labels, places, features, table, weight, bias: _filled(
                ids, labels, places, features, table, weight, 0 * bias
            )
        ),
        "each item has its own vector: yours are in another order": (
            lambda ids, labels, places, features, *rest: _filled(
                ids, labels, places, features.flip(0), *rest
            )
        ),
    },
    read=_both,
)


def _predicted(random: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Logits (B, S, V) and labels (B, S), of which rows train unequally many."""
    size, length, words = (int(n) for n in random.integers((2, 6, 5), (5, 10, 9)))
    labels = torch.from_numpy(random.integers(0, words, (size, length)))
    labels[torch.from_numpy(random.random((size, length))) < 0.4] = IGNORE
    labels[0, 1:4], labels[1, 1:5] = 1, IGNORE
    return 3 * normal(random, size, length, words), labels


def _errors(logits: Tensor, labels: Tensor, **how: Any) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten(), **how)


caption_loss = Function(
    right=lambda logits, labels: ForCausalLMLoss(logits, labels, logits.shape[-1]),
    draw=_predicted,
    mistakes={
        "states and labels are compared at the same place: the state at p predicts p + 1": _errors,
        "shifted the wrong way: the state at p predicts what comes at p + 1, not at p - 1": (
            lambda logits, labels: _errors(logits[:, 1:], labels[:, :-1])
        ),
        "positions with the label -100 are not trained on: they do not count": (
            lambda logits, labels: _errors(logits[:, :-1], labels[:, 1:].clamp_min(0))
        ),
        "divide by the trained positions, not by all": (
            lambda logits, labels: _errors(logits[:, :-1], labels[:, 1:], reduction="none").mean()
        ),
        "that is the sum: divide by the trained positions": (
            lambda logits, labels: _errors(logits[:, :-1], labels[:, 1:], reduction="sum")
        ),
        "one mean over the batch, not the mean of each conversation's mean": (
            lambda logits, labels: torch.stack(
                [_errors(x[None, :-1], y[None, 1:]) for x, y in zip(logits, labels, strict=True)]
            ).nanmean()
        ),
        "cross_entropy takes logits, it makes the softmax itself": (
            lambda logits, labels: _errors(logits.softmax(-1)[:, :-1], labels[:, 1:])
        ),
    },
)
