"""Numbers between sets of features, and between two recordings (paper, Tables 2 to 4, 8 to 10).

Knows: the Frechet distance behind FID, FAD and FD, the Inception Score, cosine similarities
(CLIPSIM, CLIP-T, CLIP-I) and the mel-cepstral distortion. Leaves to others: what the features are
(`features`) and whose (`evaluation.tables`).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from nextgpt_lite.errors import DataError
from nextgpt_lite.media import Audio

CEPSTRA = 13  # of which the first, loudness, is left out
MEL_BANDS, MEL_FFT, MEL_HOP = 40, 1024, 256  # 64 and 16 ms at 16 kHz
QUIET = 1e-8  # 80 dB below an audio clip's loudest band: what is softer counts as that


def frechet_distance(real: Tensor, made: Tensor) -> float:
    """Squared Frechet distance of two sets of features, as Gaussians (Heusel et al., 2017).

    |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)), covariances divided by N - 1. The trace of the root
    is the sum of the singular values of R1 R2', where Ri'Ri = Si: no root of a matrix is taken, so
    that fewer items than features, where both covariances are singular, are no trouble. But few
    items bias it upwards: compare only values of equal N, and name the features.

    Args:
        real, made: (N1, D) and (N2, D); N1 and N2 are at least 2.

    Raises:
        DataError: a set has fewer than two rows, or the widths differ.
    """
    if min(len(real), len(made)) < 2 or real.shape[1] != made.shape[1]:
        raise DataError(
            f"Features of {tuple(real.shape)} and {tuple(made.shape)} cannot be compared: give at "
            "least two rows each, of one width."
        )
    means = [x.double().mean(0) for x in (real, made)]
    roots = [
        torch.linalg.qr((x.double() - mean) / math.sqrt(len(x) - 1)).R  # (min(N, D), D)
        for x, mean in zip((real, made), means, strict=True)
    ]
    traces = sum(root.square().sum() for root in roots)
    common = torch.linalg.svdvals(roots[0] @ roots[1].T).sum()
    distance = (means[0] - means[1]).square().sum() + traces - 2 * common
    return max(0.0, float(distance))


def inception_score(probabilities: Tensor) -> float:
    """exp of the mean KL from each item's classes to those of all (Salimans et al., 2016).

    Between 1 (all items look alike, or none like any class) and the number of classes. One split.

    Args:
        probabilities: (N, classes), of a named classifier; rows sum to 1.

    Raises:
        DataError: there is no item.
    """
    if probabilities.ndim != 2 or not len(probabilities):
        raise DataError(
            f"Probabilities of shape {tuple(probabilities.shape)}: give (N, classes), N at least 1."
        )
    p = probabilities.double().clamp_min(1e-16)
    return float((p * (p.log() - p.mean(0).log())).sum(1).mean().exp())


def similarities(first: Tensor, second: Tensor) -> Tensor:
    """(N,) cosine of each row of one with the same row of the other, (N, D) each.

    CLIPSIM and CLIP-T: a text with each frame, their mean. CLIP-I: an input with its edit, or each
    frame with the next. With ImageBind's vectors these are not CLIP's values.

    Raises:
        DataError: there is nothing to compare, or the shapes differ.
    """
    if first.shape != second.shape or not len(first):
        raise DataError(
            f"Features of {tuple(first.shape)} and {tuple(second.shape)} cannot be compared row by "
            "row: give the same number, one at least."
        )
    return F.cosine_similarity(first.double(), second.double(), dim=-1)


def mel_cepstral_distortion(reference: Audio, edited: Audio, rate: int = 16000) -> float:
    """MCD in decibels of two audio clips (Kubichek, 1993): 0 for equal ones.

    Protocol: one channel at `rate` Hz; 40 mel bands of the power spectrum (Hann window of 64 ms
    every 16 ms), at least 80 dB below the loudest, natural logarithm, 13 cepstra of which the first
    (loudness) is left out; frames aligned by dynamic time warping on Euclidean distance; the mean
    along the path of (10 / ln 10) sqrt(2 sum_k d_k^2), which is the root mean square difference of
    the smoothed spectra in decibels. The paper's Table 10 prints values below 1 without saying how
    they were scaled, so that ours are not comparable with them.
    """
    cepstra = [mel_cepstra(sound, rate) for sound in (reference, edited)]
    distances = np.linalg.norm(cepstra[0][:, None] - cepstra[1][None], axis=-1)  # (T1, T2)
    total, length = _warp(distances)
    return 10 / math.log(10) * math.sqrt(2) * total / length


def mel_cepstra(audio: Audio, rate: int = 16000) -> np.ndarray:
    """(T, 12) mel cepstra 1 to 12 of an audio clip, float64: c_k = mean of log power times cos."""
    from scipy.fft import dct
    from transformers.audio_utils import mel_filter_bank

    samples = audio.mono(rate).astype(np.float64)
    samples = np.pad(samples, (0, max(0, MEL_FFT - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(samples, MEL_FFT)[::MEL_HOP]  # (T, window)
    power = np.abs(np.fft.rfft(frames * np.hanning(MEL_FFT + 1)[:-1])) ** 2  # (T, bins)
    bank = mel_filter_bank(
        MEL_FFT // 2 + 1, MEL_BANDS, 0.0, rate / 2, rate, norm="slaney", mel_scale="slaney"
    )  # (bins, bands)
    bands = power @ bank  # (T, bands)
    loudness = np.log(np.maximum(bands, max(QUIET * bands.max(), 1e-30)))
    return dct(loudness, axis=1)[:, 1:CEPSTRA] / (2 * MEL_BANDS)  # scipy's is twice the sum


def _warp(distances: np.ndarray) -> tuple[float, int]:
    """(sum along it, length) of the cheapest path from corner to corner, step by step.

    Of two paths at the same cost the shorter one counts.
    """
    rows, columns = distances.shape
    best = np.full((rows + 1, columns + 1, 2), (np.inf, 0.0))
    best[0, 0] = 0.0
    for i in range(rows):
        for j in range(columns):
            came = min(tuple(best[i, j]), tuple(best[i, j + 1]), tuple(best[i + 1, j]))
            best[i + 1, j + 1] = came[0] + distances[i, j], came[1] + 1
    total, length = best[-1, -1]
    return float(total), int(length)
