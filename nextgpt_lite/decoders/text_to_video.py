"""Zeroscope and its like: a 3D UNet that attends to CLIP's last hidden states.

The condition has L = 77 rows, one a token, of CLIP's width (1024). diffusers keeps the pipeline
among its deprecated ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor

from nextgpt_lite.decoders.stable_diffusion import ClipConditioned
from nextgpt_lite.decoders.video import VideoDecoder
from nextgpt_lite.media import Video
from nextgpt_lite.model.device import bf16_is_fast


class TextToVideo(ClipConditioned, VideoDecoder):
    """`TextToVideoSDPipeline`; frames pass one by one through an image autoencoder."""

    pipelines = ("TextToVideoSDPipeline",)
    defaults: ClassVar[dict[str, Any]] = {"guidance_scale": 9.0, "frames": 24, "fps": 8}

    def arguments(self, condition: Tensor, negative: Tensor) -> dict[str, Any]:
        more = {"num_frames": self.frames, "output_type": "np"}
        return {**super().arguments(condition, negative), **more}

    @contextmanager
    def arithmetic(self) -> Iterator[None]:
        """On a CPU plain attention, for the fused kernel is slow on a video's many short rows, and
        bf16 where the processor multiplies it; images and audio are as fast in float32."""
        from diffusers.models.attention_processor import AttnProcessor

        on_cpu = self.device.type == "cpu"
        fast = on_cpu and bf16_is_fast(self.device) and self.denoiser.dtype == torch.float32
        before = self.denoiser.attn_processors
        if on_cpu:
            self.denoiser.set_attn_processor(AttnProcessor())
        try:
            with torch.autocast("cpu", torch.bfloat16, enabled=fast):
                yield
        finally:
            self.denoiser.set_attn_processor(before)

    def encode(self, media: Sequence[Video]) -> Tensor:
        vae = self.pipeline.vae
        pixels = self._pixels(media).transpose(1, 2).flatten(0, 1)  # (B * T, 3, H, W)
        latents = vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor
        return latents.unflatten(0, (len(media), self.frames)).transpose(1, 2)  # (B, c, T, h, w)

    def decode(self, latents: Tensor) -> list[Video]:
        pixels = self.pipeline.decode_latents(latents).float()  # (B, 3, T, H, W)
        return self._videos(self.pipeline.video_processor.postprocess_video(pixels))
