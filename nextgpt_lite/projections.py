"""The two bridges that learn: encoder -> LLM and LLM -> decoder (paper sections 3 and 4).

Knows: tensors of the widths it was built for. Leaves to others: which media they come from, where
they sit in the conversation, and what the distance to a caption condition is.

Letters: M items, E encoder width, K input tokens per item, D LLM width; B blocks, N signal tokens,
L condition length, C condition width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nextgpt_lite.config import OutputProjectionConfig


class InputProjection(nn.Module):
    """One linear layer from an encoder's embedding to `tokens` vectors the LLM reads.

    The paper projects each item to one vector (1024 -> 4096, 4.2 M parameters). A small LLM has
    little room in one of its narrow vectors, so `tokens` > 1 lets the same single linear layer
    spread an item over several positions.
    """

    def __init__(self, encoder_width: int, llm_width: int, tokens: int = 1) -> None:
        super().__init__()
        self.tokens = tokens
        self.linear = nn.Linear(encoder_width, tokens * llm_width)

    def forward(self, embedding: Tensor) -> Tensor:
        """(M, E) -> (M, K, D)."""
        return self.linear(embedding).unflatten(-1, (self.tokens, -1))  # (M, K, D)


class OutputProjection(nn.Module):
    """A small encoder-decoder transformer from signal tokens to a decoder's condition.

    The encoder reads the N signal positions, `query_embs` asks once per condition position, and a
    last linear layer gives the width the decoder expects. Parameter names and values agree with
    the released implementation, so its weights load unchanged.
    """

    def __init__(
        self,
        llm_width: int,
        condition_length: int,
        condition_width: int,
        config: OutputProjectionConfig | None = None,
    ) -> None:
        super().__init__()
        config = config or OutputProjectionConfig()
        hidden = config.hidden
        self.query_embs = nn.Parameter(torch.randn(1, condition_length, hidden))  # (1, L, hidden)
        self.fc = nn.Linear(llm_width, hidden)
        numbers: dict[str, Any] = {
            "d_model": hidden,
            "nhead": config.heads,
            "dim_feedforward": config.feed_forward,
            "dropout": config.dropout,
            "batch_first": True,
            "norm_first": True,
        }
        encoder = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(**numbers),
            config.layers,
            nn.LayerNorm(hidden),
            enable_nested_tensor=False,  # needs post-norm; else torch warns for each modality
        )
        self.tfm = nn.Transformer(
            **numbers, num_decoder_layers=config.layers, custom_encoder=encoder
        )
        self.model = nn.Linear(hidden, condition_width)

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        """Projects signal tokens to a condition.

        Args:
            hidden: (B, N, D) the LLM's last hidden state at the signal tokens themselves.
            embedding: (B, N, D) the input embeddings of the same tokens.

        Returns:
            (B, L, C) what the diffusion model reads instead of a caption's embedding.
        """
        source = self.fc(hidden + embedding)  # (B, N, hidden)
        queries = self.query_embs.expand(len(source), -1, -1)  # (B, L, hidden)
        return self.model(self.tfm(source, queries))  # (B, L, C)
