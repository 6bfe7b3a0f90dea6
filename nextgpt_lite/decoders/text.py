"""How captions become a condition (B, L, C), and how a condition says which of its rows count.

A condition is one tensor whatever a pipeline reads, so that one output projection can make it.
A row of zeros is padding. What is not a sequence, such as a pooled vector, is one more row, filled
up with zeros to width C. Each decoder says in its docstring which rows it has.

Knows: tokenizers and text encoders. Leaves to others: what a pipeline does with the rows.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

PADDING = 0.1  # of the longest row's length; a projection comes near zero and does not reach it


def read_tokens(tokenizer: Any, captions: list[str], length: int, device: torch.device) -> Any:
    """Token ids and attention mask (B, length) of captions, cut or padded to `length`."""
    return tokenizer(
        captions, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    ).to(device)


def hidden_states(pipeline: Any, captions: list[str], length: int) -> Tensor:
    """(B, length, C) last hidden states of a pipeline's T5 encoder, zeros behind the caption."""
    encoder = pipeline.text_encoder
    tokens = read_tokens(pipeline.tokenizer, captions, length, encoder.device)
    mask = tokens.attention_mask
    hidden = encoder(tokens.input_ids, attention_mask=mask).last_hidden_state
    return hidden.where(mask[..., None].bool(), hidden.new_zeros(()))


def counts(condition: Tensor) -> Tensor:
    """(B, L) true where a row of a condition (B, L, C) is no padding: not nearly zero."""
    lengths = condition.detach().float().norm(dim=-1)  # (B, L)
    return lengths > PADDING * lengths.amax(1, keepdim=True)


def widened(row: Tensor, width: int) -> Tensor:
    """A vector (B, c) as a row (B, 1, width) of a condition, zeros behind it."""
    return torch.nn.functional.pad(row, (0, width - row.shape[-1]))[:, None]
