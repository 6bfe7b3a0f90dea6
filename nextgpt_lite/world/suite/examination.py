"""What every examination is given, and what it gives back.

Knows: the model, how many prompts, steps, seeds. Leaves to others: the examinations,
their order and what is kept of them (`run`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

import torch
from torch import Tensor

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.decoders.base import Decoder
from nextgpt_lite.media import Media
from nextgpt_lite.model.device import bf16_is_fast
from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.dialogue.parts import modality_of
from nextgpt_lite.world.scene import Scene
from nextgpt_lite.world.suite.contact import Tile
from nextgpt_lite.world.suite.rows import Row
from nextgpt_lite.world.verify import Verdict, verify

T = TypeVar("T")
MEDIA = {"image": 32, "audio": 32, "video": 4}  # made at once, as a CPU likes best


@dataclass(frozen=True)
class Judged:
    """A medium and what the verifier says of it."""

    scene: Scene
    media: Media
    verdict: Verdict

    def holds(self, *names: str) -> bool:
        """Whether these attributes are as asked for."""
        return all(self.verdict.attributes[name] for name in names)

    def tile(self, *names: str) -> Tile:
        """Its place on a sheet, right where these attributes (none: all) are."""
        right = self.holds(*names) if names else self.verdict.correct
        wrong = [name for name, holds in self.verdict.attributes.items() if not holds]
        return Tile(caption(self.scene) + (f" ({', '.join(wrong)})" if wrong else ""),
                    self.media, right)  # fmt: skip


def judge_all(scenes: Sequence[Scene], media: Sequence[Media]) -> list[Judged]:
    """Each medium against its scene."""
    return [Judged(s, m, verify(s, m)) for s, m in zip(scenes, media, strict=True)]


def make(
    decoder: Decoder, conditions: Sequence[Tensor], seeds: Sequence[int], steps: int | None = None
) -> list[Media]:
    """The media of conditions (L, C), each from its own seed as `chat` makes them, but in bfloat16
    where that is faster."""
    device = decoder.device
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16_is_fast(device)):
        size = MEDIA[decoder.modality]
        return [*decoder.generate_each(conditions, seeds, size, num_inference_steps=steps)]


@dataclass
class Examiner:
    """The model under examination and the numbers of it.

    Attributes:
        count: prompts of each row.
        steps: of sampling.
        seed: far from those of training.
        kept: what one examination found and another can use.
    """

    model: NextGPT
    count: int
    steps: int = 20
    seed: int = 1_000_000
    kept: dict[str, Any] = field(default_factory=dict)

    def draws(self, name: str, draw: Callable[[Random], T], count: int | None = None) -> list[T]:
        """`count` drawings, the i-th from a seed of its own, so that it does not depend on how many
        there are."""
        number = self.count if count is None else count
        return [draw(Random(f"{self.seed}/{name}/{index}")) for index in range(number)]

    def decoded(
        self, scenes: Sequence[Scene], conditions: Sequence[Tensor] | None = None
    ) -> list[Judged]:
        """Media of scenes of one modality, the i-th from the i-th seed, and what they show.

        Args:
            conditions: (L, C) each; None takes those of the canonical captions.
        """
        decoder = self.model.decoder(modality_of(scenes[0]))
        if conditions is None:
            conditions = [*decoder.encode_text([caption(scene) for scene in scenes])]
        seeds = [self.seed + index for index in range(len(scenes))]
        return judge_all(scenes, make(decoder, conditions, seeds, self.steps))


@dataclass
class Found:
    """The rows of an examination, and the media behind them by the name of their sheet."""

    rows: list[Row]
    sheets: dict[str, list[Tile]] = field(default_factory=dict)


@dataclass(frozen=True)
class Examination:
    """One or several rows that are measured together.

    Attributes:
        parts: whose files the rows depend on: "llm", "encoder", a modality, "model" (what learns).
    """

    parts: tuple[str, ...]
    run: Callable[[Examiner], Found]
