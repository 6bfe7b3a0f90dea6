"""Stable Diffusion XL: a UNet that attends to two text encoders and reads a pooled vector.

The condition has L = 77 + 1 rows of width 2048. Rows 0 to 76, one a token: CLIP's hidden state
before the last (768 numbers), then OpenCLIP's (1280). Row 77: OpenCLIP's pooled vector (1280
numbers, then zeros). The sizes that the UNet also reads (time ids) follow from the image's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import torch
from PIL import Image
from torch import Tensor

from nextgpt_lite.decoders.image import ImageDecoder
from nextgpt_lite.decoders.stable_diffusion import clip_shape
from nextgpt_lite.decoders.text import read_tokens, widened


class StableDiffusionXL(ImageDecoder):
    """`StableDiffusionXLPipeline`: 1024x1024 pixels."""

    pipelines = ("StableDiffusionXLPipeline",)
    defaults: ClassVar[dict[str, Any]] = {"guidance_scale": 5.0, "num_inference_steps": 50}
    options: ClassVar[dict[str, Any]] = {"add_watermarker": False}

    def __init__(self, pipeline: Any, settings: dict[str, Any], shape: Sequence[int]) -> None:
        super().__init__(pipeline, settings, shape)
        self.pooled_width = pipeline.text_encoder_2.config.projection_dim

    @classmethod
    def condition_shape(cls, folder: Path, settings: dict[str, Any]) -> list[int]:
        length, width = clip_shape(folder)
        return [length + 1, width]

    def embed(self, captions: list[str]) -> Tensor:
        pipeline, states = self.pipeline, []
        for tokenizer, encoder in (
            (pipeline.tokenizer, pipeline.text_encoder),
            (pipeline.tokenizer_2, pipeline.text_encoder_2),
        ):
            tokens = read_tokens(tokenizer, captions, tokenizer.model_max_length, encoder.device)
            output = encoder(tokens.input_ids, output_hidden_states=True)
            states.append(output.hidden_states[-2])  # (B, 77, c)
        return self._rows(torch.cat(states, dim=-1), output.text_embeds)

    def empty_condition(self) -> Tensor:
        if self.pipeline.config.force_zeros_for_empty_prompt:
            return torch.zeros(1, self.condition_length, self.condition_width)
        return super().empty_condition()

    def arguments(self, condition: Tensor, negative: Tensor) -> dict[str, Any]:
        return {
            "prompt_embeds": condition[:, :-1],
            "pooled_prompt_embeds": self._pooled(condition),
            "negative_prompt_embeds": negative[:, :-1],
            "negative_pooled_prompt_embeds": self._pooled(negative),
            **self.sides,
        }

    def encode(self, media: Sequence[Image.Image]) -> Tensor:
        with self._safe_autoencoder():
            return super().encode(media)

    def decode(self, latents: Tensor) -> list[Image.Image]:
        with self._safe_autoencoder():
            return super().decode(latents)

    def denoise(self, noisy: Tensor, times: Tensor, condition: Tensor) -> Tensor:
        size = self.size[::-1]
        sizes = torch.tensor([*size, 0, 0, *size], device=noisy.device).expand(len(noisy), -1)
        return self.denoiser(
            noisy,
            times,
            encoder_hidden_states=condition[:, :-1],
            added_cond_kwargs={"text_embeds": self._pooled(condition), "time_ids": sizes},
        ).sample

    def _rows(self, states: Tensor, pooled: Tensor) -> Tensor:
        return torch.cat([states, widened(pooled, states.shape[-1])], dim=1)  # (B, 78, C)

    def _pooled(self, condition: Tensor) -> Tensor:
        return condition[:, -1, : self.pooled_width]  # (B, c)

    @contextmanager
    def _safe_autoencoder(self) -> Iterator[None]:
        """In float32 where the autoencoder overflows in float16, as the pipeline does it."""
        vae = self.pipeline.vae
        half = vae.dtype == torch.float16 and vae.config.force_upcast
        if half:
            vae.to(torch.float32)
        try:
            yield
        finally:
            if half:
                vae.to(torch.float16)
