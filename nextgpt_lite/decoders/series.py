"""Time series (C, L), such as the six axes of a motion sensor, denoised as they are.

Diffusers has no pipeline for a series under one vector, so a small one is here. Knows: the loop,
and how a series becomes what a UNet reads. Leaves to others: which series it is, and who encodes
text into the vector; a subclass says both (`modality`, `embed`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from diffusers import DDIMScheduler, DiffusionPipeline, UNet2DConditionModel
from diffusers.utils.torch_utils import randn_tensor
from torch import Tensor

from nextgpt_lite.decoders.base import Decoder
from nextgpt_lite.decoders.loading import in_dtype, read_number


class SeriesPipeline(DiffusionPipeline):  # type: ignore[misc]
    """A UNet over (B, C, 1, L) that reads its condition where other UNets read a class."""

    def __init__(self, unet: Any, scheduler: Any) -> None:
        super().__init__()
        self.register_modules(unet=unet, scheduler=scheduler)

    @torch.no_grad()
    def __call__(
        self,
        condition: Tensor,
        negative: Tensor,
        num_inference_steps: int,
        guidance_scale: float,
        generator: Any = None,
        callback: Callable[..., None] = lambda *_: None,
    ) -> Tensor:
        """(B, C, 1, L) series of conditions (B, 1, width), led away from `negative` ones."""
        config, both = self.unet.config, torch.cat([negative, condition])[:, 0]  # (2B, width)
        shape = (len(condition), config.in_channels, *config.sample_size)
        x = randn_tensor(shape, generator, condition.device, condition.dtype)
        self.scheduler.set_timesteps(num_inference_steps)
        for index, time in enumerate(self.scheduler.timesteps):
            answer = self.unet(torch.cat([x, x]), time, None, class_labels=both).sample
            away, to = answer.chunk(2)
            x = self.scheduler.step(away + guidance_scale * (to - away), time, x).prev_sample
            callback(index, time, x)
        return x


class SeriesDecoder(Decoder):
    """Media are arrays (C, L). A subclass is registered, and says `modality` and `embed`.

    `embed` gives (B, width): what the encoder of your choice makes of the captions.
    """

    pipelines = ("SeriesPipeline",)
    defaults: ClassVar[dict[str, Any]] = {"guidance_scale": 2.0, "num_inference_steps": 20}

    @classmethod
    def small(cls, channels: int, length: int, condition_width: int, width: int = 48) -> Self:
        """An untrained one of two levels, ready to learn: its UNet has a gradient."""
        unet = UNet2DConditionModel(
            sample_size=(1, length),
            in_channels=channels,
            out_channels=channels,
            block_out_channels=(width, 2 * width),
            layers_per_block=1,
            down_block_types=("DownBlock2D",) * 2,
            up_block_types=("UpBlock2D",) * 2,
            mid_block_type=None,
            cross_attention_dim=8,  # unused: these blocks do not attend
            norm_num_groups=8,
            class_embed_type="simple_projection",
            projection_class_embeddings_input_dim=condition_width,
        )
        scheduler = DDIMScheduler(
            prediction_type="v_prediction", beta_schedule="squaredcos_cap_v2", clip_sample=False
        )
        pipeline = SeriesPipeline(unet, scheduler)
        return cls(pipeline, dict(cls.defaults), [1, condition_width]).requires_grad_(True)

    @classmethod
    def condition_shape(cls, folder: Path, settings: dict[str, Any]) -> list[int]:
        unet = folder / "unet" / "config.json"
        return [1, read_number(unet, "projection_class_embeddings_input_dim")]

    @classmethod
    def load(cls, folder: Path, settings: dict[str, Any], dtype: torch.dtype) -> Any:
        return SeriesPipeline.from_pretrained(folder, **in_dtype(dtype))

    @torch.no_grad()
    def encode_text(self, captions: Sequence[str]) -> Tensor:
        """(B, 1, width): vectors of the captions, scaled so that a number's mean square is 1."""
        vectors = self.embed(list(captions)).float()  # (B, width)
        return torch.nn.functional.rms_norm(vectors, vectors.shape[-1:])[:, None]

    def empty_condition(self) -> Tensor:
        return torch.zeros(1, self.condition_length, self.condition_width)

    def arguments(self, condition: Tensor, negative: Tensor) -> dict[str, Any]:
        return {"condition": condition, "negative": negative}

    def media(self, output: Tensor) -> list[np.ndarray]:
        return [*output[:, :, 0].float().cpu().numpy()]

    def decode(self, latents: Tensor) -> list[np.ndarray]:
        return self.media(latents)

    def encode(self, media: Sequence[Any]) -> Tensor:
        return torch.from_numpy(np.stack(media))[:, :, None].to(self.device)  # (B, C, 1, L)

    def denoise(self, noisy: Tensor, times: Tensor, condition: Tensor) -> Tensor:
        answer: Tensor = self.denoiser(noisy, times, None, class_labels=condition[:, 0]).sample
        return answer
