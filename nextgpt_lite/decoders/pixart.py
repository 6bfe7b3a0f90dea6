"""PixArt-Sigma: a transformer that attends to a T5 encoder's states, as far as a mask lets it.

The condition has L = 300 rows of width 4096, one a token (`settings["caption_tokens"]` may make it
shorter). Rows of zeros are padding: the mask is read off the condition itself (`text.counts`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from nextgpt_lite.decoders.image import ImageDecoder
from nextgpt_lite.decoders.loading import read_number
from nextgpt_lite.decoders.text import counts, hidden_states


class PixArtSigma(ImageDecoder):
    """`PixArtSigmaPipeline`: 1024x1024 pixels."""

    pipelines = ("PixArtSigmaPipeline",)
    defaults: ClassVar[dict[str, Any]] = {"guidance_scale": 4.5, "caption_tokens": 300}

    @classmethod
    def condition_shape(cls, folder: Path, settings: dict[str, Any]) -> list[int]:
        transformer = folder / "transformer" / "config.json"
        return [settings["caption_tokens"], read_number(transformer, "caption_channels")]

    def embed(self, captions: list[str]) -> Tensor:
        return hidden_states(self.pipeline, captions, self.condition_length)

    def arguments(self, condition: Tensor, negative: Tensor) -> dict[str, Any]:
        return {
            "prompt_embeds": condition,
            "prompt_attention_mask": counts(condition).long(),
            "negative_prompt_embeds": negative,
            "negative_prompt_attention_mask": counts(negative).long(),
            "negative_prompt": None,
            **self.sides,
            "use_resolution_binning": False,
        }

    def denoise(self, noisy: Tensor, times: Tensor, condition: Tensor) -> Tensor:
        answer = self.denoiser(
            noisy,
            encoder_hidden_states=condition,
            encoder_attention_mask=counts(condition).long(),
            timestep=times,
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        ).sample
        return answer[:, : noisy.shape[1]]  # the rest is the variance, learnt beside it
