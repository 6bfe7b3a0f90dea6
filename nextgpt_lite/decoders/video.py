"""The video decoder: a text-to-video diffusion pipeline, conditioned by prompt embeddings only.

Knows: AnimateDiff (an image UNet with motion modules, as the lite tier has it), Zeroscope's
`TextToVideoSDPipeline` (which diffusers keeps among its deprecated ones), and clips.
Leaves to others: everything `base` does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nextgpt_lite.decoders.base import Decoder, Generators, at_step_end, read_settings
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
        self._motion = type(pipeline).__name__ == "AnimateDiffPipeline"
        self.frames = int(self.settings.get("frames", 24))
        self.fps = float(self.settings.get("fps", 8))

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> VideoDecoder:
        from diffusers import AutoencoderKL

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
        pipeline = _pipeline_class(folder).from_pretrained(
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
        if self._motion:
            watch: dict[str, Any] = {"callback_on_step_end": at_step_end(on_step)}
        else:
            watch = {"callback": lambda index, *_: on_step(index)}
        clips = self.pipeline(
            prompt_embeds=condition,
            negative_prompt_embeds=negative,
            num_frames=self.frames,
            num_inference_steps=steps,
            guidance_scale=scale,
            generator=generator,
            output_type="np",
            **watch,
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
        if self._motion:  # its UNet wants a condition for each frame
            condition = condition.repeat_interleave(noisy.shape[2], 0)  # (B * T, L, C)
        return self.pipeline.unet(noisy, timesteps, encoder_hidden_states=condition).sample


def _pipeline_class(folder: str | Path) -> Any:
    """The pipeline that `model_index.json` names.

    Raises:
        ValueError: it is of another kind.
    """
    name = json.loads((Path(folder) / "model_index.json").read_text()).get("_class_name")
    if name == "AnimateDiffPipeline":
        from diffusers import AnimateDiffPipeline

        return AnimateDiffPipeline
    if name == "TextToVideoSDPipeline":
        from diffusers.pipelines.deprecated import TextToVideoSDPipeline

        return TextToVideoSDPipeline
    raise ValueError(
        f"{folder}/model_index.json: _class_name is {name!r}: "
        "use a folder of AnimateDiffPipeline or TextToVideoSDPipeline"
    )
