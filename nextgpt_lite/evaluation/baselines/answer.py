"""What every system gives back, and the decoders that all of them share.

Knows: an answer with the steps that led to it, and how decoders work on many answers at once.
Leaves to others: what a system says and what it hands to the decoders (`systems`, `pipeline`).

Letters: L condition length, C condition width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from nextgpt_lite.model.nextgpt import NextGPT
from nextgpt_lite.reply import Reply
from nextgpt_lite.world.scene import Scene

Messages = Sequence[dict[str, Any]]


class Step(NamedTuple):
    """One hand-over inside a system: who worked, on what, and what came out."""

    who: str
    given: str
    result: str


@dataclass
class Answer:
    """A reply, and everything that was said between the parts of a system on the way to it.

    Attributes:
        conditions: (L, C) of each media part that still waits for its decoder, else None.
    """

    reply: Reply
    conditions: list[Tensor | None] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    @property
    def media(self) -> list[dict[str, Any]]:
        """The media parts of the reply, in order."""
        return self.reply.media

    def __str__(self) -> str:
        return "\n".join(f"{s.who}: {s.given} -> {s.result}" for s in self.steps)


class System(Protocol):
    """Something that answers messages.

    Attributes:
        name: in tables.
        model: whose decoders finish its answers.
    """

    name: str
    model: NextGPT

    def draft(self, messages: Messages, wanted: Sequence[Scene] = (), seed: int = 0) -> Answer:
        """The answer before any decoder runs.

        Args:
            messages: a conversation that ends with a user turn; media stand in its parts.
            wanted: the scenes that should be shown; only upper bounds may look at them.
            seed: of whatever is drawn at random here.
        """


def answer(
    system: System,
    message: str | Messages,
    *,
    wanted: Sequence[Scene] = (),
    seed: int = 0,
    num_inference_steps: int | None = None,
) -> Answer:
    """One whole answer: words and media."""
    messages = [{"role": "user", "content": message}] if isinstance(message, str) else message
    asked = [(messages, wanted)]
    return answers(system, asked, seeds=[seed], num_inference_steps=num_inference_steps)[0]


def answers(
    system: System,
    asked: Sequence[tuple[Messages, Sequence[Scene]]],
    *,
    seeds: Sequence[int],
    num_inference_steps: int | None = None,
    batch_size: int = 16,
) -> list[Answer]:
    """Whole answers to many conversations, with the decoders working on batches.

    Medium number i of an answer begins from the noise of its seed + i, in every system and as
    `NextGPT.chat` does, so that two systems differ in their conditions alone.

    Args:
        asked: messages, and the scenes that should be shown.
        seeds: one for each of `asked`.
        num_inference_steps: of the decoders; None takes each one's own.
        batch_size: media that a decoder makes at once.
    """
    drafts = [
        system.draft(messages, wanted, seed)
        for (messages, wanted), seed in zip(asked, seeds, strict=True)
    ]
    waiting: dict[str, list[tuple[dict[str, Any], Tensor, int]]] = {}
    for done, seed in zip(drafts, seeds, strict=True):
        for index, (part, condition) in enumerate(zip(done.media, done.conditions, strict=True)):
            if condition is not None:
                waiting.setdefault(part["type"], []).append((part, condition, seed + index))
    for modality, items in waiting.items():
        parts, conditions, own_seeds = zip(*items, strict=True)
        media = system.model.decoder(modality).generate_each(
            conditions, own_seeds, batch_size, num_inference_steps=num_inference_steps
        )
        for part, medium in zip(parts, media, strict=True):
            part["data"] = medium
    for done in drafts:
        for made, part in zip(done.reply.made, done.media, strict=False):
            made.media = part["data"]
    return drafts
