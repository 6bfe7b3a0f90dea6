"""Rows whose beginning is frozen: read without a backward pass, and once for all that follow it.

While only the rows of signal tokens learn (stage 2), the LLM's work on a caption is the same
function of frozen weights in every step: no gradient leads into it, and two conversations that
begin alike, say one caption asked for as an image and as a video, share it. So the prefixes, all
that stands before the first token that learns, go through the LLM without a graph, each different
one once; the suffixes go through it after them, attend to their own prefix, and are all that the
backward pass has to visit. Losses and gradients are those of reading the rows whole.

**When this is valid**: nothing that learns may reach a prefix. LoRA and the input projection must
be frozen, so not in stages 1 and 3. Keeping prefix states from step to step would be valid too, for
as long as stage 2 lasts, but is not done: a position has 2 x layers x width numbers, and so 100,000
captions of 20 tokens take 2 TB at 7 B in float32.

Knows: the layout. Leaves to others: what a position's embedding is (`model`).

Letters: B rows, S positions, D width, R packed rows, P and Q prefix and suffix positions in one.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor
from transformers import DynamicCache

from nextgpt_lite.model.batch import Batch, first_fit
from nextgpt_lite.model.families import as_mask
from nextgpt_lite.model.llm import LanguageModel


def read_after_prefix(llm: LanguageModel, batch: Batch, embeddings: Tensor) -> Tensor:
    """(B, S, D) last hidden states of a batch without packed rows, media already spliced in."""
    lengths = batch.attention_mask.sum(1).tolist()
    learns = torch.isin(batch.ids, torch.tensor(llm.new_ids, device=batch.ids.device))  # (B, S)
    firsts, keys, with_media = [], [], set(batch.media_rows.tolist())
    for row, length in enumerate(lengths):
        at = learns[row, :length].nonzero()[:1, 0].tolist()
        firsts.append(max(1, *at) if at else length)
        beginning = tuple(batch.ids[row, : firsts[-1]].tolist())
        keys.append((beginning, row if row in with_media else None))
    return read_in_two(llm, embeddings, lengths, firsts, keys)


def read_in_two(
    llm: LanguageModel,
    embeddings: Tensor,
    lengths: Sequence[int],
    firsts: Sequence[int],
    keys: Sequence[Hashable],
) -> Tensor:
    """(B, S, D) embeddings -> (B, S, D) last hidden states, zeros behind each row's end.

    Args:
        llm: which can read "masked" (`families.WAYS`).
        embeddings: (B, S, D) padded rows.
        lengths: B numbers of positions that are no padding.
        firsts: B numbers of positions in each prefix, at least 1.
        keys: B names; rows of the same name have the same prefix.
    """
    layout = _Layout(lengths, firsts, keys, embeddings.shape[1], embeddings.device)
    flat = embeddings.flatten(0, 1)  # (B*S, D)
    cache = DynamicCache()
    with torch.no_grad():
        before = llm.hidden(
            flat.detach()[layout.prefix_source],  # (R, P, D)
            _mask(llm, layout.prefix_unit, layout.prefix_unit, flat),
            cache,
            layout.prefix_position,
        )
    own = _mask(llm, layout.suffix_row, layout.suffix_row, flat)  # (R, 1, Q, Q)
    theirs = _mask(llm, layout.suffix_unit, layout.prefix_unit, flat, causal=False)
    behind = llm.hidden(
        flat[layout.suffix_source], torch.cat([theirs, own], -1), cache, layout.suffix_position
    )  # (R, Q, D)
    nothing = behind.new_zeros(1, behind.shape[-1])
    states = torch.cat([before.flatten(0, 1), behind.flatten(0, 1), nothing])
    return states[layout.where]


class _Layout:
    """Where each position of B rows stands in R packed rows, as index tensors.

    A unit is a prefix with all suffixes that follow it; it lies in one packed row.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        firsts: Sequence[int],
        keys: Sequence[Hashable],
        width: int,
        device: torch.device,
    ) -> None:
        units: dict[Hashable, list[int]] = {}
        for row, key in enumerate(keys):
            units.setdefault(key, []).append(row)
        rows_of = [*units.values()]
        heads = [firsts[rows[0]] for rows in rows_of]
        tails = [sum(lengths[row] - firsts[row] for row in rows) for rows in rows_of]
        sizes = [head + tail for head, tail in zip(heads, tails, strict=True)]
        packed = [row for row, _ in first_fit(sizes, max(sizes))]
        count = 1 + max(packed)
        prefixes: list[list[tuple[int, int, int]]] = [[] for _ in range(count)]
        suffixes: list[list[tuple[int, int, int, int]]] = [[] for _ in range(count)]
        places: dict[tuple[int, int], tuple[bool, int, int]] = {}
        for unit, rows in enumerate(rows_of):
            into = packed[unit]
            for at in range(firsts[rows[0]]):
                for row in rows:
                    places[row, at] = (False, into, len(prefixes[into]))
                prefixes[into].append((rows[0] * width + at, at, unit))
            for row in rows:
                for at in range(firsts[row], lengths[row]):
                    places[row, at] = (True, into, len(suffixes[into]))
                    suffixes[into].append((row * width + at, at, unit, row))
        longest = [max(1, *map(len, part)) for part in (prefixes, suffixes)]  # P, Q
        where = torch.full((len(lengths), width), count * sum(longest))  # the row of zeros
        for (row, at), (behind, into, index) in places.items():
            offset = count * longest[0] if behind else 0
            where[row, at] = offset + into * longest[behind] + index
        self.where = where.to(device)  # (B, S) into prefix states, suffix states, zeros
        source, position, unit_of = _stack(prefixes, longest[0], 3, device)
        self.prefix_source, self.prefix_position, self.prefix_unit = source, position, unit_of
        source, position, unit_of, row_of = _stack(suffixes, longest[1], 4, device)
        self.suffix_source, self.suffix_position = source, position  # (R, Q)
        self.suffix_unit, self.suffix_row = unit_of, row_of


def _stack(
    rows: Sequence[Sequence[tuple[int, ...]]], length: int, width: int, device: torch.device
) -> tuple[Tensor, ...]:
    """Lists of tuples -> one (R, length) tensor for each place in the tuples, padded."""
    filler = (0, 0, *[-1] * (width - 2))  # padding belongs to no unit and no row
    padded = [[*row, *[filler] * (length - len(row))] for row in rows]
    return torch.tensor(padded, device=device).unbind(-1)


def _mask(
    llm: LanguageModel, asking: Tensor, asked: Tensor, like: Tensor, causal: bool = True
) -> Tensor:
    """(R, 1, Q, P) which position may look at which: those of the same unit or row.

    Padding looks at padding, so that nowhere a softmax runs over nothing.
    """
    same = asking[:, :, None] == asked[:, None, :]  # (R, Q, P)
    if causal:
        same = same.tril()
    return as_mask(same, llm.causal_lm, like.dtype)
