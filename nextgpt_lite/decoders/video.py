"""The video decoder: a text-to-video diffusion pipeline, conditioned by prompt embeddings only.

Knows: `TextToVideoSDPipeline` (which diffusers keeps among its deprecated ones: its removal would
cost this file) and clips. Leaves to others: everything `base` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nextgpt_lite.decoders.base import Decoder, Generators, read_settings
from nextgpt_lite.decoders.image import embed_captions, pictures_to_tensor
from nextgpt_lite.media import Video


class VideoDecoder(Decoder):
    """Clips of `settings["frames"]` frames at `settings["fps"]`.

    A folder without an autoencoder of its own names another's in `settings["vae"]`, relative to
    itself: the lite tier stores the image decoder's once.
    """

    modality: ClassVar[str] = "video"
    default_guidance_scale: ClassVar[float] = 9.0

    def __init__(self, pipeline: Any, settings: dict[str, Any] | None = None) -> None:
        super().__init__(pipeline, settings)
        self.condition_length = pipeline.tokenizer.model_max_length
        self.condition_width = pipeline.unet.config.cross_attention_dim
        self.frames = int(self.settings.get("frames", 24))
        self.fps = float(self.settings.get("fps", 8))

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> VideoDecoder:
        from diffusers import AutoencoderKL
        from diffusers.pipelines.deprecated import TextToVideoSDPipeline

        settings = read_settings(folder)
        shared = {}
        if "vae" in settings:
            vae = (Path(folder) / settings["vae"]).resolve()
            if not vae.is_dir():
                raise FileNotFoundError(
                    f"{folder} takes its autoencoder from {vae}, which is missing: "
                    "keep the image decoder's folder beside it"
                )
            shared["vae"] = AutoencoderKL.from_pretrained(
                str(vae), dtype=torch.float32, local_files_only=True
            )
        pipeline = TextToVideoSDPipeline.from_pretrained(
            str(folder), dtype=torch.float32, local_files_only=True, **shared
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
    ) -> list[Video]:
        clips = self.pipeline(
            prompt_embeds=condition,
            negative_prompt_embeds=negative,
            num_frames=self.frames,
            num_inference_steps=steps,
            guidance_scale=scale,
            generator=generator,
            output_type="np",
            callback=lambda index, *_: on_step(index),
        ).frames  # (B, T, H, W, 3) in [0, 1]
        pixels = (np.asarray(clips) * 255).round().astype(np.uint8)
        return [Video(frames, self.fps) for frames in pixels]

    @torch.no_grad()
    def _latents(self, media: Sequence[Video]) -> Tensor:
        vae = self.pipeline.vae
        side = self.pipeline.unet.config.sample_size * self.pipeline.vae_scale_factor
        frames = [frame for clip in media for frame in self._resample(clip, side)]
        pixels = pictures_to_tensor(frames).to(self.device)  # (B * T, 3, H, W)
        latents = vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor
        return latents.unflatten(0, (len(media), self.frames)).transpose(1, 2)  # (B, c, T, h, w)

    def _resample(self, clip: Video, side: int) -> list[Image.Image]:
        """The decoder's number of frames, evenly over the clip, at its size."""
        places = np.linspace(0, len(clip.frames) - 1, self.frames).round().astype(int)
        return [Image.fromarray(clip.frames[i]).resize((side, side)) for i in places]

    def _denoise(self, noisy: Tensor, timesteps: Tensor, condition: Tensor) -> Tensor:
        return self.pipeline.unet(noisy, timesteps, encoder_hidden_states=condition).sample
