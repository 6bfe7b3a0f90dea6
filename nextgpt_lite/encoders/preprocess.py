"""Images, audio, videos, maps and motion records as the tensors ImageBind reads.

Knows: sizes, crops, clips and the Kaldi filter bank of the released encoder, by configuration
also the smaller ones of lite. Leaves to others: files (`media`), the network (`imagebind`).

Letters: P clips an item, T frames a clip, H W pixels, M mel bins, F filter bank frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from nextgpt_lite.media import Audio, Video, resample
from nextgpt_lite.media.remarks import UNHEARD

PIXEL_MEAN = (0.48145466, 0.4578275, 0.40821073)  # CLIP's
PIXEL_STD = (0.26862954, 0.26130258, 0.27577711)

WINDOW_SECONDS, SHIFT_SECONDS = 0.025, 0.010  # Kaldi's defaults, as are the next two
PREEMPHASIS = 0.97
LOWEST_HERTZ = 20.0
FAINTEST = 1e-4  # peak of a recording that is amplified in full
EMPTY = 0.02  # share of a filter bank
MAX_KERNEL = 2**20  # old times new rate, without their common divisor


@dataclass(frozen=True, kw_only=True)
class PreprocessConfig:
    """The numbers of preprocessing; the defaults are those of the released ImageBind.

    Attributes:
        image_size: pixels of the square that images and frames become.
        clips, frames, crops: clips taken from a video, frames a clip, squares along its longer
            side (1 takes the middle).
        clip_seconds: length of a clip of audio or video.
        audio_clips: clips taken from a recording.
        rate: Hz that audio is brought to.
        mel_bins, mel_frames: shape of a recording's filter bank.
        mel_mean, mel_std: by which it is normalised.
        least_peak: 0 to 1; a recording that is quieter is amplified to it.
        noise: of the peak, deviation of the white noise that a recording gets whose upper half of
            the filter bank is empty anywhere, as of one with 8 bits or below 16 kHz.
        map_size: of the square that depth and thermal maps become.
        imu_length: samples of a motion record.
    """

    image_size: int = 224
    clips: int = 5
    frames: int = 2
    crops: int = 3
    clip_seconds: float = 2.0
    audio_clips: int = 3
    rate: int = 16000
    mel_bins: int = 128
    mel_frames: int = 204
    mel_mean: float = -4.268
    mel_std: float = 9.138
    least_peak: float = 0.0
    noise: float = 0.0
    map_size: int = 224
    imu_length: int = 2000

    @classmethod
    def lite(cls) -> PreprocessConfig:
        """64 x 64 pixels, one clip of the first two seconds, its first and its last frame.

        The world's recordings have a peak of 0.7 and are never without faint noise.
        """
        return cls(image_size=64, clips=1, crops=1, audio_clips=1, least_peak=0.25, noise=0.0006)


def preprocess_image(image: Image.Image, config: PreprocessConfig) -> Tensor:
    """The middle square of the image, bicubically scaled: (3, H, W)."""
    size = config.image_size
    shorter = min(image.size)
    width, height = (int(size * side / shorter) for side in image.size)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - size) / 2), round((height - size) / 2)
    pixels = np.asarray(image.convert("RGB").crop((left, top, left + size, top + size)))
    return _normalise_pixels(torch.from_numpy(pixels.copy()).permute(2, 0, 1))


def preprocess_video(video: Video, config: PreprocessConfig) -> Tensor:
    """Clips in time order, within each its crops from left to right or top down: (P, 3, T, H, W).

    Frames of a clip are spread evenly from its first to its last.
    """
    clips = []
    for start in clip_starts(video.duration, config.clips, config.clip_seconds):
        picked = video.clip(start, config.clip_seconds, config.frames)  # (T, H, W, 3)
        frames = torch.from_numpy(picked).permute(0, 3, 1, 2)  # (T, 3, H, W)
        clips += [crop.transpose(0, 1) for crop in _crops(frames, config)]
    return torch.stack(clips)


def preprocess_audio(audio: Audio, config: PreprocessConfig) -> Tensor:
    """Normalised log mel filter banks of the clips of the audio: (P, 1, M, F).

    As released: the mean over all channels is taken off, then the first channel is used; but where
    that one is silent, the loudest.
    """
    samples = resample_sinc(torch.from_numpy(audio.samples), audio.rate, config.rate)
    length = round(config.clip_seconds * config.rate)
    loudness = samples.amax(1) - samples.amin(1)  # (channels,); none of what never moves
    channel = 0 if loudness[0] > UNHEARD * loudness.max() else int(loudness.argmax())
    clips = []
    for start in clip_starts(
        samples.shape[1] / config.rate, config.audio_clips, length / config.rate
    ):
        clip = samples[:, int(start * config.rate) : int(start * config.rate) + length]
        clips.append(F.pad((clip - clip.mean())[channel], (0, length - clip.shape[1])))
    shortest = min(length, samples.shape[1])
    waves = torch.stack(clips)[:, :shortest]
    peak = float(waves.abs().max())
    if 0 < peak < config.least_peak:
        waves = waves * (config.least_peak / max(peak, FAINTEST))
    bank = normalised_filter_bank(waves, config)  # (P, 1, M, F)
    if config.noise and peak > 0 and _is_empty(bank[:, 0, config.mel_bins // 2 :], config):
        hiss = torch.randn(waves.shape, generator=torch.Generator().manual_seed(0))
        bank = normalised_filter_bank(waves + config.noise * waves.abs().max() * hiss, config)
    return bank


def _is_empty(bank: Tensor, config: PreprocessConfig) -> bool:
    """Whether at least EMPTY of a normalised filter bank holds no energy that floats can tell."""
    nothing = (math.log(torch.finfo(torch.float32).eps) - config.mel_mean) / config.mel_std
    return float((bank < nothing + 0.005).float().mean()) > EMPTY


def preprocess_map(values: np.ndarray, config: PreprocessConfig) -> Tensor:
    """The middle square of a map (h, w) of depth or heat, bilinearly scaled: (1, H, W).

    The values stay as they are: in which unit a trunk was trained is for the row to say.
    """
    pixels = torch.from_numpy(np.ascontiguousarray(values, np.float32))
    side = min(pixels.shape)
    top, left = ((length - side) // 2 for length in pixels.shape)
    square = pixels[None, None, top : top + side, left : left + side]
    size = (config.map_size, config.map_size)
    return F.interpolate(square, size, mode="bilinear", antialias=side > config.map_size)[0]


def preprocess_imu(record: np.ndarray, config: PreprocessConfig) -> Tensor:
    """A motion record (6, T), accelerations and turning rates, resampled: (6, length)."""
    values = torch.from_numpy(np.ascontiguousarray(record, np.float32))
    return F.interpolate(values[None], config.imu_length, mode="linear")[0]


def as_tensor(array: np.ndarray, _: PreprocessConfig) -> Tensor:
    """Numbers that a trunk reads as they are, as float32."""
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def clip_starts(duration: float, clips: int, clip_seconds: float) -> list[float]:
    """Start times in seconds of evenly spaced clips, the last of which ends before the end."""
    spare = max(duration - clip_seconds, 0.0)
    return [index * spare / clips for index in range(clips)]


def normalised_filter_bank(samples: Tensor, config: PreprocessConfig) -> Tensor:
    """Filter banks of waves (B, length) at `config.rate`, cut or padded: (B, 1, M, F)."""
    bank = filter_bank(samples, config.rate, config.mel_bins).transpose(1, 2)  # (B, M, frames)
    bank = F.pad(bank, (0, config.mel_frames - bank.shape[2]))  # a negative number cuts
    return ((bank - config.mel_mean) / config.mel_std)[:, None]


def filter_bank(samples: Tensor, rate: int, mel_bins: int) -> Tensor:
    """Log mel energies as Kaldi computes them, without dither: (B, length) -> (B, F, M)."""
    window, shift = round(rate * WINDOW_SECONDS), round(rate * SHIFT_SECONDS)
    padded = 1 << (window - 1).bit_length()
    samples = F.pad(samples, (0, max(0, window - samples.shape[1])))
    frames = samples.unfold(1, window, shift)  # (B, F, window)
    frames = frames - frames.mean(dim=2, keepdim=True)
    before = torch.cat([frames[..., :1], frames[..., :-1]], dim=2)
    frames = (frames - PREEMPHASIS * before) * torch.hann_window(window, periodic=False)
    waves = torch.view_as_real(torch.fft.rfft(frames, n=padded))[..., :-1, :]
    power = waves.square().sum(dim=-1)  # (B, F, padded / 2)
    energy = power @ _mel_filters(mel_bins, padded, rate)
    return energy.clamp(min=torch.finfo(torch.float32).eps).log()


def resample_sinc(samples: Tensor, rate: int, new_rate: int) -> Tensor:
    """Band-limited resampling (channels, length) by a windowed sinc of six zero crossings.

    The roll-off (0.99) and the squared-cosine window are those the encoder was trained with; the
    filter bank's highest bins notice any other. They are kept for every pair of rates that is in
    use; the kernel of two odd ones would take gigabytes.
    """
    if rate == new_rate:
        return samples
    old, new = rate // math.gcd(rate, new_rate), new_rate // math.gcd(rate, new_rate)
    if old * new > MAX_KERNEL:  # rates almost without a common divisor
        return torch.from_numpy(resample(samples.numpy(), rate, new_rate))
    kernel, width = _sinc_kernel(old, new)
    length = math.ceil(samples.shape[1] * new / old)
    waves = F.pad(samples, (width, width + old))[:, None]
    result = F.conv1d(waves, kernel[:, None], stride=old)  # (channels, new, length / new)
    return result.transpose(1, 2).flatten(1)[:, :length]


@lru_cache(maxsize=8)
def _sinc_kernel(
    old: int, new: int, crossings: int = 6, rolloff: float = 0.99
) -> tuple[Tensor, int]:
    cutoff = min(old, new) * rolloff
    width = math.ceil(crossings * old / cutoff)
    time = torch.arange(-width, width + old, dtype=torch.float64)[None] / old
    time = (time - torch.arange(new, dtype=torch.float64)[:, None] / new) * cutoff
    time = time.clamp(-crossings, crossings)  # (new, 2 width + old)
    window = torch.cos(time * math.pi / crossings / 2).square()
    return (torch.sinc(time) * window * cutoff / old).float(), width


@lru_cache(maxsize=8)
def _mel_filters(mel_bins: int, padded: int, rate: int) -> Tensor:
    """Triangles, evenly spaced in mel from 20 Hz to half the rate: (padded / 2, M)."""

    def mel(hertz: Tensor) -> Tensor:
        return 1127.0 * torch.log1p(hertz / 700.0)

    ends = mel(torch.tensor([LOWEST_HERTZ, rate / 2], dtype=torch.float64))
    corners = torch.linspace(ends[0].item(), ends[1].item(), mel_bins + 2, dtype=torch.float64)
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    bins = mel(torch.arange(padded // 2, dtype=torch.float64) * rate / padded)[:, None]
    up, down = (bins - left) / (centre - left), (right - bins) / (right - centre)
    return torch.minimum(up, down).clamp(min=0).float()


def _crops(frames: Tensor, config: PreprocessConfig) -> list[Tensor]:
    """Squares (T, 3, H, W) along the longer side of frames (T, 3, h, w) brought to size."""
    size = config.image_size
    height, width = frames.shape[2:]
    shorter = min(height, width)
    scaled = (height * size // shorter, width * size // shorter)
    pixels = frames.float()
    if scaled != (height, width):
        pixels = F.interpolate(pixels, scaled, mode="bilinear", antialias=size < 224)
    pixels = _normalise_pixels(pixels)
    spare = max(scaled) - size
    offsets = [0, math.ceil(spare / 2), spare] if config.crops == 3 else [math.ceil(spare / 2)]
    along = 2 if height > width else 3
    return [pixels.narrow(along, offset, size) for offset in offsets]


def _normalise_pixels(pixels: Tensor) -> Tensor:
    """Bytes (..., 3, H, W) to CLIP's zero mean and unit variance."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (PIXEL_MEAN, PIXEL_STD))
    return (pixels.float() / 255 - mean) / std
