"""The image decoder: Stable Diffusion, conditioned by prompt embeddings only.

Knows: `StableDiffusionPipeline` and pictures. Leaves to others: everything `base` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nextgpt_lite.decoders.base import Decoder, Generators, at_step_end, read_settings


class ImageDecoder(Decoder):
    """Stable Diffusion of any size: 64x64 pictures in the lite tier, 512x512 in the others."""

    modality: ClassVar[str] = "image"

    def __init__(self, pipeline: Any, settings: dict[str, Any] | None = None) -> None:
        super().__init__(pipeline, settings)
        self.condition_length = pipeline.tokenizer.model_max_length
        self.condition_width = pipeline.unet.config.cross_attention_dim

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        settings: dict[str, Any] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> ImageDecoder:
        from diffusers import StableDiffusionPipeline

        settings = {**read_settings(folder), **(settings or {})}
        pipeline = StableDiffusionPipeline.from_pretrained(
            str(folder),
            dtype=dtype,
            local_files_only=True,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        return cls(pipeline, settings)

    def _embed(self, captions: list[str]) -> Tensor:
        return embed_captions(self.pipeline, captions, self.device)

    def _sample(
        self,
        condition: Tensor,
        negative: Tensor,
        steps: int,
        scale: float,
        generator: Generators,
        on_step: Callable[[int], None],
    ) -> list[Image.Image]:
        return self.pipeline(
            prompt_embeds=condition,
            negative_prompt_embeds=negative,
            num_inference_steps=steps,
            guidance_scale=scale,
            generator=generator,
            callback_on_step_end=at_step_end(on_step),
            **self.size,
        ).images

    @torch.no_grad()
    def _latents(self, media: Sequence[Image.Image]) -> Tensor:
        vae = self.pipeline.vae
        side = self.pipeline.unet.config.sample_size * self.pipeline.vae_scale_factor
        pixels = pictures_to_tensor([m.convert("RGB").resize((side, side)) for m in media])
        pixels = pixels.to(self.device, vae.dtype)  # (B, 3, H, W)
        return vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor

    def _decode(self, latents: Tensor) -> list[Image.Image]:
        vae = self.pipeline.vae
        pixels = vae.decode(latents / vae.config.scaling_factor).sample  # (B, 3, H, W)
        return self.pipeline.image_processor.postprocess(pixels.float())

    def _denoise(self, noisy: Tensor, timesteps: Tensor, condition: Tensor) -> Tensor:
        return self.pipeline.unet(noisy, timesteps, encoder_hidden_states=condition).sample


def embed_captions(pipeline: Any, captions: list[str], device: torch.device) -> Tensor:
    """Last hidden states (B, L, C) of the text encoder of a Stable Diffusion like pipeline."""
    ids = pipeline.tokenizer(
        captions,
        padding="max_length",
        max_length=pipeline.tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    ).input_ids.to(device)  # (B, L)
    return pipeline.text_encoder(ids).last_hidden_state  # (B, L, C)


def pictures_to_tensor(pictures: Sequence[Image.Image | np.ndarray]) -> Tensor:
    """RGB pictures of one size -> (B, 3, H, W) float32 in [-1, 1]."""
    pixels = torch.from_numpy(np.stack([np.asarray(p) for p in pictures]))  # (B, H, W, 3)
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
