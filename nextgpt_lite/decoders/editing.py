"""Text-conditioned editing: partial denoising from the input's own latents (paper, Tables 8 to 10).

Knows: the loop (SDEdit, Meng et al., 2022) and what a mask means for a picture, a clip and a sound.
Leaves to others: latents, denoiser and decoding (`Decoder`), and where the condition comes from.

The loop is diffusers' image-to-image pipeline, written once for every modality, since diffusers
has none for sounds: with the same noise a picture comes out as that pipeline has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from nextgpt_lite.media import Audio, Video

if TYPE_CHECKING:
    from nextgpt_lite.decoders.base import Decoder, Generators, StepCallback

RAMP_SECONDS = 0.01  # over which an edited sound fades into the one that is kept

Mask = Any  # (H, W) of a picture, (H, W) or (T, H, W) of a clip, (from, to) seconds of a sound


@torch.no_grad()
def edit(
    decoder: Decoder,
    media: Sequence[Any],
    condition: Tensor,
    negative: Tensor,
    *,
    strength: float,
    masks: Sequence[Mask] | None,
    steps: int,
    scale: float,
    generator: Generators,
    callback: StepCallback | None,
) -> list[Any]:
    """The media with their latents noised by `strength` and denoised under the condition.

    See `Decoder.edit`, which checks and completes the arguments.
    """
    from diffusers.utils.torch_utils import randn_tensor

    scheduler, dtype = decoder.pipeline.scheduler, decoder.pipeline.unet.dtype
    original = decoder._latents(media).to(dtype)  # (B, ...)
    noise = randn_tensor(original.shape, generator, original.device, original.dtype)
    mask = None
    if masks is not None:
        room = list(original.shape[2:])
        each = [_latent_mask(decoder, m, k, room) for m, k in zip(media, masks, strict=True)]
        mask = torch.stack(each).to(original)  # (B, 1, ...)
    scheduler.set_timesteps(steps, device=original.device)
    skipped = (steps - max(1, min(steps, int(steps * strength)))) * scheduler.order
    timesteps = scheduler.timesteps[skipped:]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(skipped)
    latents = scheduler.add_noise(original, noise, timesteps[:1].expand(len(media)))
    guided = scale > 1
    words = torch.cat([negative, condition]) if guided else condition
    for index, timestep in enumerate(timesteps):
        given = scheduler.scale_model_input(torch.cat([latents] * (1 + guided)), timestep)
        answer = decoder._denoise(given, timestep.expand(len(given)), words.to(dtype))
        if guided:
            empty, answer = answer.chunk(2)
            answer = empty + scale * (answer - empty)
        latents = scheduler.step(answer, timestep, latents, return_dict=False)[0]
        if mask is not None:
            kept = original
            if index + 1 < len(timesteps):
                later = timesteps[index + 1].expand(len(media))
                kept = scheduler.add_noise(original, noise, later)
            latents = mask * latents + (1 - mask) * kept
        if callback is not None:
            callback(index + 1, len(timesteps))
    made = decoder._decode(latents)
    results = [_fitted(given, edited) for given, edited in zip(media, made, strict=True)]
    if masks is None:
        return results
    return [_kept(*each) for each in zip(media, results, masks, strict=True)]


def _latent_mask(decoder: Any, medium: Any, mask: Mask, room: list[int]) -> Tensor:
    """(1, *room) ones where latents may change: wherever the mask reaches.

    Raises:
        ValueError: the mask does not fit the medium.
    """
    if isinstance(medium, Audio):
        times = np.arange(decoder.room) / decoder.rate
        ours = torch.from_numpy(_weights(times, mask) > 0).float()  # (samples,)
        return F.adaptive_max_pool1d(ours[None, None], room[0])[0, :, :, None].expand(-1, *room)
    pixels = torch.from_numpy(_pixels(medium, mask)).float()  # (H, W) or (T, H, W)
    if isinstance(medium, Video):
        pixels = pixels[_spread(len(pixels), room[0])][:, None]  # (T, 1, H, W)
        return F.adaptive_max_pool2d(pixels, room[1:]).transpose(0, 1)
    return F.adaptive_max_pool2d(pixels[None], room)


def _fitted(given: Any, edited: Any) -> Any:
    """The edited medium at the size, or of the length, of the one that was given."""
    match given:
        case Image.Image():
            return edited if edited.size == given.size else edited.resize(given.size)
        case Video():
            sizes = given.frames.shape[2:0:-1]  # (W, H)
            frames = [np.asarray(Image.fromarray(f).resize(sizes)) for f in edited.frames]
            return Video(np.stack(frames), len(frames) / given.duration)
    length = round(given.duration * edited.rate)
    return Audio(edited.samples[:, :length], edited.rate)


def _kept(given: Any, edited: Any, mask: Mask) -> Any:
    """The edited medium inside the mask, outside the given one, untouched."""
    match given:
        case Image.Image():
            return Image.composite(edited, given.convert("RGB"), _as_image(_pixels(given, mask)))
        case Video():
            places = _spread(len(given.frames), len(edited.frames))
            inside = _pixels(given, mask)[places][..., None]  # (T, H, W, 1)
            return Video(np.where(inside, edited.frames, given.frames[places]), edited.fps)
    length = edited.samples.shape[1]
    weights = _weights(np.arange(length) / edited.rate, mask)
    mixed = weights * edited.samples + (1 - weights) * given.mono(edited.rate)[:length]
    return Audio(mixed.astype(np.float32), edited.rate)


def _pixels(medium: Image.Image | Video, mask: Mask) -> np.ndarray:
    """A mask as truth values (H, W) of a picture or (T, H, W) of a clip."""
    size = medium.frames.shape[:3] if isinstance(medium, Video) else medium.size[::-1]
    given = np.asarray(mask) > 0
    if given.shape not in (size, size[-2:]):
        raise ValueError(
            f"The mask has shape {given.shape}, the medium {size}: give a value for each pixel."
        )
    return np.broadcast_to(given, size).copy()


def _as_image(inside: np.ndarray) -> Image.Image:
    return Image.fromarray(inside.astype(np.uint8) * 255)


def _spread(length: int, count: int) -> np.ndarray:
    """`count` frames, evenly over `length` of them."""
    return np.linspace(0, length - 1, count).round().astype(int)


def _weights(times: np.ndarray, mask: Mask) -> np.ndarray:
    """For each second of `times` one between the mask's two, zero outside, with short ramps."""
    try:
        start, end = (float(time) for time in mask)
    except (TypeError, ValueError) as error:
        raise ValueError(f"A sound's mask is (from, to) in seconds, not {mask!r}.") from error
    return np.clip(np.minimum(times - start, end - times) / RAMP_SECONDS + 1, 0, 1)
