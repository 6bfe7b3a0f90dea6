"""The audio decoder: AudioLDM, conditioned by one unit vector a sound.

Knows: `AudioLDMPipeline`, which takes its condition as class labels, and sounds.
Leaves to others: everything `base` does, and the spectrogram (`mel`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nextgpt_lite.decoders.base import Decoder, Generators, read_json, read_settings
from nextgpt_lite.decoders.mel import LogMel
from nextgpt_lite.media import Audio


class AudioDecoder(Decoder):
    """AudioLDM of any size: 2 seconds in the lite tier, 10 in the others; one channel, 16 kHz.

    `nextgpt_lite.json` may say `audio_length_in_s` and, under `mel`, arguments of `LogMel`.
    """

    modality: ClassVar[str] = "audio"
    default_guidance_scale: ClassVar[float] = 2.5

    def __init__(self, pipeline: Any, settings: dict[str, Any] | None = None) -> None:
        super().__init__(pipeline, settings)
        vocoder = pipeline.vocoder.config
        self.condition_length = 1
        self.condition_width = pipeline.unet.config.projection_class_embeddings_input_dim
        self.rate = int(vocoder.sampling_rate)
        hop = int(np.prod(vocoder.upsample_rates))
        self.mel = LogMel(
            self.rate, hop=hop, bands=vocoder.model_in_dim, **self.settings.get("mel", {})
        )
        frames = pipeline.unet.config.sample_size * pipeline.vae_scale_factor
        self.room = frames * hop  # samples the latents stand for; what a user hears may be less
        self.seconds = float(self.settings.get("audio_length_in_s", self.room / self.rate))

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        settings: dict[str, Any] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> AudioDecoder:
        from diffusers.pipelines.deprecated import AudioLDMPipeline

        settings = {**read_settings(folder), **(settings or {})}
        pipeline = AudioLDMPipeline.from_pretrained(str(folder), dtype=dtype, local_files_only=True)
        return cls(pipeline, settings)

    @classmethod
    def condition_shape(cls, folder: str | Path, settings: dict[str, Any]) -> list[int]:
        unet = read_json(Path(folder) / "unet" / "config.json")
        return [1, unet["projection_class_embeddings_input_dim"]]

    def drop_text_encoder(self) -> None:
        super().drop_text_encoder()
        # The pipeline asks its text encoder for the number format of the condition.
        self.pipeline.text_encoder = NumberFormat(self.pipeline.unet.dtype)

    def _embed(self, captions: list[str]) -> Tensor:
        tokenizer = self.pipeline.tokenizer
        tokens = tokenizer(
            captions,
            padding="max_length",
            max_length=min(tokenizer.model_max_length, 512),
            truncation=True,
            return_tensors="pt",
        ).to(self.device)
        embedded = self.pipeline.text_encoder(
            tokens.input_ids, attention_mask=tokens.attention_mask
        ).text_embeds  # (B, C)
        return as_labels(embedded.float()[:, None])[:, None]  # (B, 1, C)

    def _sample(
        self,
        condition: Tensor,
        negative: Tensor,
        steps: int,
        scale: float,
        generator: Generators,
        on_step: Callable[[int], None],
    ) -> list[Audio]:
        waves = self.pipeline(
            prompt_embeds=as_labels(condition),
            negative_prompt_embeds=as_labels(negative),
            audio_length_in_s=self.seconds,
            num_inference_steps=steps,
            guidance_scale=scale,
            generator=generator,
            callback=lambda index, *_: on_step(index),
        ).audios  # (B, length)
        return [Audio(wave[None].astype(np.float32), self.rate) for wave in waves]

    def _decode(self, latents: Tensor) -> list[Audio]:
        waves = self.pipeline.vocoder(self.pipeline.decode_latents(latents)[:, 0])  # (B, room)
        length = round(self.seconds * self.rate)
        return [Audio(wave[None, :length].cpu().numpy(), self.rate) for wave in waves]

    @torch.no_grad()
    def _latents(self, media: Sequence[Audio]) -> Tensor:
        vae = self.pipeline.vae
        waves = torch.from_numpy(np.stack([self._fit(audio) for audio in media])).to(self.device)
        mel = self.mel(waves)[:, None].to(vae.dtype)  # (B, 1, T, bands)
        return vae.encode(mel).latent_dist.mode() * vae.config.scaling_factor

    def _fit(self, audio: Audio) -> np.ndarray:
        """Any sound as one channel at the decoder's rate, cut or padded to its room."""
        samples = audio.mono(self.rate)[: self.room]
        return np.pad(samples, (0, self.room - len(samples)))

    def _denoise(self, noisy: Tensor, timesteps: Tensor, condition: Tensor) -> Tensor:
        labels = as_labels(condition)
        return self.pipeline.unet(
            noisy, timesteps, encoder_hidden_states=None, class_labels=labels
        ).sample


@dataclass(frozen=True)
class NumberFormat:
    """What is left of a text encoder that was dropped."""

    dtype: torch.dtype


def as_labels(condition: Tensor) -> Tensor:
    """A condition (B, 1, C) as the unit class labels (B, C) that AudioLDM was trained with."""
    return F.normalize(condition[:, 0], dim=-1)
