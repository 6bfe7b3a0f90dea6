"""What video decoders share: frames, their number and rate, masks.

Leaves to others: which pipeline makes them (`text_to_video`, `animatediff`, `wan`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from nextgpt_lite.decoders.base import Decoder
from nextgpt_lite.decoders.image import images_to_tensor, whole_mask
from nextgpt_lite.media import Video


class VideoDecoder(Decoder):
    """Makes videos of `settings["frames"]` frames at `settings["fps"]`."""

    modality = "video"

    @property
    def frames(self) -> int:
        """Frames of a video."""
        return int(self.settings["frames"])

    @property
    def fps(self) -> float:
        """Frames a second."""
        return float(self.settings["fps"])

    def media(self, output: Any) -> list[Video]:
        return self._videos(output.frames)

    def _videos(self, frames: Any) -> list[Video]:
        """(B, T, H, W, 3) in [0, 1] as `Video`."""
        pixels = (np.asarray(frames) * 255).round().astype(np.uint8)
        return [Video(frames, self.fps) for frames in pixels]

    def _pixels(self, media: Sequence[Video]) -> Tensor:
        """(B, 3, T, H, W) in [-1, 1]: the decoder's number of frames, evenly over each video."""
        frames = [
            Image.fromarray(video.frames[i]).resize(self.size)
            for video in media
            for i in _evenly(len(video.frames), self.frames)
        ]
        pixels = images_to_tensor(frames).to(self.device, self.pipeline.vae.dtype)
        return pixels.unflatten(0, (len(media), self.frames)).transpose(1, 2)

    def latent_mask(self, medium: Video, mask: Any, latents: Tensor) -> Tensor:
        inside = whole_mask(mask, medium.frames.shape[:3])[_evenly(len(medium.frames), self.frames)]
        pixels = torch.from_numpy(inside).float()[None]  # (1, T, H, W)
        return F.adaptive_max_pool3d(pixels, list(latents.shape[2:]))

    def fitted(self, given: Video, edited: Video, mask: Any) -> Video:
        size = given.frames.shape[2:0:-1]  # (W, H)
        frames = np.stack([np.asarray(Image.fromarray(f).resize(size)) for f in edited.frames])
        if mask is not None:
            places = _evenly(len(given.frames), len(frames))
            inside = whole_mask(mask, given.frames.shape[:3])[places][..., None]  # (T, H, W, 1)
            frames = np.where(inside, frames, given.frames[places])
        return Video(frames, len(frames) / given.duration)


def _evenly(length: int, count: int) -> np.ndarray:
    """`count` places, evenly over `length` of them."""
    return np.linspace(0, length - 1, count).round().astype(int)
