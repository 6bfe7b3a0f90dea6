"""The answer asked of a denoiser is the one its own scheduler turns back into clean latents."""

from __future__ import annotations

from typing import Any

import diffusers
import pytest
import torch

from nextgpt_lite.decoders.noise import ask, question

SCHEDULERS: dict[str, tuple[str, dict[str, Any]]] = {
    "epsilon": ("DDIMScheduler", {"prediction_type": "epsilon"}),
    "v": ("DDIMScheduler", {"prediction_type": "v_prediction"}),
    "Euler": ("EulerDiscreteScheduler", {"prediction_type": "v_prediction"}),
    "DPM": ("DPMSolverMultistepScheduler", {"prediction_type": "epsilon"}),
    "flow": ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0}),
    "UniPC": (
        "UniPCMultistepScheduler", {"prediction_type": "flow_prediction", "use_flow_sigmas": True},
    ),
    "EDM": ("CosineDPMSolverMultistepScheduler", {"prediction_type": "v_prediction"}),
    "EDM, epsilon": ("CosineDPMSolverMultistepScheduler", {"prediction_type": "epsilon"}),
}  # fmt: skip


def _scheduler(name: str) -> Any:
    kind, options = SCHEDULERS[name]
    return getattr(diffusers, kind)(**options)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_the_right_answer_leads_back_to_the_latents(name: str) -> None:
    scheduler, latents = _scheduler(name), torch.randn(64, 3, 2)
    noisy, times, target = ask(scheduler, latents, torch.Generator().manual_seed(0))
    assert noisy.shape == target.shape == latents.shape and times.shape == (64,)
    assert times.unique().numel() > 32, "each item has a time of its own"
    shaped = times[:, None, None].float()
    if "EDM" in name:
        sigma = (shaped * torch.pi / 2).tan()
        raw = noisy * (sigma**2 + 1).sqrt()  # before the scheduler scales it
        clean = scheduler.precondition_outputs(raw, target, sigma)
        torch.testing.assert_close(scheduler.precondition_inputs(raw, sigma), noisy)
    elif name in ("flow", "UniPC"):
        clean = noisy - shaped / 1000 * target  # as both schedulers' steps do
    else:
        kept = scheduler.alphas_cumprod[times.long()][:, None, None]
        if scheduler.config.prediction_type == "epsilon":
            clean = (noisy - (1 - kept).sqrt() * target) / kept.sqrt()
        else:
            clean = kept.sqrt() * noisy - (1 - kept).sqrt() * target
    torch.testing.assert_close(clean, latents, atol=2e-3, rtol=1e-3)


def test_a_perfect_denoiser_samples_the_latents_by_flow() -> None:
    """Times are in the scheduler's own unit: its steps end where the answers point."""
    scheduler, latents = _scheduler("UniPC"), torch.randn(1, 3, 2)
    scheduler.set_timesteps(8)
    sample = torch.randn(1, 3, 2, generator=torch.Generator().manual_seed(1))
    for time in scheduler.timesteps:
        share = time / 1000  # as `ask` counts
        answer = (sample - latents) / share
        sample = scheduler.step(answer, time, sample, return_dict=False)[0]
    torch.testing.assert_close(sample, latents, atol=1e-3, rtol=1e-3)


def test_noise_and_times_come_from_the_generator() -> None:
    for name in SCHEDULERS:
        first, again, other = (
            ask(_scheduler(name), torch.zeros(4, 2, 2), torch.Generator().manual_seed(seed))
            for seed in (0, 0, 1)
        )
        assert torch.equal(first.noisy, again.noisy) and torch.equal(first.times, again.times)
        assert not torch.equal(first.times, other.times)


def test_what_is_not_known_is_named() -> None:
    latents = torch.zeros(2, 1)
    strange = diffusers.DDIMScheduler(prediction_type="sample")
    with pytest.raises(ValueError, match="prediction_type is 'sample'"):
        ask(strange, latents)
    with pytest.raises(ValueError, match="EDMEulerScheduler is not known"):
        ask(diffusers.EDMEulerScheduler(sigma_data=0.5), latents)
    steps = torch.tensor([0, 999])
    noise = torch.ones(2, 1)
    assert torch.equal(question(_scheduler("epsilon"), latents, noise, steps).target, noise)
