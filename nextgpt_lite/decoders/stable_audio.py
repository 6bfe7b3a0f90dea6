"""Stable Audio Open: a transformer over waveform latents, which attends to T5's states.

The condition has L = 128 rows of width 768, one a token; rows of zeros are padding. Beginning and
end of the audio, which the transformer also attends to, are added here. A condition of zeros alone
is the one that guidance leads away from.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from nextgpt_lite.decoders.audio import AudioDecoder
from nextgpt_lite.decoders.loading import read_number
from nextgpt_lite.decoders.text import counts, hidden_states
from nextgpt_lite.media import Audio


class StableAudio(AudioDecoder):
    """`StableAudioPipeline`: up to 47 seconds, two channels, 44.1 kHz."""

    pipelines = ("StableAudioPipeline",)
    defaults: ClassVar[dict[str, Any]] = {"guidance_scale": 7.0, "num_inference_steps": 100}

    def __init__(self, pipeline: Any, settings: dict[str, Any], shape: Sequence[int]) -> None:
        super().__init__(pipeline, settings, shape)
        vae = pipeline.vae
        self.rate, self.channels = int(vae.sampling_rate), vae.config.audio_channels
        self.room = int(self.denoiser.config.sample_size) * vae.hop_length

    @classmethod
    def condition_shape(cls, folder: Path, settings: dict[str, Any]) -> list[int]:
        length = read_number(folder / "tokenizer" / "tokenizer_config.json", "model_max_length")
        projection = folder / "projection_model" / "config.json"
        return [length, read_number(projection, "text_encoder_dim")]

    def embed(self, captions: list[str]) -> Tensor:
        return hidden_states(self.pipeline, captions, self.condition_length)

    def empty_condition(self) -> Tensor:
        return torch.zeros(1, self.condition_length, self.condition_width)

    def arguments(self, condition: Tensor, negative: Tensor) -> dict[str, Any]:
        # Without another negative prompt the pipeline leads away from zeros.
        dtype = self.denoiser.dtype
        return {
            "prompt_embeds": condition.to(dtype),
            "attention_mask": counts(condition).to(dtype),
            "audio_end_in_s": self.seconds,
        }

    def encode(self, media: Sequence[Audio]) -> Tensor:
        waves = self._waves(media).to(self.pipeline.vae.dtype)  # (B, 2, room)
        return self.pipeline.vae.encode(waves).latent_dist.mode()  # (B, c, T)

    def decode(self, latents: Tensor) -> list[Audio]:
        waves = self.pipeline.vae.decode(latents.to(self.pipeline.vae.dtype)).sample
        return self._audios(waves[..., : int(self.seconds * self.rate)])

    def denoise(self, noisy: Tensor, times: Tensor, condition: Tensor) -> Tensor:
        from diffusers.models.embeddings import get_1d_rotary_pos_embed

        pipeline, count = self.pipeline, len(noisy)
        text = pipeline.projection_model(text_hidden_states=condition).text_hidden_states
        text = text * counts(condition)[..., None]
        start, end = pipeline.encode_duration(0.0, self.seconds, noisy.device, False, count)
        some = condition.flatten(1).any(1).to(noisy)[:, None, None]  # (B, 1, 1) none of zeros alone
        span = torch.cat([start, end], dim=2).to(noisy)  # (B, 1, 2C)
        words = torch.cat([text, start.to(text), end.to(text)], dim=1) * some
        positions = get_1d_rotary_pos_embed(
            pipeline.rotary_embed_dim,
            noisy.shape[2] + 1,
            use_real=True,
            repeat_interleave_real=False,
        )
        return self.denoiser(
            noisy,
            times,
            encoder_hidden_states=words,
            global_hidden_states=span,
            rotary_embedding=positions,
        ).sample
