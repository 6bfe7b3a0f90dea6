"""The two bridges that learn: encoder -> LLM and LLM -> decoder (paper sections 3 and 4).

Knows: tensors of the widths it was built for. Leaves to others: which media they come from, where
they sit in the conversation, and what the distance to a caption condition is.

Letters: M items, E encoder width, K input tokens per item, D LLM width; B blocks, N signal tokens,
L condition length, C condition width.

The output projection is the paper's transformer; the other kinds are there to be compared with it.
Each reads (B, N, D) states and embeddings of signal tokens and gives a (B, L, C) condition.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nextgpt_lite.model.config import OutputProjectionConfig


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


class LinearOutputProjection(nn.Module):
    """No non-linearity: one linear layer over the width, one over the positions, and a bias.

    A single matrix from N x D to L x C numbers would have 1.2 billion at the paper's sizes.
    """

    def __init__(
        self, llm_width: int, signals: int, condition_length: int, condition_width: int
    ) -> None:
        super().__init__()
        self.width = nn.Linear(llm_width, condition_width, bias=False)
        self.positions = nn.Linear(signals, condition_length, bias=False)
        self.bias = nn.Parameter(torch.zeros(condition_length, condition_width))  # (L, C)

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        """(B, N, D) twice -> (B, L, C)."""
        narrow = self.width(hidden + embedding).transpose(1, 2)  # (B, C, N)
        return self.positions(narrow).transpose(1, 2) + self.bias  # (B, L, C)


class MLPOutputProjection(nn.Module):
    """All N signal tokens at once through one hidden layer."""

    def __init__(
        self,
        llm_width: int,
        signals: int,
        condition_length: int,
        condition_width: int,
        config: OutputProjectionConfig,
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(1),
            nn.Linear(signals * llm_width, config.hidden),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.hidden, condition_length * condition_width),
            nn.Unflatten(1, (condition_length, condition_width)),
        )

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        """(B, N, D) twice -> (B, L, C)."""
        condition: Tensor = self.layers(hidden + embedding)
        return condition


class QFormerOutputProjection(nn.Module):
    """BLIP-2's Q-Former: L learned queries that look at the signal tokens in every block."""

    def __init__(
        self,
        llm_width: int,
        condition_length: int,
        condition_width: int,
        config: OutputProjectionConfig,
    ) -> None:
        super().__init__()
        from transformers import Blip2QFormerConfig, Blip2QFormerModel

        self.query_embs = nn.Parameter(torch.randn(1, condition_length, config.hidden))
        self.model = Blip2QFormerModel(
            Blip2QFormerConfig(
                hidden_size=config.hidden,
                encoder_hidden_size=llm_width,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                intermediate_size=config.feed_forward,
                hidden_dropout_prob=config.dropout,
                attention_probs_dropout_prob=config.dropout,
                cross_attention_frequency=1,
            )
        )
        self.fc = nn.Linear(config.hidden, condition_width)

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        """(B, N, D) twice -> (B, L, C)."""
        if not len(hidden):  # Blip2QFormerModel cannot read nothing; the graph must be there
            return self(*(x.new_zeros(1, *x.shape[1:]) for x in (hidden, embedding)))[:0]
        source = hidden + embedding
        queries = self.query_embs.expand(len(source), -1, -1)  # (B, L, hidden)
        read = self.model(query_embeds=queries, encoder_hidden_states=source)
        condition: Tensor = self.fc(read.last_hidden_state)  # (B, L, C)
        return condition


def output_projection(
    llm_width: int,
    signals: int,
    condition_length: int,
    condition_width: int,
    config: OutputProjectionConfig,
) -> nn.Module:
    """The output projection of the configured kind, from N `signals` to an (L, C) condition."""
    shape = (condition_length, condition_width)
    if config.kind == "linear":
        return LinearOutputProjection(llm_width, signals, *shape)
    if config.kind == "mlp":
        return MLPOutputProjection(llm_width, signals, *shape, config)
    if config.kind == "qformer":
        return QFormerOutputProjection(llm_width, *shape, config)
    return OutputProjection(llm_width, *shape, config)
