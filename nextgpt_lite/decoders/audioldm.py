"""AudioLDM: a UNet over spectrograms that takes its condition as class labels.

The condition is one row (L = 1): the unit vector of CLAP's text tower, 512 wide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nextgpt_lite.decoders.audio import AudioDecoder
from nextgpt_lite.decoders.loading import read_number
from nextgpt_lite.decoders.mel import LogMel
from nextgpt_lite.decoders.text import read_tokens
from nextgpt_lite.media import Audio


class AudioLDM(AudioDecoder):
    """`AudioLDMPipeline`: 2 seconds in the lite tier, 10 in the others; one channel, 16 kHz.

    `nextgpt_lite.json` may hold, under `mel`, arguments of `LogMel`.
    """

    pipelines = ("AudioLDMPipeline",)
    defaults: ClassVar[dict[str, Any]] = {"guidance_scale": 2.5}

    def __init__(self, pipeline: Any, settings: dict[str, Any], shape: Sequence[int]) -> None:
        super().__init__(pipeline, settings, shape)
        vocoder = pipeline.vocoder.config
        self.rate = int(vocoder.sampling_rate)
        hop = int(np.prod(vocoder.upsample_rates))
        mel = settings.get("mel", {})
        self.mel = LogMel(self.rate, hop=hop, bands=vocoder.model_in_dim, **mel)
        self.room = self.denoiser.config.sample_size * pipeline.vae_scale_factor * hop

    @classmethod
    def condition_shape(cls, folder: Path, settings: dict[str, Any]) -> list[int]:
        unet = folder / "unet" / "config.json"
        return [1, read_number(unet, "projection_class_embeddings_input_dim")]

    def drop_text_encoder(self) -> None:
        super().drop_text_encoder()
        # The pipeline asks its text encoder for the number format of the condition.
        self.pipeline.text_encoder = NumberFormat(self.denoiser.dtype)

    def embed(self, captions: list[str]) -> Tensor:
        tokenizer, encoder = self.pipeline.tokenizer, self.pipeline.text_encoder
        length = min(tokenizer.model_max_length, 512)
        tokens = read_tokens(tokenizer, captions, length, encoder.device)
        embedded = encoder(tokens.input_ids, attention_mask=tokens.attention_mask).text_embeds
        return as_labels(embedded.float()[:, None])[:, None]  # (B, 1, C)

    def arguments(self, condition: Tensor, negative: Tensor) -> dict[str, Any]:
        return {
            "prompt_embeds": as_labels(condition),
            "negative_prompt_embeds": as_labels(negative),
            "audio_length_in_s": self.seconds,
        }

    def encode(self, media: Sequence[Audio]) -> Tensor:
        vae = self.pipeline.vae
        mel = self.mel(self._waves(media)[:, 0])[:, None].to(vae.dtype)  # (B, 1, T, bands)
        return vae.encode(mel).latent_dist.mode() * vae.config.scaling_factor

    def decode(self, latents: Tensor) -> list[Audio]:
        waves = self.pipeline.vocoder(self.pipeline.decode_latents(latents)[:, 0])  # (B, room)
        return self._audios(waves[:, : round(self.seconds * self.rate)])

    def denoise(self, noisy: Tensor, times: Tensor, condition: Tensor) -> Tensor:
        return self.denoiser(
            noisy, times, encoder_hidden_states=None, class_labels=as_labels(condition)
        ).sample


@dataclass(frozen=True)
class NumberFormat:
    """What is left of a text encoder that was dropped."""

    dtype: torch.dtype


def as_labels(condition: Tensor) -> Tensor:
    """A condition (B, 1, C) as the unit class labels (B, C) that AudioLDM was trained with."""
    return F.normalize(condition[:, 0], dim=-1)
