"""ImageBind (Girdhar et al., CVPR 2023): one transformer a modality, one space for all.

    input ─ preprocessor (patches, class token, positions) ─ trunk ─ head ─ postprocessor ─> (B, E)

Parameter names are those of the released `imagebind_huge.pth`, so its weights load as they are;
the lite encoder is this same code at other numbers (`config`).
Knows: modules and their names. Leaves to others: how files become tensors (`preprocess`), token
ids, folders and batches (`encoder`).

Letters: B batch, P clips an item, N tokens of a trunk, D its width, E output width, T frames.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nextgpt_lite.encoders.config import (
    ImageBindConfig,
    ImuConfig,
    SpectrumConfig,
    TextConfig,
    TrunkConfig,
    VisionConfig,
)
from nextgpt_lite.errors import ConfigError

TRUNK_EPS = 1e-6  # of the layer norms in trunks and heads; those of the stems keep torch's 1e-5


class Attention(nn.Module):
    """Multi-head self-attention, optionally with one learned extra key and value (`bias_kv`).

    The extra pair enters after the projection, so every token can attend to "nothing here".
    """

    def __init__(self, width: int, heads: int, bias_kv: bool) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        if bias_kv:
            self.bias_k = nn.Parameter(torch.randn(1, 1, width) * 0.02)
            self.bias_v = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.bias_kv = bias_kv
        nn.init.xavier_uniform_(self.in_proj_weight)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        batch = len(x)
        q, k, v = F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)  # (B, N, D)
        if self.bias_kv:
            k = torch.cat([k, self.bias_k.to(k).expand(batch, -1, -1)], dim=1)  # (B, N+1, D)
            v = torch.cat([v, self.bias_v.to(v).expand(batch, -1, -1)], dim=1)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))
        x = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # (B, heads, N, D/heads)
        return self.out_proj(x.transpose(1, 2).flatten(2))  # (B, N, D)


class Mlp(nn.Module):
    """The feed-forward half of a block, four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """Pre-norm transformer block."""

    def __init__(self, width: int, heads: int, bias_kv: bool) -> None:
        super().__init__()
        self.attn = Attention(width, heads, bias_kv)
        self.mlp = Mlp(width)
        self.norm_1 = nn.LayerNorm(width, eps=TRUNK_EPS)
        self.norm_2 = nn.LayerNorm(width, eps=TRUNK_EPS)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = x + self.attn(self.norm_1(x), mask)
        return x + self.mlp(self.norm_2(x))


class Trunk(nn.Module):
    """A stack of blocks; the vision trunk normalises its input first."""

    def __init__(self, config: TrunkConfig, *, pre_norm: bool, bias_kv: bool) -> None:
        super().__init__()
        norm = [nn.LayerNorm(config.width, eps=TRUNK_EPS)] if pre_norm else []
        self.pre_transformer_layer = nn.Sequential(*norm)
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, bias_kv) for _ in range(config.blocks)
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        x = self.pre_transformer_layer(x)
        for block in self.blocks:
            x = block(x, mask)
        return x  # (B, N, D)


class Still(nn.Module):
    """Makes an image a video of two equal frames; videos pass."""

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim == 4:
            x = x.unsqueeze(2)  # (B, 3, 1, H, W)
        return x.expand(-1, -1, 2, -1, -1) if x.shape[2] == 1 else x


class Stem(nn.Module):
    """Turns the input into tokens (B, N, D): a projection, then for most modalities a norm."""

    def __init__(self, proj: nn.Module, norm_width: int | None) -> None:
        super().__init__()
        self.proj = proj
        self.norm_layer = nn.LayerNorm(norm_width) if norm_width else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.proj(x)
        if not isinstance(self.proj, nn.Linear):  # convolutions put channels first
            x = x.flatten(2).transpose(1, 2)
        return x if self.norm_layer is None else self.norm_layer(x)


class Positions(nn.Module):
    """Only there for the key name `pos_embedding_helper.pos_embed`."""

    def __init__(self, number: int, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.randn(1, number, width) * 0.02)


class PatchPreprocessor(nn.Module):
    """Images, videos, filter banks, depth and thermal maps: patches, class token, positions."""

    def __init__(self, stem_name: str, stem: Stem, patches: int, width: int) -> None:
        super().__init__()
        self.stem_name = stem_name
        self.add_module(stem_name, stem)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * width**-0.5)
        self.pos_embedding_helper = Positions(patches + 1, width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.get_submodule(self.stem_name)(x)
        x = torch.cat([self.cls_token.to(x).expand(len(x), -1, -1), x], dim=1)
        return x + self.pos_embedding_helper.pos_embed  # (B, N, D)


class ImuPreprocessor(nn.Module):
    """Six motion channels in short pieces: each piece of all channels is one token."""

    def __init__(self, config: ImuConfig) -> None:
        super().__init__()
        self.kernel = config.kernel
        inside = nn.Linear(config.channels * config.kernel, config.width, bias=False)
        self.imu_stem = Stem(inside, config.width)
        self.cls_token = nn.Parameter(torch.randn(1, 1, config.width) * config.width**-0.5)
        number = config.length // config.kernel + 1
        self.pos_embed = nn.Parameter(torch.randn(1, number, config.width) * 0.02)

    def forward(self, x: Tensor) -> Tensor:
        x = x.unfold(-1, self.kernel, self.kernel)  # (B, channels, N-1, kernel)
        x = self.imu_stem(x.transpose(1, 2).flatten(2))
        x = torch.cat([self.cls_token.to(x).expand(len(x), -1, -1), x], dim=1)
        return x + self.pos_embed


class TextPreprocessor(nn.Module):
    """Token and position embeddings, and the causal mask its trunk uses."""

    mask: Tensor

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocab_size, config.width)
        self.pos_embed = nn.Parameter(torch.randn(1, config.context, config.width) * 0.01)
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        mask = torch.full((config.context, config.context), -torch.inf).triu(1)
        self.register_buffer("mask", mask)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.token_embedding(tokens) + self.pos_embed[:, : tokens.shape[1]]


class TextHead(nn.Module):
    """Projects the state at the end of the text."""

    def __init__(self, config: TextConfig, out: int) -> None:
        super().__init__()
        self.eos_token_id = config.eos_token_id
        self.proj = nn.Sequential(
            nn.LayerNorm(config.width, eps=TRUNK_EPS), nn.Linear(config.width, out, bias=False)
        )

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        marked = tokens if self.eos_token_id is None else (tokens == self.eos_token_id).int()
        last = marked.argmax(dim=-1)  # (B,) argmax gives the first of equals
        return self.proj(x[torch.arange(len(x), device=x.device), last])


class FirstToken(nn.Module):
    """Picks the class token."""

    def forward(self, x: Tensor) -> Tensor:
        return x[:, 0]


class Normalise(nn.Module):
    """Makes vectors unit length."""

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=-1)


class LogitScale(nn.Module):
    """Multiplies by exp(log_logit_scale), at most 100; learned for text, fixed elsewhere."""

    def __init__(self, scale: float, learned: bool) -> None:
        super().__init__()
        self.log_logit_scale = nn.Parameter(torch.tensor(math.log(scale)), requires_grad=learned)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.log_logit_scale.exp().clamp(max=100.0)


class ImageBind(nn.Module):
    """The encoder of all modalities; `forward` gives one vector (E,) an item."""

    def __init__(self, config: ImageBindConfig) -> None:
        super().__init__()
        self.config = ImageBindConfig(out=config.out)
        self.modality_preprocessors = nn.ModuleDict()
        self.modality_trunks = nn.ModuleDict()
        self.modality_heads = nn.ModuleDict()
        self.modality_postprocessors = nn.ModuleDict()
        for name, trunk in config.trunks.items():
            self.add(name, trunk)

    def add(self, name: str, config: TrunkConfig) -> list[nn.Parameter]:
        """Builds a further trunk, untrained; returns its parameters."""
        words, vision = isinstance(config, TextConfig), isinstance(config, VisionConfig)
        self.config.trunks[name] = config
        self.modality_preprocessors[name] = _preprocessor(name, config)
        self.modality_trunks[name] = Trunk(config, pre_norm=vision, bias_kv=not (vision or words))
        self.modality_heads[name] = _head(config, self.config.out)
        scale = [] if config.scale is None else [LogitScale(config.scale, words)]
        self.modality_postprocessors[name] = nn.Sequential(Normalise(), *scale)
        return [p for key, p in self.named_parameters() if key.split(".")[1] == name]

    def forward(self, trunk: str, x: Tensor) -> Tensor:
        """Encodes a batch with one trunk.

        Args:
            trunk: the trunk's name.
            x: vision (B, 3, H, W), (B, 3, T, H, W) or (B, P, 3, T, H, W); audio
                (B, 1, mels, frames) or (B, P, 1, mels, frames); depth, thermal (B, 1, H, W);
                imu (B, 6, length); text (B, at most context) token ids. Vectors of an item's
                P clips are averaged.

        Returns:
            (B, E).
        """
        return self.look(trunk, x)[0]

    def look(self, trunk: str, x: Tensor) -> tuple[Tensor, Tensor]:
        """As `forward`, and (B, 2D) what the input looks like before the trunk reads it: mean and
        deviation of its tokens."""
        if trunk not in self.modality_trunks:
            raise ConfigError(f"this encoder has no {trunk} trunk, only {[*self.modality_trunks]}")
        if x.ndim == (6 if isinstance(self.config.trunks[trunk], VisionConfig) else 5):
            vectors, looks = self._encode(trunk, x.flatten(0, 1))
            vectors, looks = (t.unflatten(0, x.shape[:2]).mean(dim=1) for t in (vectors, looks))
            return vectors, looks
        return self._encode(trunk, x)

    def _encode(self, trunk: str, x: Tensor) -> tuple[Tensor, Tensor]:
        preprocessor: Any = self.modality_preprocessors[trunk]
        tokens = preprocessor(x)  # (B, N, D)
        patches = tokens[:, 1:].detach()  # without the class token
        look = torch.cat([patches.mean(dim=1), patches.std(dim=1, correction=0)], dim=1)  # (B, 2D)
        if isinstance(preprocessor, TextPreprocessor):
            mask = preprocessor.mask[: x.shape[1], : x.shape[1]].to(tokens.dtype)
            tokens = self.modality_trunks[trunk](tokens, mask)
            vector = self.modality_heads[trunk](tokens, x)
        else:
            vector = self.modality_heads[trunk](self.modality_trunks[trunk](tokens))
        return self.modality_postprocessors[trunk](vector), look


def _preprocessor(name: str, config: TrunkConfig) -> nn.Module:
    match config:
        case VisionConfig():
            conv = nn.Conv3d(3, config.width, config.kernel, config.kernel, bias=False)
            _, height, width = config.kernel
            patches = (config.image_size // height) * (config.image_size // width)
            stem = Stem(nn.Sequential(Still(), conv), None)
            return PatchPreprocessor("rgbt_stem", stem, patches, config.width)
        case SpectrumConfig():
            flat = nn.Conv2d(1, config.width, config.kernel, config.stride, bias=False)
            rows = (config.height - config.kernel) // config.stride + 1
            columns = (config.length - config.kernel) // config.stride + 1
            stem_name = "depth_stem" if name == "depth" else "rgbt_stem"
            return PatchPreprocessor(
                stem_name, Stem(flat, config.width), rows * columns, config.width
            )
        case ImuConfig():
            return ImuPreprocessor(config)
        case TextConfig():
            return TextPreprocessor(config)
    raise TypeError(f"{name}: no preprocessor for {type(config).__name__}")


def _head(config: TrunkConfig, out: int) -> nn.Module:
    if isinstance(config, TextConfig):
        return TextHead(config, out)
    norm = nn.LayerNorm(config.width, eps=TRUNK_EPS)
    linear = nn.Linear(config.width, out, bias=False)
    # The released imu head had a dropout here; an identity keeps its key names.
    gap = [nn.Identity()] if isinstance(config, ImuConfig) else []
    return nn.Sequential(norm, FirstToken(), *gap, linear)
