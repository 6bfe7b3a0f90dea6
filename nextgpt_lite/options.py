"""What can be asked for in a turn besides words and media, checked before anything is made.

Knows: which values an option can have. Leaves to others: what it does (`generation`, `decoders`).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from nextgpt_lite.errors import ConfigError
from nextgpt_lite.model.generation import Processor, Sampling

if TYPE_CHECKING:
    from transformers import GenerationConfig

MAX_SEED = 2**63 - 1  # each medium of a reply takes the next one, and torch's end at 2**64

LEAST_SHARE = 1e-6  # of probability, to draw from: the most likely token alone
MAX_STEPS = 1000  # as many as any scheduler was trained with
# Of transformers' GenerationConfig: what is followed, and what asks for nothing.
_SHARED = ("max_new_tokens", "temperature", "top_p", "top_k", "repetition_penalty")
_SILENT = ("bos_token_id", "eos_token_id", "pad_token_id", "transformers_version", "use_cache")


def whole(name: str, value: Any, least: int, most: float = math.inf) -> int:
    """A whole number of Python, numpy or torch, as an int.

    Raises:
        ConfigError: naming the option, when it is none from `least` to `most`.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not least <= number <= most:
        limits = f"from {least} on" if most == math.inf else f"from {least} to {most}"
        raise ConfigError(f"Option {name} is {value!r}: use a whole number {limits}.")
    return number


def number(name: str, value: Any, least: float, most: float = math.inf) -> float:
    """A finite number from `least` to `most`, as a float.

    Raises:
        ConfigError: naming the option, when it is none.
    """
    try:
        found = math.nan if isinstance(value, bool | str) else float(value)
    except (TypeError, ValueError, RuntimeError):  # torch's, of several numbers: RuntimeError
        found = math.nan
    if not (math.isfinite(found) and least <= found <= most):
        limits = f"from {least:g} on" if most == math.inf else f"from {least:g} to {most:g}"
        raise ConfigError(f"Option {name} is {value!r}: use a number {limits}.")
    return found


def seed_of(seed: Any, generator: torch.Generator | None = None) -> int:
    """A seed that was given, or one that is drawn; the same seed gives the same reply."""
    if generator is None:
        return whole("seed", seed, 0, MAX_SEED)
    if not isinstance(generator, torch.Generator):
        raise ConfigError(f"Option generator is {generator!r}: use a torch.Generator, or a seed.")
    drawn = torch.randint(MAX_SEED, (), generator=generator, device=generator.device)
    return int(drawn)


@dataclass(frozen=True)
class Options:
    """How replies are made; `NextGPT.chat` says what each option does.

    Raises:
        ConfigError: naming the option that has a value it cannot have.
    """

    output_modalities: str | Sequence[str] = "auto"
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int | None = None
    repetition_penalty: float = 1.0
    logits_processor: Sequence[Processor] = ()
    negative_prompt: str | None = None

    def __post_init__(self) -> None:
        checked = {
            "max_new_tokens": whole("max_new_tokens", self.max_new_tokens, 0),
            "temperature": number("temperature", self.temperature, 0),
            "top_p": number("top_p", self.top_p, LEAST_SHARE, 1),
            "repetition_penalty": number("repetition_penalty", self.repetition_penalty, 0.1),
        }
        if self.top_k is not None:
            checked["top_k"] = whole("top_k", self.top_k, 1)
        if self.num_inference_steps is not None:
            checked["num_inference_steps"] = whole(
                "num_inference_steps", self.num_inference_steps, 1, MAX_STEPS
            )
        if self.guidance_scale is not None:
            checked["guidance_scale"] = number("guidance_scale", self.guidance_scale, 0)
        if not isinstance(self.negative_prompt, str | None):
            raise ConfigError(f"Option negative_prompt is {self.negative_prompt!r}: use words.")
        processors = self.logits_processor
        if not isinstance(processors, list | tuple) or not all(map(callable, processors)):
            raise ConfigError(
                f"Option logits_processor is {processors!r}: use a list of LogitsProcessors, or of "
                "functions (ids, scores) -> scores."
            )
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def under(self, config: GenerationConfig | None) -> Options:
        """With what a configuration of transformers says, where the option has its default here.

        Raises:
            ConfigError: it asks for what this token loop has not, such as several beams.
        """
        if config is None:
            return self
        if not hasattr(config, "to_diff_dict"):
            raise ConfigError(f"Option generation_config is {config!r}: use a GenerationConfig.")
        said = config.to_diff_dict()
        sampled = said.pop("do_sample", False)
        said = {name: value for name, value in said.items() if name not in _SILENT}
        if unknown := sorted(set(said) - set(_SHARED)):
            raise ConfigError(
                f"Option generation_config sets {unknown[0]!r}: this model follows "
                f"{', '.join(_SHARED)} and do_sample only."
            )
        said["temperature"] = said.get("temperature", 1.0) if sampled else 0.0
        ours = {name for name in said if getattr(self, name) != getattr(Options, name)}
        return replace(self, **{name: value for name, value in said.items() if name not in ours})

    @property
    def sampling(self) -> Sampling:
        """Of words."""
        return Sampling(
            self.max_new_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            top_k=self.top_k,
            repetition_penalty=self.repetition_penalty,
            processors=tuple(self.logits_processor),
        )

    @property
    def diffusion(self) -> dict[str, Any]:
        """What every decoder is told."""
        told = {"num_inference_steps": self.num_inference_steps,
                "guidance_scale": self.guidance_scale}  # fmt: skip
        return (
            told
            if self.negative_prompt is None
            else {**told, "negative_prompt": self.negative_prompt}
        )

    def modalities(self, known: Sequence[str]) -> tuple[list[str], list[str]]:
        """(allowed, required) output modalities of those that a model knows.

        Raises:
            ConfigError: it knows one of them not.
        """
        wanted = self.output_modalities
        if isinstance(wanted, str):
            if wanted == "auto":
                return list(known), []
            wanted = [wanted]
        if not isinstance(wanted, Iterable):
            raise ConfigError(
                f"Option output_modalities is {wanted!r}: use 'auto' or a list of some of "
                f"{', '.join(known)}."
            )
        names = [name for name in wanted if name not in ("text", "none")]
        if unknown := [name for name in names if name not in known]:
            raise ConfigError(
                f"Option output_modalities names {unknown[0]!r}: use 'auto' or some of "
                f"{', '.join(known)}."
            )
        return names, names
