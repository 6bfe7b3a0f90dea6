"""What every decoder can do, whatever it paints, sounds or films.

Knows: a frozen diffusion pipeline, its caption condition, classifier-free guidance by prompt
embeddings, and the denoising loss that carries a gradient back to a condition.
Leaves to others: which pipeline it is and what its media look like (`image`, `audio`, `video`),
and where conditions come from (a decoder knows nothing of the LLM).
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

SETTINGS_FILE = "nextgpt_lite.json"

StepCallback = Callable[[int, int], None]
Generators = torch.Generator | list[torch.Generator] | None


class Decoder(nn.Module, ABC):
    """A frozen diffusion pipeline that turns a condition (B, L, C) into B media.

    A subclass sets `modality`, calls `super().__init__` with its pipeline, and fills in the
    abstract methods. The pipeline's modules become children of this module, so that `.to(device)`
    moves them; they are frozen and stay in evaluation mode.

    Attributes:
        condition_length: L, the number of condition vectors the denoiser attends to.
        condition_width: C, the width of one.
        settings: what `nextgpt_lite.json` beside `model_index.json` says (`guidance_scale`,
            `num_inference_steps`, `width`, `height`, ...), and what the loader was told.
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
    def from_pretrained(
        cls,
        folder: str | Path,
        settings: dict[str, Any] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Decoder:
        """Loads a decoder from a folder in diffusers layout, without a network.

        Where the folder has both, safetensors are read and pickles left alone.

        Args:
            settings: go before those of the folder's `nextgpt_lite.json`.
            dtype: of the weights.

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
    def _decode(self, latents: Tensor) -> list[Any]:
        """Media of scaled latents (B, ...): what `_latents` undoes, but for the autoencoder."""

    @abstractmethod
    def _denoise(self, noisy: Tensor, timesteps: Tensor, condition: Tensor) -> Tensor:
        """The denoiser's raw output, shaped like noisy, under condition (B, L, C)."""

    # -- what every decoder offers -----------------------------------------------------------

    @classmethod
    def condition_shape(cls, folder: str | Path, settings: dict[str, Any]) -> list[int]:
        """[L, C] of a folder's decoder, from its configurations alone."""
        length = read_json(Path(folder) / "tokenizer" / "tokenizer_config.json")["model_max_length"]
        return [length, read_json(Path(folder) / "unet" / "config.json")["cross_attention_dim"]]

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def guidance_scale(self) -> float:
        """The scale used when `generate` is not told one."""
        return float(self.settings.get("guidance_scale", self.default_guidance_scale))

    @property
    def num_inference_steps(self) -> int:
        """The steps taken when `generate` is not told how many."""
        return int(self.settings.get("num_inference_steps", 20))

    @property
    def size(self) -> dict[str, int]:
        """`width` and `height` in pixels where the settings give them; else the denoiser's own."""
        return {
            name: int(self.settings[name]) for name in ("width", "height") if name in self.settings
        }

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

        Raises:
            ValueError: the text encoder was dropped.
        """
        if "text_encoder" not in self.parts:
            raise ValueError(
                f"the {self.modality} decoder's text encoder was dropped: load the model with "
                "text_encoders=True to compute caption conditions"
            )
        return self._embed(list(captions)).float()

    def drop_text_encoder(self) -> None:
        """Frees the text encoder; media from signal tokens need none, captions do."""
        self._empty()
        self.pipeline.text_encoder = None
        del self.parts["text_encoder"]

    def _empty(self) -> Tensor:
        """(1, L, C) condition of the empty caption, computed once: guidance leads away from it."""
        if self._empty_condition is None:
            self._empty_condition = self.encode_text([""])
        self._empty_condition = self._empty_condition.to(self.device)
        return self._empty_condition

    @torch.no_grad()
    def generate(
        self,
        condition: Tensor,
        *,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        generator: Generators = None,
        callback: StepCallback | None = None,
    ) -> list[Any]:
        """Turns conditions into media.

        Args:
            condition: (B, L, C), from `encode_text` or from projected signal tokens.
            num_inference_steps: denoising steps; None takes the decoder's own.
            guidance_scale: weight of the condition against the empty caption; 1 switches guidance
                off, None takes the decoder's own.
            generator: one generator for the batch, or a list of B, one an item; an item's own
                generator makes it independent of what else is in the batch.
            callback: called as `callback(step, total)` after each step, counted from 1; some
                schedulers take one step more than asked for.

        Returns:
            B media: PIL images, `Audio` or `Video`.

        Raises:
            ValueError: condition has another shape than (B, L, C).
        """
        self._check(condition)
        negative = self._empty().expand(len(condition), -1, -1)  # (B, L, C)
        scale = self.guidance_scale if guidance_scale is None else guidance_scale
        steps = self.num_inference_steps if num_inference_steps is None else num_inference_steps

        def on_step(index: int) -> None:
            if callback is not None:
                callback(index + 1, len(self.pipeline.scheduler.timesteps))

        condition = condition.to(self.device, torch.float32)
        return self._sample(condition, negative, steps, scale, generator, on_step)

    def generate_each(
        self,
        conditions: Sequence[Tensor] | Tensor,
        seeds: Sequence[int],
        batch_size: int = 16,
        **options: Any,
    ) -> Iterator[Any]:
        """A medium of each condition (L, C) from a seed of its own, made `batch_size` at a time.

        Args:
            options: of `generate`, all but its generator.
        """
        for first in range(0, len(seeds), batch_size):
            yield from self.generate(
                torch.stack([*conditions[first : first + batch_size]]),  # (B, L, C)
                generator=[
                    torch.Generator().manual_seed(seed)
                    for seed in seeds[first : first + batch_size]
                ],
                **options,
            )

    @torch.no_grad()
    def reconstruct(self, media: Sequence[Any]) -> list[Any]:
        """What is left of media after the autoencoder (and vocoder): the best a denoiser can do."""
        return self._decode(self._latents(media))

    def edit(
        self,
        media: Sequence[Any],
        condition: Tensor,
        *,
        strength: float = 0.7,
        masks: Sequence[Any] | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        generator: Generators = None,
        callback: StepCallback | None = None,
    ) -> list[Any]:
        """Turns media into what conditions say, as far as `strength` lets go of them.

        Args:
            media: B media; worked on at the decoder's size, given back at their own.
            condition: (B, L, C), from `encode_text` or from projected signal tokens.
            strength: share of the steps taken, in (0, 1]; small keeps the input, 1 hardly does.
            masks: B masks, where the medium may change: (H, W) of a picture, (H, W) or (T, H, W)
                of a clip, (from, to) seconds of a sound. Outside, the input is kept as it is.
            num_inference_steps, guidance_scale, generator, callback: as for `generate`.

        Raises:
            ValueError: condition, strength or a mask does not fit.
        """
        self._check(condition)
        if not 0 < strength <= 1:
            raise ValueError(f"strength is {strength}: use a share of the steps above 0, up to 1.")
        if len(condition) != len(media) or len(masks or media) != len(media):
            raise ValueError(
                f"{len(media)} media, {len(condition)} conditions and "
                f"{len(masks or media)} masks: give one of each for a medium."
            )
        from nextgpt_lite.decoders.editing import edit  # it knows of all modalities

        steps = self.num_inference_steps if num_inference_steps is None else num_inference_steps
        return edit(
            self,
            media,
            condition.to(self.device, torch.float32),
            self._empty().expand(len(condition), -1, -1),
            strength=strength,
            masks=masks,
            steps=steps,
            scale=self.guidance_scale if guidance_scale is None else guidance_scale,
            generator=generator,
            callback=callback,
        )

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
        return self.denoising_errors(condition, self.latents(media), generator).mean()

    @torch.no_grad()
    def latents(self, media: Sequence[Any]) -> Tensor:
        """B media -> what the denoiser works on, (B, ...), float32, without gradient."""
        return self._latents(media).float()

    def denoising_errors(
        self, condition: Tensor, latents: Tensor, generator: torch.Generator | None = None
    ) -> Tensor:
        """(B,) `denoising_loss` of each item, from `latents` that were computed before."""
        self._check(condition)
        scheduler = self.pipeline.scheduler
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        timesteps = torch.randint(
            scheduler.config.num_train_timesteps, (len(latents),), generator=generator
        ).to(latents.device)
        signal, spread = _amounts(scheduler, latents, timesteps)  # not add_noise: Euler's differs
        dtype = self.pipeline.unet.dtype
        noisy = (signal * latents + spread * noise).to(dtype)
        target = denoising_target(scheduler, latents, noise, timesteps)
        answer = self._denoise(noisy, timesteps, condition.to(dtype)).float()
        return (answer - target).pow(2).flatten(1).mean(1)

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
        signal, spread = _amounts(scheduler, latents, timesteps)
        return signal * noise - spread * latents
    raise ValueError(
        f"scheduler config field prediction_type is {kind!r}: use 'epsilon' or 'v_prediction'"
    )


def _amounts(scheduler: Any, latents: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
    """How much of the latents is left at each item's timestep, and how much is noise: (B, 1, ...).

    Straight from the noise schedule. `add_noise` of some schedulers (Euler's) adds noise of another
    size, which their denoiser expects to be scaled down again.
    """
    alpha_bar = scheduler.alphas_cumprod.to(latents)[timesteps]
    alpha_bar = alpha_bar.reshape(-1, *(1,) * (latents.ndim - 1))  # (B, 1, ...)
    return alpha_bar.sqrt(), (1 - alpha_bar).sqrt()


def at_step_end(on_step: Callable[[int], None]) -> Callable[..., dict[str, Any]]:
    """`on_step(index)` as a pipeline's `callback_on_step_end`, which changes no tensor."""

    def callback(_: Any, index: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        on_step(index)
        return tensors

    return callback


def read_settings(folder: str | Path, marker: str = "model_index.json") -> dict[str, Any]:
    """Reads `nextgpt_lite.json`; a folder without one (a public checkpoint) has no settings.

    Args:
        marker: the file by which a decoder's folder is known.

    Raises:
        FileNotFoundError: the folder has no such file.
    """
    folder = Path(folder)
    if not (folder / marker).is_file():
        raise FileNotFoundError(
            f"{folder} has no {marker}: give a decoder folder in diffusers layout"
        )
    path = folder / SETTINGS_FILE
    return read_json(path) if path.is_file() else {}


def read_json(path: Path) -> dict[str, Any]:
    """The values of a configuration file.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is no JSON object.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing: the decoder's folder is incomplete")
    try:
        values = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is no JSON ({error}): fetch the file again") from error
    return dict(values)


def bf16_is_fast(device: torch.device) -> bool:
    """Whether a device is a CPU with instructions for bf16."""
    able = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return any(able.get(each) for each in ("avx512_bf16", "amx_bf16"))
