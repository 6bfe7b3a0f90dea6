"""Conversations side by side: one padded batch, with features instead of media.

Knows: the tensors `NextGPT.loss` needs. Leaves to others: computing features and conditions
(`training.features`), drawing records (`training.mixture`).

Letters: B conversations, S positions, M media items, X blocks of one modality.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from torch import Tensor

from nextgpt_lite.conversation import Encoded
from nextgpt_lite.losses import IGNORE, Divisors
from nextgpt_lite.modality import MODALITIES


@dataclass
class SignalTargets:
    """The blocks of one modality: where they start and what they should turn into."""

    rows: Tensor  # (X,) conversation
    starts: Tensor  # (X,) first position
    conditions: Tensor  # (X, L, C)


@dataclass
class Batch:
    """What one training step reads."""

    ids: Tensor  # (B, S)
    attention_mask: Tensor  # (B, S)
    labels: Tensor  # (B, S)
    media_rows: Tensor  # (M,)
    media_starts: Tensor  # (M,)
    media_features: Tensor  # (M, E)
    signals: dict[str, SignalTargets] = field(default_factory=dict)

    def divisors(self) -> Divisors:
        """What this batch alone is divided by."""
        blocks = torch.zeros(len(MODALITIES), device=self.labels.device)
        squares = torch.zeros_like(blocks)
        for number, modality in enumerate(MODALITIES):
            if modality in self.signals:
                conditions = self.signals[modality].conditions  # (X, L, C)
                blocks[number] = len(conditions)
                squares[number] = conditions.float().pow(2).flatten(1).mean(1).sum()
        return Divisors((self.labels[:, 1:] != IGNORE).sum().float(), blocks, squares)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        moved = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {k: v.to(device) if isinstance(v, Tensor) else v for k, v in moved.items()}
        moved["signals"] = {
            modality: SignalTargets(*(getattr(target, f.name).to(device) for f in fields(target)))
            for modality, target in self.signals.items()
        }
        return replace(self, **moved)


def collate(
    conversations: Sequence[Encoded],
    *,
    pad_id: int,
    width: int,
    features: Callable[[list[dict[str, Any]]], Tensor],
    conditions: Callable[[str, list[str]], Tensor],
) -> Batch:
    """Pads conversations on the right and gathers what their slots need.

    Args:
        conversations: B encoded conversations.
        pad_id: filler; it is masked and never trained on.
        width: E, for a batch without media.
        features: media parts -> (M, E) encoder embeddings.
        conditions: modality and captions -> (X, L, C).
    """
    length = max(len(c) for c in conversations)
    ids = torch.full((len(conversations), length), pad_id)  # (B, S)
    labels = torch.full_like(ids, IGNORE)  # (B, S)
    mask = torch.zeros_like(ids)  # (B, S)
    for row, conversation in enumerate(conversations):
        ids[row, : len(conversation)] = torch.tensor(conversation.ids)
        labels[row, : len(conversation)] = torch.tensor(conversation.labels)
        mask[row, : len(conversation)] = 1
    media = [(row, slot) for row, c in enumerate(conversations) for slot in c.media]
    parts = [slot.part for _, slot in media]
    batch = Batch(
        ids,
        mask,
        labels,
        torch.tensor([row for row, _ in media], dtype=torch.long),
        torch.tensor([slot.start for _, slot in media], dtype=torch.long),
        features(parts) if parts else torch.zeros(0, width),
    )
    blocks: dict[str, list[tuple[int, int, str]]] = {}
    for row, conversation in enumerate(conversations):
        for slot in conversation.signals:
            if slot.caption is not None:
                blocks.setdefault(slot.modality, []).append((row, slot.start, slot.caption))
    for modality, found in blocks.items():
        batch.signals[modality] = SignalTargets(
            torch.tensor([row for row, _, _ in found]),
            torch.tensor([start for _, start, _ in found]),
            conditions(modality, [caption for _, _, caption in found]),
        )
    return batch
