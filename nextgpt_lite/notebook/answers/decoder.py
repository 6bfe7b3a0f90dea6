"""Judges of the exercises in 13_the_decoder_from_scratch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from nextgpt_lite.notebook.exercises import Function, normal


def _answered(random: np.random.Generator) -> tuple[Tensor, Tensor, float]:
    """Noisy latents, v, and the share of the image's power."""
    return normal(random, 2, 4, 3, 3), normal(random, 2, 4, 3, 3), float(random.uniform(0.05, 0.9))


epsilon = Function(
    right=lambda xt, v, share: share**0.5 * v + (1 - share) ** 0.5 * xt,
    draw=_answered,
    mistakes={
        "that is the image, not the noise": (
            lambda xt, v, share: share**0.5 * xt - (1 - share) ** 0.5 * v
        ),
        "the two weights are exchanged": (
            lambda xt, v, share: (1 - share) ** 0.5 * v + share**0.5 * xt
        ),
        "weigh with the roots of the shares": lambda xt, v, share: share * v + (1 - share) * xt,
        "both parts are added": lambda xt, v, share: share**0.5 * v - (1 - share) ** 0.5 * xt,
    },
)


def _image(xt: Tensor, noise: Tensor, share: float) -> Tensor:
    return (xt - (1 - share) ** 0.5 * noise) / share**0.5


def _between(random: np.random.Generator) -> tuple[Tensor, Tensor, float, float]:
    """Noisy latents, the noise answered, the image's share now and after the step."""
    now, later = sorted(random.uniform(0.05, 0.95, 2))
    return normal(random, 2, 4, 3, 3), normal(random, 2, 4, 3, 3), float(now), float(later)


step = Function(
    right=lambda xt, noise, share, following: (
        following**0.5 * _image(xt, noise, share) + (1 - following) ** 0.5 * noise
    ),
    draw=_between,
    mistakes={
        "that is the image that is believed in; mix it with noise again": (
            lambda xt, noise, share, following: _image(xt, noise, share)
        ),
        "nothing changed: mix with the share after the step": (
            lambda xt, noise, share, following: xt
        ),
        "what is left without the noise is smaller than the image: divide by its root": (
            lambda xt, noise, share, following: (
                following**0.5 * (xt - (1 - share) ** 0.5 * noise) + (1 - following) ** 0.5 * noise
            )
        ),
        "no noise was mixed in again": (
            lambda xt, noise, share, following: following**0.5 * _image(xt, noise, share)
        ),
    },
)


@dataclass
class _Denoiser:
    """Answers with noise, another in each step and with or without words."""

    scales: Tensor  # (steps, 2)
    shifts: Tensor  # (steps, 2, 4, 3, 3)

    def __call__(self, x: Tensor, number: int, told: bool) -> Tensor:
        return torch.tanh(self.scales[number, int(told)] * x + self.shifts[number, int(told)])


def _run(random: np.random.Generator) -> tuple[Any, ...]:
    """denoise, noise, the image's share before each step, scale."""
    steps = int(random.integers(2, 6))
    shares = [float(s) for s in sorted(random.uniform(0.05, 0.95, steps))]
    denoise = _Denoiser(normal(random, steps, 2), normal(random, steps, 2, 4, 3, 3))
    return denoise, normal(random, 2, 4, 3, 3), shares, float(random.uniform(1.5, 7))


def _scheduled(denoise: Any, noise: Tensor, shares: list[float], scale: float) -> Tensor:
    """By diffusers' own scheduler."""
    scheduler = DDIMScheduler(len(shares), clip_sample=False)
    scheduler.alphas_cumprod = torch.tensor(shares[::-1])
    scheduler.set_timesteps(len(shares))
    x = noise
    for number, time in enumerate(scheduler.timesteps):
        empty, told = denoise(x, number, False), denoise(x, number, True)
        x = scheduler.step(empty + scale * (told - empty), int(time), x).prev_sample
    return x


def _sampled(
    guide: Any = lambda empty, told, scale: empty + scale * (told - empty),
    last: float = 1.0,
    fresh: bool = False,
) -> Any:
    """A loop like the right one, or with a flaw."""

    def sampled(denoise: Any, noise: Tensor, shares: list[float], scale: float) -> Tensor:
        x = noise
        for number, (share, following) in enumerate(zip(shares, [*shares[1:], last], strict=True)):
            dirt = guide(denoise(x, number, False), denoise(x, number, True), scale)
            image = _image(x, dirt, share)
            x = following**0.5 * image + (1 - following) ** 0.5 * (noise if fresh else dirt)
        return x

    return sampled


ddim = Function(
    right=_scheduled,
    draw=_run,
    mistakes={
        "the words are pulled from the empty answer: empty + scale * (told - empty)": (
            _sampled(lambda empty, told, scale: told + scale * (told - empty))
        ),
        "the wrong way round: away from the empty answer, towards the told one": (
            _sampled(lambda empty, told, scale: empty + scale * (empty - told))
        ),
        "there is no guidance in it": _sampled(lambda empty, told, scale: told),
        "the scale weighs the difference of both answers, not one of them": (
            _sampled(lambda empty, told, scale: scale * told)
        ),
        "after the last step there is no noise left: its following share is 1": (
            lambda denoise, noise, shares, scale: _sampled(last=shares[-1])(
                denoise, noise, shares, scale
            )
        ),
        "mix with the noise that was answered, not with that of the beginning": (
            _sampled(fresh=True)
        ),
        "the shares rise: from much noise to little": (
            lambda denoise, noise, shares, scale: _sampled()(denoise, noise, shares[::-1], scale)
        ),
    },
)
