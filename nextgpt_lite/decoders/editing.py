"""Text-conditioned editing: partial denoising from the input's own latents (paper, Tables 8 to 10).

Knows: the loop (SDEdit, Meng et al., 2022), for every decoder alike. Leaves to others: latents,
denoiser and decoding (`base`), what a mask means for a medium (`image`, `audio`, `video`), and
where the condition comes from.

The loop is diffusers' image-to-image pipeline, written once for every modality, since diffusers
has none for audio: with the same noise an image comes out as that pipeline has it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from nextgpt_lite.errors import ConfigError

StepCallback = Callable[..., None]
Generators = torch.Generator | list[torch.Generator] | None
Mask = Any  # (H, W) of an image, (H, W) or (T, H, W) of a video, (from, to) seconds of audio


class Editing:
    """What `Decoder` is besides: an editor of media."""

    @torch.no_grad()
    def edit(
        self: Any,
        media: Sequence[Any],
        condition: Tensor,
        *,
        strength: float = 0.7,
        masks: Sequence[Mask] | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        negative_prompt: str | None = None,
        generator: Generators = None,
        callback: StepCallback | None = None,
    ) -> list[Any]:
        """Changes media into what conditions say; `strength` says how far.

        Args:
            media: B media; worked on at the decoder's size, given back at their own.
            condition: (B, L, C), from `encode_text` or from projected signal tokens.
            strength: share of the steps taken, in (0, 1]; small keeps the input, 1 hardly does.
            masks: B masks, where the medium may change: (H, W) of an image, (H, W) or (T, H, W)
                of a video, (from, to) seconds of audio. Outside, the input is kept as it is.
            num_inference_steps, guidance_scale, negative_prompt, generator, callback: as for
                `generate`.

        Raises:
            ConfigError: condition, strength or a mask does not fit.
        """
        self.check(condition)
        if not isinstance(strength, Real) or not 0 < strength <= 1:
            raise ConfigError(
                f"strength is {strength!r}: use a share of the steps above 0, up to 1."
            )
        if len(condition) != len(media) or len(masks or media) != len(media):
            raise ConfigError(
                f"{len(media)} media, {len(condition)} conditions and "
                f"{len(masks or media)} masks: give one of each for a medium."
            )
        with self.in_use():
            original = self.encode(media).to(self.denoiser.dtype)  # (B, ...)
            mask = None
            if masks is not None:
                pairs = zip(media, masks, strict=True)
                each = [self.latent_mask(*pair, original) for pair in pairs]
                mask = torch.stack(each).to(original)  # (B, 1, ...)
            latents = denoise_from(
                original,
                self.denoise,
                self.pipeline.scheduler,
                condition.to(original),
                self.negative(len(condition), negative_prompt).to(original),
                mask=mask,
                strength=strength,
                steps=chosen(num_inference_steps, self.num_inference_steps),
                scale=chosen(guidance_scale, self.guidance_scale),
                generator=generator,
                callback=callback,
            )
            decoded = self.decode(latents)
        made = zip(media, decoded, masks or [None] * len(media), strict=True)
        return [self.fitted(*one) for one in made]

    def latent_mask(self, medium: Any, mask: Mask, latents: Tensor) -> Tensor:
        """(1, ...) ones where latents (B, c, ...) may change: wherever a medium's mask reaches."""
        raise ConfigError(f"{type(self).__name__} cannot edit inside a mask: leave masks out.")

    def fitted(self, given: Any, edited: Any, mask: Mask | None) -> Any:
        """The edited medium in the size of the given one, which stays outside of a mask."""
        return edited


def denoise_from(
    original: Tensor,
    denoise: Callable[[Tensor, Tensor, Tensor], Tensor],
    scheduler: Any,
    condition: Tensor,
    negative: Tensor,
    *,
    mask: Tensor | None,
    strength: float,
    steps: int,
    scale: float,
    generator: Generators,
    callback: StepCallback | None,
) -> Tensor:
    """Latents (B, ...) noised by `strength` and denoised under conditions (B, L, C)."""
    from diffusers.utils.torch_utils import randn_tensor

    noise = randn_tensor(original.shape, generator, original.device, original.dtype)
    scheduler.set_timesteps(steps, device=original.device)
    skipped = (steps - max(1, min(steps, int(steps * strength)))) * scheduler.order
    timesteps = scheduler.timesteps[skipped:]
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(skipped)
    options = {"generator": generator}
    if "generator" not in inspect.signature(scheduler.step).parameters:
        options = {}

    def noised(timestep: Tensor) -> Tensor:
        times = timestep.expand(len(original))
        if hasattr(scheduler, "add_noise"):
            return scheduler.add_noise(original, noise, times)
        return scheduler.scale_noise(original, times, noise)

    latents = noised(timesteps[0])
    guided = scale > 1
    words = torch.cat([negative, condition]) if guided else condition
    for index, timestep in enumerate(timesteps):
        given = torch.cat([latents] * (1 + guided))
        if hasattr(scheduler, "scale_model_input"):
            given = scheduler.scale_model_input(given, timestep)
        answer = denoise(given, timestep.expand(len(given)), words)
        if guided:
            empty, answer = answer.chunk(2)
            answer = empty + scale * (answer - empty)
        latents = scheduler.step(answer, timestep, latents, **options, return_dict=False)[0]
        if mask is not None:
            last = index + 1 == len(timesteps)
            kept = original if last else noised(timesteps[index + 1])
            latents = mask * latents + (1 - mask) * kept
        if callback is not None:
            callback(index + 1, len(timesteps))
    return latents


def chosen(given: Any, default: Any) -> Any:
    """What was given, if anything was."""
    return default if given is None else given
