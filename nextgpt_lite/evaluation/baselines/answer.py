"""Whole answers of a system: the decoders that all systems share finish its drafts.

Knows: how decoders work on many answers at once. Leaves to others: what a system says and what it
hands to the decoders (`systems`, `pipeline`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from nextgpt_lite.evaluation.protocols import Answer, Instruction, System
from nextgpt_lite.messages import Message, Part


def answer(
    system: System,
    message: str | Sequence[Message],
    *,
    truth: Sequence[Part] = (),
    seed: int = 0,
    num_inference_steps: int | None = None,
) -> Answer:
    """One whole answer: words and media.

    Args:
        truth: the parts of a true answer, for upper bounds.
    """
    if isinstance(message, str):
        message = [{"role": "user", "content": message}]
    asked = [Instruction("", message, truth)]
    return answers(system, asked, seeds=[seed], num_inference_steps=num_inference_steps)[0]


def answers(
    system: System,
    asked: Sequence[Instruction],
    *,
    seeds: Sequence[int],
    num_inference_steps: int | None = None,
    batch_size: int = 16,
) -> list[Answer]:
    """Whole answers to many conversations, with the decoders working on batches.

    Medium number i of an answer begins from the noise of its seed + i, in every system and as
    `NextGPT.chat` does, so that two systems differ in their conditions alone.

    Args:
        seeds: one for each of `asked`.
        num_inference_steps: of the decoders; None takes each one's own.
        batch_size: media that a decoder makes at once.
    """
    drafts = system.drafts([one.opened() for one in asked], seeds)
    waiting: dict[str, list[tuple[Any, Tensor, int]]] = {}
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
