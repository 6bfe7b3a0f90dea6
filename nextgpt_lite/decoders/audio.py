"""What audio decoders share: a length, a rate, channels, and spans of time as masks.

Leaves to others: which pipeline makes it (`audioldm`, `stable_audio`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nextgpt_lite.decoders.base import Decoder
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.media import Audio, resample

RAMP_SECONDS = 0.01  # over which edited audio fades into what is kept


class AudioDecoder(Decoder):
    """Makes `settings["audio_length_in_s"]` seconds of audio, or all that its latents hold.

    Attributes:
        rate: in Hz.
        channels: 1 or 2.
        room: samples that the latents hold; what is given out may be less.
    """

    modality = "audio"
    rate: int
    channels: int = 1
    room: int

    @property
    def seconds(self) -> float:
        """Length of what is made."""
        return float(self.settings.get("audio_length_in_s", self.room / self.rate))

    def media(self, output: Any) -> list[Audio]:
        return self._audios(output.audios)

    def _audios(self, waves: Any) -> list[Audio]:
        """(B, length) or (B, channels, length) as `Audio`."""
        waves = torch.as_tensor(waves).float().cpu().numpy()
        return [Audio(wave.reshape(self.channels, -1), self.rate) for wave in waves]

    def _waves(self, media: Sequence[Audio]) -> Tensor:
        """(B, channels, room) any audio at the decoder's rate, cut or padded to its room."""
        waves = np.zeros((len(media), self.channels, self.room), np.float32)
        for wave, audio in zip(waves, media, strict=True):
            samples = self._alike(audio)[:, : self.room]
            wave[:, : samples.shape[1]] = samples
        return torch.from_numpy(waves).to(self.device)

    def _alike(self, audio: Audio) -> np.ndarray:
        """(channels or 1, length) of audio at the decoder's rate."""
        if len(audio.samples) == self.channels:
            return resample(audio.samples, audio.rate, self.rate)
        return audio.mono(self.rate)[None]

    def latent_mask(self, medium: Audio, mask: Any, latents: Tensor) -> Tensor:
        times = np.arange(self.room) / self.rate
        inside = torch.from_numpy(_weights(times, mask) > 0).float()  # (samples,)
        pooled = F.adaptive_max_pool1d(inside[None], latents.shape[2])  # (1, T)
        return pooled.reshape(1, -1, *(1,) * (latents.ndim - 3)).expand(1, *latents.shape[2:])

    def fitted(self, given: Audio, edited: Audio, mask: Any) -> Audio:
        samples = edited.samples[:, : round(given.duration * edited.rate)]
        if mask is not None:
            length = samples.shape[1]
            weights = _weights(np.arange(length) / edited.rate, mask)
            kept = self._alike(given)[:, :length]
            samples = (weights * samples + (1 - weights) * kept).astype(np.float32)
        return Audio(samples, edited.rate)


def _weights(times: np.ndarray, mask: Any) -> np.ndarray:
    """For each second of `times` one between the mask's two, zero outside, with short ramps."""
    try:
        start, end = (float(time) for time in mask)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"A mask of audio is (from, to) in seconds, not {mask!r}.") from error
    return np.clip(np.minimum(times - start, end - times) / RAMP_SECONDS + 1, 0, 1)
