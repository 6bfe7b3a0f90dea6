"""Wan 2.1: a video transformer trained by flow matching, which attends to UMT5's states.

The condition has L = 512 rows of width 4096, one a token, and rows of zeros behind the caption,
which the transformer was trained with. `settings["caption_tokens"]` may make it shorter; the zeros
are then added here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from nextgpt_lite.decoders.loading import read_number
from nextgpt_lite.decoders.text import hidden_states
from nextgpt_lite.decoders.video import VideoDecoder
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.media import Video

ROWS = 512  # that the transformer attends to


class Wan(VideoDecoder):
    """`WanPipeline` with one transformer; its autoencoder makes one latent of four frames."""

    pipelines = ("WanPipeline",)
    defaults: ClassVar[dict[str, Any]] = {
        "guidance_scale": 5.0, "num_inference_steps": 50, "caption_tokens": ROWS,
        "frames": 81, "fps": 16, "width": 832, "height": 480,
    }  # fmt: skip

    def __init__(self, pipeline: Any, settings: dict[str, Any], shape: Sequence[int]) -> None:
        if pipeline.config.boundary_ratio is not None or pipeline.config.expand_timesteps:
            raise ConfigError(
                "This folder is of Wan 2.2, which denoises in another way than Wan 2.1: use a "
                "checkpoint of Wan 2.1."
            )
        super().__init__(pipeline, settings, shape)
        config = pipeline.vae.config
        mean, spread = (
            torch.tensor(numbers).reshape(1, -1, 1, 1, 1)  # (1, c, 1, 1, 1)
            for numbers in (config.latents_mean, config.latents_std)
        )
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("spread", spread, persistent=False)

    mean: Tensor
    spread: Tensor

    @classmethod
    def condition_shape(cls, folder: Path, settings: dict[str, Any]) -> list[int]:
        transformer = folder / "transformer" / "config.json"
        return [settings["caption_tokens"], read_number(transformer, "text_dim")]

    def embed(self, captions: list[str]) -> Tensor:
        return hidden_states(self.pipeline, captions, self.condition_length)

    def arguments(self, condition: Tensor, negative: Tensor) -> dict[str, Any]:
        return {
            "prompt_embeds": _filled(condition),
            "negative_prompt_embeds": _filled(negative),
            "num_frames": self.frames,
            **self.sides,
            "output_type": "np",
        }

    def encode(self, media: Sequence[Video]) -> Tensor:
        latents = self.pipeline.vae.encode(self._pixels(media)).latent_dist.mode()
        return (latents - self.mean) / self.spread

    def decode(self, latents: Tensor) -> list[Video]:
        vae = self.pipeline.vae
        pixels = vae.decode((latents * self.spread + self.mean).to(vae.dtype)).sample.float()
        return self._videos(self.pipeline.video_processor.postprocess_video(pixels))

    def denoise(self, noisy: Tensor, times: Tensor, condition: Tensor) -> Tensor:
        return self.denoiser(noisy, times, encoder_hidden_states=_filled(condition)).sample


def _filled(condition: Tensor) -> Tensor:
    """A condition (B, L, C) with zeros behind, (B, 512, C)."""
    return F.pad(condition, (0, 0, 0, ROWS - condition.shape[1]))
