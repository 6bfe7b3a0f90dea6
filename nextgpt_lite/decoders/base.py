"""What every decoder can do, whatever pipeline it runs and whatever medium it makes.

Knows: a frozen diffusion pipeline, its caption condition, guidance, and the denoising error that
carries a gradient back to a condition.
Leaves to others: which pipeline it is (a file of this package for each family), its media
(`image`, `audio`, `video`), noise (`noise`), editing (`editing`), and where conditions come
from (a decoder knows nothing of the LLM).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from nextgpt_lite.decoders.editing import Editing, Generators, StepCallback, chosen
from nextgpt_lite.decoders.loading import Settings, load_pipeline, step_reports
from nextgpt_lite.decoders.noise import ask
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.locks import Lock
from nextgpt_lite.model.config import SETTINGS_FILE
from nextgpt_lite.reading import check_sums, check_weights, read_json, reading

TEXT_ENCODER = "text_encoder"  # how diffusers' names of text encoders begin


class Decoder(Editing, nn.Module, ABC):
    """A frozen diffusion pipeline that turns a condition (B, L, C) into B media.

    A subclass names its pipelines and fills in the methods of the first section. The pipeline's
    modules become children of this module, so that `.to(device)` moves them; they are frozen and
    stay in evaluation mode.

    Attributes:
        modality: what it makes; a folder's settings may say another (`"modality": "depth"`).
        pipelines: the `_class_name`s in `model_index.json` that it is for.
        defaults: settings of a pipeline whose folder has none, such as `guidance_scale`.
        options: of the pipeline's own loader, such as parts that are not loaded.
        condition_length: L, the number of condition vectors the denoiser attends to.
        condition_width: C, the width of one.
        settings: what `nextgpt_lite.json` beside `model_index.json` says (`guidance_scale`,
            `num_inference_steps`, `width`, `height`, ...), and what the loader was told.
        lock: of one who runs the pipeline, whose scheduler and tokenizers keep a state.
        fetch: called before it runs, where decoders take turns on the device; True where only
            its text encoders will.
    """

    modality: str
    pipelines: ClassVar[tuple[str, ...]] = ()
    defaults: ClassVar[dict[str, Any]] = {}
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, pipeline: Any, settings: dict[str, Any], shape: Sequence[int]) -> None:
        super().__init__()
        pipeline.set_progress_bar_config(disable=True)
        self.pipeline = pipeline
        self.settings = settings
        self.modality = settings.get("modality", self.modality)
        self.condition_length, self.condition_width = shape
        parts = pipeline.components.items()
        self.parts = nn.ModuleDict({n: part for n, part in parts if isinstance(part, nn.Module)})
        self.requires_grad_(False)
        self.eval()
        self._empty: Tensor | None = None
        self.lock = Lock()
        self.fetch: Callable[[bool], object] | None = None

    # -- what a subclass fills in ------------------------------------------------------------

    @classmethod
    @abstractmethod
    def condition_shape(cls, folder: Path, settings: dict[str, Any]) -> list[int]:
        """[L, C] of a folder's decoder, from its configurations alone."""

    @abstractmethod
    def embed(self, captions: list[str]) -> Tensor:
        """The condition (B, L, C) of captions, from the pipeline's own text encoders."""

    @abstractmethod
    def arguments(self, condition: Tensor, negative: Tensor) -> dict[str, Any]:
        """What the pipeline is called with for a condition (B, L, C) and the one to lead away from.

        Steps, guidance, generator and callback are added to it.
        """

    @abstractmethod
    def media(self, output: Any) -> list[Any]:
        """The B media in what the pipeline returned."""

    @abstractmethod
    def encode(self, media: Sequence[Any]) -> Tensor:
        """Latents (B, ...) of media, as the denoiser knows them: scaled, without noise."""

    @abstractmethod
    def decode(self, latents: Tensor) -> list[Any]:
        """Media of latents (B, ...): what `encode` undoes, but for the autoencoder."""

    @abstractmethod
    def denoise(self, noisy: Tensor, times: Tensor, condition: Tensor) -> Tensor:
        """The denoiser's answer, shaped like noisy (B, ...), at times (B,) under condition."""

    # -- what a subclass may change ----------------------------------------------------------

    @classmethod
    def load(cls, folder: Path, settings: dict[str, Any], dtype: torch.dtype) -> Any:
        """The pipeline of a folder."""
        return load_pipeline(folder, settings, dtype, **cls.options)

    def empty_condition(self) -> Tensor:
        """(1, L, C) what guidance leads away from: the empty caption."""
        return self.encode_text([""])

    def arithmetic(self) -> AbstractContextManager[Any]:
        """The context in which the pipeline runs."""
        return nullcontext()

    # -- what every decoder offers -----------------------------------------------------------

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        settings: dict[str, Any] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Self:
        """Loads a decoder from a folder in diffusers layout, without a network.

        Where the folder has both, safetensors are read and pickles left alone.

        Args:
            settings: go before those of the folder's `nextgpt_lite.json`.
            dtype: of the weights.

        Raises:
            MissingError: a file or a part is not there.
        """
        folder = Path(folder)
        check_sums(folder)
        settings = cls.read_settings(folder, settings)
        shape = cls.condition_shape(folder, settings)
        with reading(folder, "*.json"):
            decoder = cls(cls.load(folder, settings, dtype), settings, shape)
        check_weights(decoder.state_dict(), folder)
        return decoder

    @classmethod
    def read_settings(cls, folder: Path, settings: dict[str, Any] | None = None) -> dict[str, Any]:
        """The class's defaults, changed by the folder's `nextgpt_lite.json`, then by `settings`."""
        path = folder / SETTINGS_FILE
        own = read_json(path, Settings) if path.is_file() else {}
        return {**cls.defaults, **own, **(settings or {})}

    @property
    def denoiser(self) -> Any:
        """The pipeline's UNet or transformer."""
        return self.parts["unet" if "unet" in self.parts else "transformer"]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels: what the settings say, or the denoiser's own."""
        width, height = (self.settings.get(name) for name in ("width", "height"))
        if width is None or height is None:
            side = self.denoiser.config.sample_size * self.pipeline.vae_scale_factor
            width, height = width or side, height or side
        return int(width), int(height)

    @property
    def sides(self) -> dict[str, int]:
        """`size` as arguments of a pipeline."""
        return dict(zip(("width", "height"), self.size, strict=True))

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    @property
    def guidance_scale(self) -> float:
        """The scale used when `generate` is not told one."""
        return float(self.settings.get("guidance_scale", 7.5))

    @property
    def num_inference_steps(self) -> int:
        """The steps taken when `generate` is not told how many."""
        return int(self.settings.get("num_inference_steps", 20))

    @contextmanager
    def in_use(self, reads: bool = False) -> Iterator[None]:
        """One thread at a time, on the device (`reads`: the text encoders alone); others wait."""
        with self.lock:
            if self.fetch is not None:
                self.fetch(reads)
            yield

    def train(self, mode: bool = True) -> Self:
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
            ConfigError: the text encoder was dropped.
        """
        if "text_encoder" not in self.parts:
            raise ConfigError(
                f"the {self.modality} decoder's text encoder was dropped: load the model with "
                "text_encoders=True to compute caption conditions"
            )
        with self.in_use(reads=True):
            return self.embed(list(captions)).float()

    def drop_text_encoder(self) -> None:
        """Frees the text encoders; media from signal tokens need none, captions do."""
        self.negative(1)
        for name in [name for name in self.parts if name.startswith(TEXT_ENCODER)]:
            setattr(self.pipeline, name, None)
            del self.parts[name]

    def negative(self, count: int, prompt: str | Tensor | None = None) -> Tensor:
        """(count, L, C) what guidance leads away from: a prompt, a condition (1, L, C), or the
        empty prompt's, known once."""
        if isinstance(prompt, Tensor):
            return prompt.to(self.device).expand(count, -1, -1)
        if prompt is not None:
            return self.encode_text([prompt]).to(self.device).expand(count, -1, -1)
        if self._empty is None:
            self._empty = self.empty_condition()
        self._empty = self._empty.to(self.device)
        return self._empty.expand(count, -1, -1)

    @torch.no_grad()
    def generate(
        self,
        condition: Tensor,
        *,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        negative_prompt: str | Tensor | None = None,
        generator: Generators = None,
        callback: StepCallback | None = None,
        previews: int = 0,
    ) -> list[Any]:
        """Turns conditions into media.

        Args:
            condition: (B, L, C), from `encode_text` or from projected signal tokens.
            num_inference_steps: denoising steps; None takes the decoder's own.
            guidance_scale: weight of the condition against the empty one; 1 switches guidance off,
                None takes the decoder's own.
            negative_prompt: what guidance leads away from, in words or as a condition (1, L, C);
                None means the empty caption.
                Without guidance it has no effect.
            generator: one generator for the batch, or a list of B, one an item; an item's own
                generator makes it independent of what else is in the batch.
            callback: called as `callback(step, total)` after each step, counted from 1; some
                schedulers take one step more than asked for.
            previews: after every so many steps the callback also gets, third, the B media that the
                noisy latents of that moment decode to; 0 for never.

        Returns:
            B media: PIL images, `Audio` or `Video`.

        Raises:
            ConfigError: condition has another shape than (B, L, C), or the text encoder that is to
                read the negative prompt was dropped.
        """
        self.check(condition)

        def on_step(index: int, latents: Tensor) -> None:
            if callback is not None:
                seen = [self.decode(latents)] if previews and (index + 1) % previews == 0 else []
                callback(index + 1, len(self.pipeline.scheduler.timesteps), *seen)

        with self.in_use():
            arguments = self.arguments(
                condition.to(self.device, torch.float32),
                self.negative(len(condition), negative_prompt),
            )
            with self.arithmetic():
                output = self.pipeline(
                    **arguments,
                    **step_reports(self.pipeline, on_step),
                    num_inference_steps=chosen(num_inference_steps, self.num_inference_steps),
                    guidance_scale=chosen(guidance_scale, self.guidance_scale),
                    generator=generator,
                )
        return self.media(output)

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
        with self.in_use():
            return self.decode(self.encode(media))

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
        with self.in_use():
            return self.encode(media).float()

    def denoising_errors(
        self,
        condition: Tensor,
        latents: Tensor,
        generator: torch.Generator | None = None,
        noisier: int = 1,
    ) -> Tensor:
        """(B,) `denoising_loss` of each item, from `latents` that were computed before.

        Args:
            noisier: of `noise.ask`.
        """
        self.check(condition)
        dtype = self.denoiser.dtype
        with self.in_use():
            noisy, times, target = ask(self.pipeline.scheduler, latents, generator, noisier)
            answer = self.denoise(noisy.to(dtype), times, condition.to(dtype)).float()
        return (answer - target).pow(2).flatten(1).mean(1)

    def check(self, condition: Tensor) -> None:
        """Refuses a condition of another shape than (B, L, C)."""
        expected = (self.condition_length, self.condition_width)
        if condition.ndim != 3 or tuple(condition.shape[1:]) != expected:
            raise ConfigError(
                f"the {self.modality} decoder takes a condition of shape (B, {expected[0]}, "
                f"{expected[1]}), not {tuple(condition.shape)}: use encode_text or the "
                f"{self.modality} output projection"
            )
