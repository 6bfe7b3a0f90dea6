"""Judges of the exercises in 04_stage2_decoding_alignment."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

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


def _asked(random: np.random.Generator) -> tuple[Tensor, Tensor, SimpleNamespace]:
    """Queries (B, L, H), states (B, N, H) and the weights of an attention of several heads."""
    heads, size = int(random.integers(2, 4)), int(random.integers(2, 4))
    H = 4 * heads
    weights = SimpleNamespace(
        num_heads=heads,
        in_proj_weight=normal(random, 3 * H, H) / 2,
        in_proj_bias=normal(random, 3 * H),
        out_proj=SimpleNamespace(weight=normal(random, H, H), bias=normal(random, H)),
    )
    return normal(random, size, 5, H), normal(random, size, 3, H), weights


def _attended(queries: Tensor, states: Tensor, weights: Any) -> Tensor:
    """By torch's own layer."""
    H = queries.shape[-1]
    layer = nn.MultiheadAttention(H, weights.num_heads, batch_first=True)
    layer.in_proj_weight.data, layer.in_proj_bias.data = (
        weights.in_proj_weight, weights.in_proj_bias
    )  # fmt: skip
    layer.out_proj.load_state_dict(vars(weights.out_proj))
    attended: Tensor = layer(queries, states, states)[0].detach()
    return attended


def _attention(
    scale: str = "head", dim: int = -1, one: bool = False, out: bool = True, apart: bool = True
) -> Any:
    """Attention by hand, right or with a flaw."""

    def attention(queries: Tensor, states: Tensor, weights: Any) -> Tensor:
        H, heads = queries.shape[-1], 1 if one else weights.num_heads
        parts = zip(weights.in_proj_weight.chunk(3), weights.in_proj_bias.chunk(3), strict=True)
        made = [
            x @ w.T + b for x, (w, b) in zip((queries, states, states), parts, strict=True)
        ]  # q, k, v
        shape = (heads, H // heads) if apart else (H // heads, heads)
        q, k, v = (x.unflatten(-1, shape) for x in made)
        q, k, v = (x.transpose(1, 2) if apart else x.permute(0, 3, 1, 2) for x in (q, k, v))
        size = {"head": H // heads, "width": H, "none": 1}[scale]
        read = (q @ k.mT / size**0.5).softmax(dim) @ v  # (B, heads, L, H / heads)
        read = read.transpose(1, 2) if apart else read.permute(0, 2, 3, 1)
        read = read.flatten(-2)
        return read @ weights.out_proj.weight.T + weights.out_proj.bias if out else read

    return attention


ask = Function(
    right=_attended,
    draw=_asked,
    mistakes={
        "the products are not divided by the root of a head's width": _attention("none"),
        "divide by the root of a head's width, not of the whole": _attention("width"),
        "the softmax is over the states: each query shares itself out among them": (
            _attention(dim=-2)
        ),
        "that is one wide head: cut q, k and v into num_heads pieces": _attention(one=True),
        "neighbouring numbers belong to one head: unflatten to (num_heads, H / num_heads)": (
            _attention(apart=False)
        ),
        "out_proj is missing at the end": _attention(out=False),
        "the queries ask and the states answer: yours have changed places": (
            lambda queries, states, weights: _attended(states, queries, weights)
        ),
    },
)
