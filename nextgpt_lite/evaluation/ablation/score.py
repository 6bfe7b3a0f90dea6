"""What a trained cell is asked, and what its answers are worth.

Knows: which instructions are asked. Leaves to others: the instructions and their judge (a plugin),
the answers (`evaluation.comparison`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from tqdm.auto import tqdm

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.evaluation.baselines import Chat
from nextgpt_lite.evaluation.comparison.rows import Row, judged
from nextgpt_lite.evaluation.protocols import Instruction
from nextgpt_lite.evaluation.registry import find

Count = Annotated[int, Field(gt=0)]


class ScoreSettings(BaseModel):
    """How a cell is scored.

    Attributes:
        plugin: whose instructions are asked, and whose judge says what answers are worth.
        groups: of its instructions; None takes all.
        prompts: instructions of each group and level.
        num_inference_steps: of the decoders.
        batch_size: media a decoder makes at once; fixed, for rounding depends on it.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    plugin: str = "lite"
    groups: list[str] | None = None
    prompts: Count = 100
    num_inference_steps: Count = 20
    batch_size: Count = 16

    def asked(self) -> list[Instruction]:
        """The instructions, the same for every cell and seed."""
        made: list[Instruction] = find("instructions", self.plugin)(
            self.prompts, groups=self.groups
        )
        return made


def score(model: NextGPT, settings: ScoreSettings, name: str, seed: int) -> Iterator[Row]:
    """Asks everything; yields one row an answer.

    Args:
        name: of the system, in the rows.
        seed: of its training.
    """
    asked = settings.asked()
    rows = judged(
        Chat(model, name),
        asked,
        find("judge", settings.plugin)(model),
        seed=seed,
        num_inference_steps=settings.num_inference_steps,
        batch_size=settings.batch_size,
    )
    yield from tqdm(rows, total=len(asked), desc="score", mininterval=1.0)
