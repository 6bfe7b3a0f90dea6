"""The two bridges that learn: encoder -> LLM and LLM -> decoder (paper sections 3 and 4).

Knows: tensors of the widths it was built for. Leaves to others: which media they come from, where
they sit in the conversation, and what the distance to a caption condition is.

Letters: M items, E encoder width, K input tokens per item, D LLM width; B blocks, N signal tokens,
L condition length, C condition width.

The input projection is the paper's linear layer, the output projection its transformer; the other
kinds are there to be compared with them. Each of the former reads (M, E) vectors of media and gives
(M, K, D), each of the latter (B, N, D) states and embeddings of signal tokens and gives (B, L, C).
Those that can read blocks of several lengths take (B, N) `absent` positions too.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nextgpt_lite.errors import ConfigError
from nextgpt_lite.model.config import InputProjectionConfig, OutputProjectionConfig


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


class MLPInputProjection(nn.Sequential):
    """One hidden layer between encoder and LLM, as LLaVA 1.5 has it."""

    def __init__(
        self, encoder_width: int, llm_width: int, tokens: int, config: InputProjectionConfig
    ) -> None:
        super().__init__(
            nn.Linear(encoder_width, config.hidden),
            nn.GELU(),
            nn.Linear(config.hidden, tokens * llm_width),
            nn.Unflatten(1, (tokens, llm_width)),
        )


class QueryInputProjection(nn.Module):
    """K learned queries read an item: as BLIP-2's Q-Former, or as Flamingo's Perceiver resampler.

    The encoder gives one vector an item, so the queries find it cut into pieces, each with its
    place. A Q-Former's queries look at each other and then at the pieces, a resampler's at both
    together.

    Raises:
        ConfigError: the vector cannot be cut into so many pieces.
    """

    def __init__(
        self, encoder_width: int, llm_width: int, tokens: int, config: InputProjectionConfig
    ) -> None:
        super().__init__()
        if encoder_width % config.pieces:
            raise ConfigError(
                f"Configuration field 'input_projection.pieces' is {config.pieces}: give a divisor "
                f"of the encoder's width, {encoder_width}."
            )
        self.pieces = config.pieces
        self.piece = nn.Linear(encoder_width // config.pieces, config.hidden)
        self.places = nn.Parameter(torch.randn(config.pieces, config.hidden) * 0.02)
        self.query_embs = nn.Parameter(torch.randn(1, tokens, config.hidden))  # (1, K, hidden)
        self.perceiver = None
        if config.kind == "qformer":
            self.model = _qformer(config, config.hidden)
        else:
            self.perceiver = _Perceiver(config)
        self.fc = nn.Linear(config.hidden, llm_width)

    def forward(self, embedding: Tensor) -> Tensor:
        """(M, E) -> (M, K, D)."""
        if not len(embedding):  # neither body can read nothing; the graph must be there
            return self(embedding.new_zeros(1, embedding.shape[1]))[:0]
        source = self.piece(embedding.unflatten(1, (self.pieces, -1))) + self.places
        queries = self.query_embs.expand(len(source), -1, -1)  # (M, K, hidden)
        if self.perceiver is None:
            read = self.model(query_embeds=queries, encoder_hidden_states=source)
            queries = read.last_hidden_state
        else:
            queries = self.perceiver(queries, source)
        return self.fc(queries)  # (M, K, D)


class _Perceiver(nn.ModuleList):
    """Flamingo's resampler: in every block queries look at themselves and at a source."""

    def __init__(self, config: InputProjectionConfig | OutputProjectionConfig) -> None:
        super().__init__(_block(config) for _ in range(config.layers))

    def forward(self, queries: Tensor, source: Tensor, absent: Tensor | None = None) -> Tensor:
        """(B, Q, hidden) and (B, N, hidden), some of it absent (B, N) -> (B, Q, hidden)."""
        count = queries.shape[1]
        mask = None if absent is None else F.pad(absent, (count, 0))  # (B, Q + N)
        for layer in self:
            both = layer(torch.cat([queries, source], 1), src_key_padding_mask=mask)
            queries = both[:, :count]
        return queries


def _block(config: InputProjectionConfig | OutputProjectionConfig) -> nn.Module:
    return nn.TransformerEncoderLayer(
        config.hidden, config.heads, config.feed_forward, config.dropout, batch_first=True,
        norm_first=True,
    )  # fmt: skip


def input_projection(
    encoder_width: int, llm_width: int, tokens: int, config: InputProjectionConfig
) -> nn.Module:
    """The input projection of the configured kind, from (M, E) vectors to (M, K, D)."""
    if config.kind == "linear":
        return InputProjection(encoder_width, llm_width, tokens)
    made = MLPInputProjection if config.kind == "mlp" else QueryInputProjection
    return made(encoder_width, llm_width, tokens, config)


def _qformer(config: InputProjectionConfig | OutputProjectionConfig, source: int) -> nn.Module:
    """BLIP-2's Q-Former, whose queries look at a source of that width in every block."""
    from transformers import Blip2QFormerConfig, Blip2QFormerModel

    return Blip2QFormerModel(
        Blip2QFormerConfig(
            hidden_size=config.hidden,
            encoder_hidden_size=source,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            intermediate_size=config.feed_forward,
            hidden_dropout_prob=config.dropout,
            attention_probs_dropout_prob=config.dropout,
            cross_attention_frequency=1,
        )
    )


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

    def forward(self, hidden: Tensor, embedding: Tensor, absent: Tensor | None = None) -> Tensor:
        """Projects signal tokens to a condition.

        Args:
            hidden: (B, N, D) the LLM's last hidden state at the signal tokens themselves.
            embedding: (B, N, D) the input embeddings of the same tokens.
            absent: (B, N) True where there is none.

        Returns:
            (B, L, C) what the diffusion model reads instead of a caption's embedding.
        """
        source = self.fc(hidden + embedding)  # (B, N, hidden)
        queries = self.query_embs.expand(len(source), -1, -1)  # (B, L, hidden)
        read = self.tfm(
            source, queries, src_key_padding_mask=absent, memory_key_padding_mask=absent
        )
        return self.model(read)  # (B, L, C)


class EncoderOutputProjection(nn.Module):
    """Encoder only, as MetaQueries has it: as many signal tokens as the condition has vectors, and
    each becomes one of them after all have looked at each other.
    """

    def __init__(
        self,
        llm_width: int,
        condition_length: int,
        condition_width: int,
        config: OutputProjectionConfig,
    ) -> None:
        super().__init__()
        self.fc = nn.Linear(llm_width, config.hidden)
        self.places = nn.Parameter(torch.randn(condition_length, config.hidden) * 0.02)
        blocks = (_block(config) for _ in range(config.layers))
        self.layers = nn.Sequential(*blocks, nn.LayerNorm(config.hidden))
        self.model = nn.Linear(config.hidden, condition_width)

    def forward(self, hidden: Tensor, embedding: Tensor) -> Tensor:
        """(B, N, D) twice -> (B, L, C), where N is L."""
        condition: Tensor = self.model(self.layers(self.fc(hidden + embedding) + self.places))
        return condition


class ResamplerOutputProjection(nn.Module):
    """Flamingo's resampler: L learned queries that look at themselves and the signal tokens."""

    def __init__(
        self,
        llm_width: int,
        condition_length: int,
        condition_width: int,
        config: OutputProjectionConfig,
    ) -> None:
        super().__init__()
        self.query_embs = nn.Parameter(torch.randn(1, condition_length, config.hidden))
        self.fc = nn.Linear(llm_width, config.hidden)
        self.perceiver = _Perceiver(config)
        self.model = nn.Linear(config.hidden, condition_width)

    def forward(self, hidden: Tensor, embedding: Tensor, absent: Tensor | None = None) -> Tensor:
        """(B, N, D) twice, some of it absent (B, N) -> (B, L, C)."""
        source = self.fc(hidden + embedding)  # (B, N, hidden)
        queries = self.query_embs.expand(len(source), -1, -1)  # (B, L, hidden)
        condition: Tensor = self.model(self.perceiver(queries, source, absent))
        return condition


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
        self.query_embs = nn.Parameter(torch.randn(1, condition_length, config.hidden))
        self.model = _qformer(config, llm_width)
        self.fc = nn.Linear(config.hidden, condition_width)

    def forward(self, hidden: Tensor, embedding: Tensor, absent: Tensor | None = None) -> Tensor:
        """(B, N, D) twice, some of it absent (B, N) -> (B, L, C)."""
        if not len(hidden):  # Blip2QFormerModel cannot read nothing; the graph must be there
            return self(*(x.new_zeros(1, *x.shape[1:]) for x in (hidden, embedding)))[:0]
        source = hidden + embedding
        queries = self.query_embs.expand(len(source), -1, -1)  # (B, L, hidden)
        there = None if absent is None else (~absent).long()
        read = self.model(
            query_embeds=queries, encoder_hidden_states=source, encoder_attention_mask=there
        )
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
    if config.kind == "encoder":
        return EncoderOutputProjection(llm_width, *shape, config)
    if config.kind == "resampler":
        return ResamplerOutputProjection(llm_width, *shape, config)
    if config.kind == "linear":
        return LinearOutputProjection(llm_width, signals, *shape)
    if config.kind == "mlp":
        return MLPOutputProjection(llm_width, signals, *shape, config)
    if config.kind == "qformer":
        return QFormerOutputProjection(llm_width, *shape, config)
    return OutputProjection(llm_width, *shape, config)
