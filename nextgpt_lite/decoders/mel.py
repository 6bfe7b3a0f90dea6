"""The log-mel spectrogram that an audio decoder's autoencoder and vocoder speak.

Knows: frames, mel bands and the logarithm. Leaves to others: what is done with it (`audio`).
The encoder's spectrogram is another one (Kaldi filter banks, `encoders.preprocess`).
"""

from __future__ import annotations

import math
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LogMel(nn.Module):
    """Samples to log-mel frames; frame t covers the samples of vocoder frame t.

    The defaults are those AudioLDM was trained with; the lite tier says its own in
    `nextgpt_lite.json`.

    Args:
        rate: samples a second.
        n_fft: window length, in samples.
        hop: samples a frame, the product of the vocoder's upsampling rates.
        bands: mel bands from 0 Hz to rate / 2.
        floor: magnitudes below it are silence.
        scaled: maps silence to -1 and magnitude 1 to +1 instead of natural logarithms.
    """

    bank: Tensor
    window: Tensor

    def __init__(
        self,
        rate: int = 16000,
        n_fft: int = 1024,
        hop: int = 160,
        bands: int = 64,
        floor: float = 1e-5,
        scaled: bool = False,
    ) -> None:
        super().__init__()
        from transformers.audio_utils import mel_filter_bank

        self.rate, self.n_fft, self.hop, self.bands = rate, n_fft, hop, bands
        self.floor, self.scaled = floor, scaled
        bank = mel_filter_bank(
            n_fft // 2 + 1, bands, 0.0, rate / 2, rate, norm="slaney", mel_scale="slaney"
        )
        self.register_buffer("bank", torch.from_numpy(bank).float(), persistent=False)
        self.register_buffer("window", torch.hann_window(n_fft), persistent=False)

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        """Goes to another device, not to another number format: samples stay float32."""
        bank, window = self.bank, self.window
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.bank, self.window = bank.to(self.bank.device), window.to(self.window.device)
        return self

    def forward(self, samples: Tensor) -> Tensor:
        """Samples (B, length), float32 -> (B, T, bands) with T = length // hop."""
        side = (self.n_fft - self.hop) // 2
        padded = F.pad(samples[:, None], (side, side), mode="reflect")[:, 0]
        spectrum = torch.stft(
            padded, self.n_fft, self.hop, window=self.window, center=False, return_complex=True
        )  # (B, bins, T)
        logarithm = (spectrum.abs().mT @ self.bank).clamp(min=self.floor).log()  # (B, T, bands)
        return 1 - 2 * logarithm / math.log(self.floor) if self.scaled else logarithm
