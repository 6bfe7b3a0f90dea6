"""What every decoder can do, whatever it paints, sounds or films.

Knows: a frozen diffusion pipeline, its caption condition, classifier-free guidance by prompt
embeddings, and the denoising loss that carries a gradient back to a condition.
Leaves to others: which pipeline it is and what its media look like (`image`, `audio`, `video`),
and where conditions come from (a decoder knows nothing of the LLM).
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SETTINGS_FILE = "nextgpt_lite.json"

StepCallback = Callable[[int, int], None]
Generators = torch.Generator | list[torch.Generator] | None


class Decoder(nn.Module, ABC):
    """A frozen diffusion pipeline that turns a condition (B, L, C) into B media.

    A subclass sets `modality`, calls `super().__init__` with its pipeline, and fills in the four
    abstract methods. The pipeline's modules become children of this module, so that `.to(device)`
    moves them; they are frozen and stay in evaluation mode.

    Attributes:
        condition_length: L, the number of condition vectors the denoiser attends to.
        condition_width: C, the width of one.
        settings: what `nextgpt_lite.json` beside `model_index.json` says (`guidance_scale`, ...).
    """

    modality: ClassVar[str]
    default_guidance_scale: ClassVar[float] = 7.5
    condition_length: int
    condition_width: int

    def __init__(self, pipeline: Any, settings: dict[str, Any] | None = None) -> None:
        super().__init__()
        pipeline.set_progress_bar_config(disable=True)
        self.pipeline = pipeline
        self.settings = dict(settings or {})
        self.parts = nn.ModuleDict(
            {
                name: part
                for name, part in pipeline.components.items()
                if isinstance(part, nn.Module)
            }
        )
        self.requires_grad_(False)
        self.eval()
        self._empty_condition: Tensor | None = None

    # -- what a subclass fills in ------------------------------------------------------------

    @classmethod
    @abstractmethod
    def from_pretrained(cls, folder: str | Path) -> Decoder:
        """Loads a decoder from a folder in diffusers layout, in float32 and without a network.

        Raises:
            FileNotFoundError: the folder has no `model_index.json`.
        """

    @abstractmethod
    def _embed(self, captions: list[str]) -> Tensor:
        """Caption condition (B, L, C) of the pipeline's own text encoder."""

    @abstractmethod
    def _sample(
        self,
        condition: Tensor,
        negative: Tensor,
        steps: int,
        scale: float,
        generator: Generators,
        on_step: Callable[[int], None],
    ) -> list[Any]:
        """Runs the pipeline: condition and negative (B, L, C) -> B media.

        Calls `on_step(i)` after each denoising step i."""

    @abstractmethod
    def _latents(self, media: Sequence[Any]) -> Tensor:
        """Scaled latents (B, ...) of media, without gradient."""

    @abstractmethod
    def _denoise(self, noisy: Tensor, timesteps: Tensor, condition: Tensor) -> Tensor:
        """The denoiser's raw output, shaped like noisy, under condition (B, L, C)."""

    # -- what every decoder offers -----------------------------------------------------------

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def guidance_scale(self) -> float:
        """The scale used when `generate` is not told one."""
        return float(self.settings.get("guidance_scale", self.default_guidance_scale))

    def train(self, mode: bool = True) -> Decoder:
        """Stays in evaluation mode: a decoder is frozen, also inside a model that trains."""
        return super().train(False)

    @torch.no_grad()
    def encode_text(self, captions: Sequence[str]) -> Tensor:
        """The caption condition.

        Args:
            captions: B texts; longer ones are cut to the text encoder's length.

        Returns:
            condition of shape (B, L, C), float32, without gradient.
        """
        return self._embed(list(captions))

    @torch.no_grad()
    def generate(
        self,
        condition: Tensor,
        *,
        num_inference_steps: int = 20,
        guidance_scale: float | None = None,
        generator: Generators = None,
        callback: StepCallback | None = None,
    ) -> list[Any]:
        """Turns conditions into media.

        Args:
            condition: (B, L, C), from `encode_text` or from projected signal tokens.
            num_inference_steps: denoising steps.
            guidance_scale: weight of the condition against the empty caption; 1 switches guidance
                off, None takes the decoder's own.
            generator: one generator for the batch, or a list of B, one an item; an item's own
                generator makes it independent of what else is in the batch.
            callback: called as `callback(step, total)` after each step, counted from 1.

        Returns:
            B media: PIL images, `Audio` or `Video`.

        Raises:
            ValueError: condition has another shape than (B, L, C).
        """
        self._check(condition)
        if self._empty_condition is None or self._empty_condition.device != self.device:
            self._empty_condition = self.encode_text([""])
        negative = self._empty_condition.expand(len(condition), -1, -1)  # (B, L, C)
        scale = self.guidance_scale if guidance_scale is None else guidance_scale

        def on_step(index: int) -> None:
            if callback is not None:
                callback(index + 1, num_inference_steps)

        condition = condition.to(self.device, torch.float32)
        return self._sample(condition, negative, num_inference_steps, scale, generator, on_step)

    def denoising_loss(
        self, condition: Tensor, media: Sequence[Any], generator: torch.Generator | None = None
    ) -> Tensor:
        """Mean squared error of the frozen denoiser under a condition that may learn.

        Args:
            condition: (B, L, C); the only input that receives a gradient.
            media: the B media the condition should describe.
            generator: source of noise and timesteps (on the CPU).

        Returns:
            a scalar.
        """
        self._check(condition)
        latents = self._latents(media)  # (B, ...)
        scheduler = self.pipeline.scheduler
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        timesteps = torch.randint(
            scheduler.config.num_train_timesteps, (len(latents),), generator=generator
        ).to(latents.device)
        noisy = scheduler.add_noise(latents, noise, timesteps)
        target = denoising_target(scheduler, latents, noise, timesteps)
        return F.mse_loss(self._denoise(noisy, timesteps, condition), target)

    def _check(self, condition: Tensor) -> None:
        expected = (self.condition_length, self.condition_width)
        if condition.ndim != 3 or tuple(condition.shape[1:]) != expected:
            raise ValueError(
                f"the {self.modality} decoder takes a condition of shape (B, {expected[0]}, "
                f"{expected[1]}), not {tuple(condition.shape)}: use encode_text or the "
                f"{self.modality} output projection"
            )


def denoising_target(scheduler: Any, latents: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
    """What the denoiser should answer: the noise, or v for a v-prediction scheduler."""
    kind = scheduler.config.prediction_type
    if kind == "epsilon":
        return noise
    if kind == "v_prediction":
        alpha_bar = scheduler.alphas_cumprod.to(latents)[timesteps]
        alpha_bar = alpha_bar.reshape(-1, *(1,) * (latents.ndim - 1))  # (B, 1, ...)
        return alpha_bar.sqrt() * noise - (1 - alpha_bar).sqrt() * latents
    raise ValueError(
        f"scheduler config field prediction_type is {kind!r}: use 'epsilon' or 'v_prediction'"
    )


def at_step_end(on_step: Callable[[int], None]) -> Callable[..., dict[str, Any]]:
    """`on_step(index)` as a pipeline's `callback_on_step_end`, which changes no tensor."""

    def callback(_: Any, index: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        on_step(index)
        return tensors

    return callback


def read_settings(folder: str | Path) -> dict[str, Any]:
    """Reads `nextgpt_lite.json`; a folder without one (a public checkpoint) has no settings.

    Raises:
        FileNotFoundError: the folder has no `model_index.json`.
    """
    folder = Path(folder)
    if not (folder / "model_index.json").is_file():
        raise FileNotFoundError(
            f"{folder} has no model_index.json: give a decoder folder in diffusers layout"
        )
    path = folder / SETTINGS_FILE
    return json.loads(path.read_text()) if path.is_file() else {}
