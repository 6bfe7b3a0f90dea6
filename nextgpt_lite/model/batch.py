"""Conversations side by side or one behind the other, with features instead of media.

Knows: the tensors `NextGPTModel.loss` needs, and how conversations share rows. Leaves to others:
computing features and conditions (`training.features`), drawing records (`data.sources`).

Letters: B rows, S positions, M media items, X blocks of one modality.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace

import torch
from torch import Tensor

from nextgpt_lite.messages import Part
from nextgpt_lite.model.conversation import Encoded
from nextgpt_lite.model.losses import IGNORE, Divisors
from nextgpt_lite.model.modality import MODALITIES


@dataclass
class SignalTargets:
    """The blocks of one modality: where they start and what they should turn into."""

    rows: Tensor  # (X,)
    starts: Tensor  # (X,) first position
    lengths: Tensor  # (X,) positions
    conditions: Tensor  # (X, L, C)
    latents: Tensor | None = None  # (X, ...) of their media, only for the denoising loss


@dataclass
class Batch:
    """What one training step reads.

    `positions` is None where each row holds one conversation. In packed rows it counts anew in
    each conversation, which is how a transformers model tells that they must not see each other.
    """

    ids: Tensor  # (B, S)
    attention_mask: Tensor  # (B, S) ones where there is a token
    labels: Tensor  # (B, S)
    media_rows: Tensor  # (M,)
    media_starts: Tensor  # (M,)
    media_features: Tensor  # (M, E)
    signals: dict[str, SignalTargets] = field(default_factory=dict)
    positions: Tensor | None = None  # (B, S)

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
        """The same batch on another device; what is pinned is copied while others compute."""
        return self.each(lambda tensor: tensor.to(device, non_blocking=True))

    def each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """The same batch with each of its tensors changed."""
        signals = {
            modality: replace(target, **_changed(change, target))
            for modality, target in self.signals.items()
        }
        return replace(self, **_changed(change, self), signals=signals)


def _changed(change: Callable[[Tensor], Tensor], of: Batch | SignalTargets) -> dict[str, Tensor]:
    values = {f.name: getattr(of, f.name) for f in fields(of)}
    return {name: change(v) for name, v in values.items() if isinstance(v, Tensor)}


def collate(
    conversations: Sequence[Encoded],
    *,
    pad_id: int,
    width: int,
    features: Callable[[list[Part]], Tensor],
    conditions: Callable[[str, list[str], list[Part]], Tensor],
    latents: Callable[[str, list[Part]], Tensor] | None = None,
    pack: int | None = None,
) -> Batch:
    """Lays conversations into rows and gathers what their slots need.

    Args:
        conversations: encoded conversations.
        pad_id: filler; nothing attends to it and it is never trained on.
        width: E, for a batch without media.
        features: media parts -> (M, E) encoder embeddings.
        conditions: modality, captions and the parts of its blocks -> (X, L, C).
        latents: modality and the parts of its blocks -> (X, ...); None where no loss needs them.
        pack: None gives each conversation a row of its own. A number packs several into rows of
            so many positions, or as long as the longest conversation if that is more: the same
            losses with less padding.
    """
    length = max(len(c) for c in conversations)
    if pack is None:
        places = [(row, 0) for row in range(len(conversations))]
    else:
        length = max(length, pack)
        places = first_fit([len(c) for c in conversations], length)
    size = (1 + max(row for row, _ in places), length)
    ids = torch.full(size, pad_id)  # (B, S)
    labels = torch.full_like(ids, IGNORE)  # (B, S)
    mask = torch.zeros_like(ids)  # (B, S)
    positions = torch.zeros_like(ids)  # (B, S)
    for (row, begin), conversation in zip(places, conversations, strict=True):
        here = slice(begin, begin + len(conversation))
        ids[row, here] = torch.tensor(conversation.ids)
        labels[row, here] = torch.tensor(conversation.labels)
        labels[row, begin] = IGNORE  # nothing of its own foretells a first token
        mask[row, here] = 1
        positions[row, here] = torch.arange(len(conversation))
    placed = list(zip(places, conversations, strict=True))
    media = [(row, begin + s.start, s.part) for (row, begin), c in placed for s in c.media]
    batch = Batch(
        ids,
        mask,
        labels,
        torch.tensor([row for row, _, _ in media], dtype=torch.long),
        torch.tensor([start for _, start, _ in media], dtype=torch.long),
        features([part for _, _, part in media]) if media else torch.zeros(0, width),
        positions=None if size[0] == len(conversations) else positions,
    )
    blocks: dict[str, list[tuple[int, int, int, str, Part]]] = {}
    for (row, begin), conversation in placed:
        for slot in conversation.signals:
            if slot.caption is not None:
                found = (row, begin + slot.start, slot.length, slot.caption, slot.part)
                blocks.setdefault(slot.modality, []).append(found)
    for modality, founds in blocks.items():
        rows, starts, lengths, captions, parts = zip(*founds, strict=True)
        batch.signals[modality] = SignalTargets(
            torch.tensor(rows),
            torch.tensor(starts),
            torch.tensor(lengths),
            conditions(modality, [*captions], [*parts]),
            None if latents is None else latents(modality, [*parts]),
        )
    return batch


def first_fit(lengths: Sequence[int], room: int) -> list[tuple[int, int]]:
    """(row, first position) of each of some lengths, the longest laid down first."""
    free: list[int] = []
    places = [(0, 0)] * len(lengths)
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        row = next((r for r, left in enumerate(free) if left >= lengths[index]), len(free))
        if row == len(free):
            free.append(room)
        places[index] = (row, room - free[row])
        free[row] -= lengths[index]
    return places
