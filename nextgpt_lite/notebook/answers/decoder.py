"""Judges of the exercises in 13_the_decoder_from_scratch."""

from __future__ import annotations

import numpy as np
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
