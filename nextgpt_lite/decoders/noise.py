"""What a denoiser is asked in training: media with noise, and the answer it should give.

Knows: the noise of diffusers' schedulers, each answer right for its scheduler: the noise itself
(epsilon), v (Salimans and Ho, 2022), or the direction from media to noise (flow matching).
Leaves to others: the denoiser, and sampling (`editing`, and the pipelines).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from nextgpt_lite.errors import ConfigError


class Question(NamedTuple):
    """Latents with noise at random times.

    Attributes:
        noisy: (B, ...) what the denoiser reads.
        times: (B,) in the unit that the denoiser counts in.
        target: (B, ...) what it should answer.
    """

    noisy: Tensor
    times: Tensor
    target: Tensor


def ask(
    scheduler: Any, latents: Tensor, generator: torch.Generator | None = None, noisier: int = 1
) -> Question:
    """Noises latents (B, ...), each at a time of its own, drawn uniformly.

    Args:
        generator: source of noise and times (on the CPU).
        noisier: the time is the largest of so many draws; what stands where is settled early in
            sampling, so that more of them tell more of it.

    Raises:
        ConfigError: the scheduler's answers are of a kind that is not known here.
    """
    noise = torch.randn(latents.shape, generator=generator).to(latents)
    kind = prediction_type(scheduler)
    steps = scheduler.config.num_train_timesteps
    if kind != "flow_prediction" and hasattr(scheduler, "alphas_cumprod"):
        drawn = torch.randint(steps, (len(latents), noisier), generator=generator)
        times = drawn.amax(1).to(latents.device)
        return question(scheduler, latents, noise, times)
    share = torch.rand(len(latents), noisier, generator=generator).amax(1).to(latents)  # to noise
    way = share.reshape(-1, *(1,) * (latents.ndim - 1))  # (B, 1, ...)
    if kind == "flow_prediction":
        return Question((1 - way) * latents + way * noise, steps * share, noise - latents)
    if hasattr(scheduler, "precondition_noise") and scheduler.config.sigma_data == 1:
        # Karras et al. (2022) scale their input to unit size: a circle from media to noise.
        signal, spread = (way * math.pi / 2).cos(), (way * math.pi / 2).sin()
        times = scheduler.precondition_noise((share * math.pi / 2).tan())
        target = signal * noise - spread * latents
        target = -target if kind == "epsilon" else target  # so their preconditioning has it
        return Question(signal * latents + spread * noise, times, target)
    raise ConfigError(
        f"The noise of {type(scheduler).__name__} is not known here: use a scheduler with "
        "alphas_cumprod, one for flow matching, or the EDM family with sigma_data 1."
    )


def prediction_type(scheduler: Any) -> str:
    """What a scheduler takes the denoiser's answer for.

    Raises:
        ConfigError: none of epsilon, v and flow.
    """
    flow = type(scheduler).__name__.startswith("FlowMatch")
    kind = "flow_prediction" if flow else scheduler.config.prediction_type
    if kind not in ("epsilon", "v_prediction", "flow_prediction"):
        raise ConfigError(
            f"scheduler config field prediction_type is {kind!r}: use 'epsilon', 'v_prediction' or "
            "'flow_prediction'"
        )
    return str(kind)


def question(scheduler: Any, latents: Tensor, noise: Tensor, times: Tensor) -> Question:
    """Latents (B, ...) with this noise (B, ...), at steps (B,) of a discrete schedule.

    Straight from the schedule's `alphas_cumprod`. `add_noise` of some schedulers differs: Euler's
    adds noise of another size, which its denoiser expects to be scaled down again, and before
    `set_timesteps` DPM-Solver's counts the steps from the wrong end.

    Raises:
        ConfigError: the scheduler's answers are of a kind that is not known here.
    """
    alpha_bar = scheduler.alphas_cumprod.to(latents)[times]
    alpha_bar = alpha_bar.reshape(-1, *(1,) * (latents.ndim - 1))  # (B, 1, ...)
    signal, spread = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    epsilon = prediction_type(scheduler) == "epsilon"
    target = noise if epsilon else signal * noise - spread * latents
    return Question(signal * latents + spread * noise, times, target)
