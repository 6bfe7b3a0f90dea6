"""Losses of the encoder's training: contrast, and attributes read off by linear heads.

Knows: the arithmetic. Leaves to others: which vectors and labels (`encoder`, `encoder_gather`).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nextgpt_lite.world.pretraining.encoder_data import ATTRIBUTES, IGNORE


def contrast(items: Tensor, texts: Tensor, scenes: tuple[object, ...]) -> Tensor:
    """Symmetric InfoNCE; texts beyond the items' own are wrong ones. Equal scenes are no rivals."""
    logits = items @ texts.T  # (B, 2B)
    size = len(items)
    equal = torch.tensor([[a == b for b in scenes] for a in scenes], device=items.device)
    equal = equal.fill_diagonal_(False)
    logits = torch.cat([logits[:, :size].masked_fill(equal, -1e4), logits[:, size:]], dim=1)
    own = torch.arange(size, device=items.device)
    return 0.5 * (F.cross_entropy(logits, own) + F.cross_entropy(logits[:, :size].T, own))


def attribute_loss(head: nn.Linear, vectors: Tensor, targets: Tensor) -> Tensor:
    """Sum over attributes of the cross-entropy of the head's readings of the unit vectors."""
    return split_loss(head(unit(vectors)).float(), targets.unbind(dim=1), ATTRIBUTES)


def unit(vectors: Tensor) -> Tensor:
    """The vectors' directions, each number about one: what linear heads read."""
    return F.normalize(vectors, dim=-1) * vectors.shape[1] ** 0.5


def place_loss(guesses: Tensor, targets: Tensor) -> Tensor:
    """Ten times the squared error of places in -1 to 1, as large as a cross-entropy at first.

    Targets that are NaN are not asked.
    """
    asked = ~targets.isnan()
    return 10 * F.mse_loss(guesses[asked], targets[asked])


def split_loss(logits: Tensor, targets: tuple[Tensor, ...], classes: dict[str, int]) -> Tensor:
    """Sums the cross-entropies of the pieces of `logits` (B, sum of classes, ...)."""
    pieces = logits.split([*classes.values()], dim=1)
    losses = [
        F.cross_entropy(piece, target, ignore_index=IGNORE)
        for piece, target in zip(pieces, targets, strict=True)
        if bool((target != IGNORE).any())
    ]
    return torch.stack(losses).sum()
