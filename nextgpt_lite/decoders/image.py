"""What image decoders share: pixels, latents of an image autoencoder, masks.

Leaves to others: which pipeline makes them (`stable_diffusion`, `sdxl`, `pixart`).
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
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.media import as_array


class ImageDecoder(Decoder):
    """Makes PIL images of `settings["width"]` x `settings["height"]`, or the denoiser's own."""

    modality = "image"

    def media(self, output: Any) -> list[Image.Image]:
        return list(output.images)

    def encode(self, media: Sequence[Image.Image]) -> Tensor:
        vae = self.pipeline.vae
        pixels = images_to_tensor([m.convert("RGB").resize(self.size) for m in media])
        pixels = pixels.to(self.device, vae.dtype)  # (B, 3, H, W)
        return vae.encode(pixels).latent_dist.mode() * vae.config.scaling_factor

    def decode(self, latents: Tensor) -> list[Image.Image]:
        vae = self.pipeline.vae
        pixels = vae.decode(latents.to(vae.dtype) / vae.config.scaling_factor).sample
        return self.pipeline.image_processor.postprocess(pixels.float())

    def latent_mask(self, medium: Image.Image, mask: Any, latents: Tensor) -> Tensor:
        pixels = torch.from_numpy(whole_mask(mask, medium.size[::-1])).float()
        return F.adaptive_max_pool2d(pixels[None], list(latents.shape[2:]))  # (1, h, w)

    def fitted(self, given: Image.Image, edited: Image.Image, mask: Any) -> Image.Image:
        if edited.size != given.size:
            edited = edited.resize(given.size)
        if mask is None:
            return edited
        inside = Image.fromarray(whole_mask(mask, given.size[::-1]).astype(np.uint8) * 255)
        return Image.composite(edited, given.convert("RGB"), inside)


def images_to_tensor(images: Sequence[Image.Image | np.ndarray]) -> Tensor:
    """RGB images of one size -> (B, 3, H, W) float32 in [-1, 1]."""
    pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images]))  # (B, H, W, 3)
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def whole_mask(mask: Any, size: tuple[int, ...]) -> np.ndarray:
    """A mask (H, W) or of the whole `size`, as truth values of the whole size.

    Raises:
        ConfigError: it has another shape, or holds no numbers.
    """
    numbers = np.asarray(as_array(mask))
    if numbers.dtype.kind not in "buif" or np.isnan(numbers).any():
        raise ConfigError(f"The mask is {mask!r:.60}: give an array of ones where it may change.")
    inside = numbers > 0
    if inside.shape not in (size, size[-2:]):
        raise ConfigError(
            f"The mask has shape {inside.shape}, the medium {size}: give a value for each pixel."
        )
    return np.broadcast_to(inside, size).copy()
