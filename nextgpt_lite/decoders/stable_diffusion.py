"""Stable Diffusion 1 and 2, SD-Turbo: a UNet that attends to CLIP's last hidden states.

The condition has L = 77 rows, one a token, of CLIP's width (768 in SD 1.5, 1024 in SD 2). The lite
tier has shorter ones of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from nextgpt_lite.decoders.base import Decoder
from nextgpt_lite.decoders.image import ImageDecoder
from nextgpt_lite.decoders.loading import read_number
from nextgpt_lite.decoders.text import read_tokens


class ClipConditioned(Decoder):
    """A decoder whose UNet attends to the last hidden states of one CLIP text encoder."""

    @classmethod
    def condition_shape(cls, folder: Path, settings: dict[str, Any]) -> list[int]:
        return clip_shape(folder)

    def embed(self, captions: list[str]) -> Tensor:
        tokenizer, encoder = self.pipeline.tokenizer, self.pipeline.text_encoder
        length = tokenizer.model_max_length
        ids = read_tokens(tokenizer, captions, length, encoder.device).input_ids
        return encoder(ids).last_hidden_state  # (B, L, C)

    def arguments(self, condition: Tensor, negative: Tensor) -> dict[str, Any]:
        return {"prompt_embeds": condition, "negative_prompt_embeds": negative, **self.sides}

    def denoise(self, noisy: Tensor, times: Tensor, condition: Tensor) -> Tensor:
        return self.denoiser(noisy, times, encoder_hidden_states=condition).sample


class StableDiffusion(ClipConditioned, ImageDecoder):
    """`StableDiffusionPipeline` of any size: 64x64 pixels in the lite tier, 512x512 in others."""

    pipelines = ("StableDiffusionPipeline",)
    defaults: ClassVar[dict[str, Any]] = {"guidance_scale": 7.5}
    options: ClassVar[dict[str, Any]] = {
        "safety_checker": None, "feature_extractor": None, "requires_safety_checker": False,
    }  # fmt: skip


def clip_shape(folder: Path) -> list[int]:
    """[L, C] of a UNet that attends to the hidden states of one CLIP text encoder."""
    length = read_number(folder / "tokenizer" / "tokenizer_config.json", "model_max_length")
    return [length, read_number(folder / "unet" / "config.json", "cross_attention_dim")]
