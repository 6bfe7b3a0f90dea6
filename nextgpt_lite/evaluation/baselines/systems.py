"""NExT-GPT as a system among others, what no system over these decoders can beat, whole answers.

Knows: the end-to-end model, captions as messenger, gold captions, the truth; how the decoders that
all systems share finish their drafts. Leaves to others: the pipeline of tools (`pipeline`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.sources import medium
from nextgpt_lite.evaluation.protocols import Answer, Instruction, Step, System
from nextgpt_lite.evaluation.registry import find, has, register
from nextgpt_lite.messages import Message, Part
from nextgpt_lite.model.conversation import content_parts
from nextgpt_lite.reply import Reply
from nextgpt_lite.turn import decode_each, drafts

NAMES = {
    "signal": "end-to-end", "caption": "caption messenger", "caption-states": "caption states",
}  # fmt: skip


class Chat:
    """The model itself: one LLM that sees the media and hands over what it was trained to.

    With signal tokens it is the paper's NExT-GPT; with captions, its NExT-GPT-caption.

    Args:
        name: in tables; None says what the messenger is.
    """

    def __init__(self, model: NextGPT, name: str | None = None) -> None:
        self.model = model
        self.name = name or NAMES[model.config.messenger]

    def drafts(self, asked: Sequence[Instruction], seeds: Sequence[int]) -> list[Answer]:
        """See `System.drafts`."""
        replies = drafts(self.model, [one.messages for one in asked], seeds=seeds)
        return [
            Answer(reply, [made.condition for made in reply.made], self._steps(one, reply))
            for one, reply in zip(asked, replies, strict=True)
        ]

    def _steps(self, one: Instruction, reply: Reply) -> list[Step]:
        steps = [Step("LLM", words_of(one.messages[-1]), reply.text)]
        for made in reply.made:
            names = self.model.llm.describe_ids(made.block.ids)
            tokens = f"{names[0]} .. {names[-1]}"
            if self.model.config.messenger != "signal":
                tokens = self.model.llm.tokenizer.decode(made.block.ids)
            steps.append(Step(f"{made.block.modality} decoder", tokens, made.block.modality))
        return steps


@register("system", "own words")
class OwnWords(Chat):
    """The model's own words re-encoded: what it says of a medium, through the text encoder.

    It needs no training of its own, and differs from `Chat` in its conditions alone: what it gets
    right and signal tokens do not was understood, and lost on the way.
    """

    def __init__(self, model: NextGPT, name: str = "own words") -> None:
        super().__init__(model, name)
        profile = model.config.profile
        self.read = find("captions", profile) if has("captions", profile) else _sentence

    def drafts(self, asked: Sequence[Instruction], seeds: Sequence[int]) -> list[Answer]:
        """See `System.drafts`."""
        found = super().drafts(asked, seeds)
        for done in found:
            told: list[str] = []
            for part, caption in self._captions(done.reply.parts):
                part["caption"] = caption
                told.append(caption)
                done.conditions[len(told) - 1] = self.model.decoder(part["type"]).encode_text(
                    [caption]
                )[0]  # (L, C)
                done.steps.append(Step("text encoder", caption, part["type"]))
        return found

    def _captions(self, parts: Sequence[Part]) -> Iterator[tuple[Any, str]]:
        """Each medium with the first caption before it that no other took, else the last one."""
        waiting, last = list[str](), ""
        for part in parts:
            if part["type"] == "text":
                waiting += self.read(part["text"])
                continue
            last = waiting.pop(0) if waiting else last
            yield part, last


def _sentence(text: str) -> list[str]:
    return [text.strip().rstrip(".")]


class _Bound:
    """Says what is true, and shows what its kind makes of the truth."""

    name = ""

    def __init__(self, model: NextGPT) -> None:
        self.model = model

    def drafts(self, asked: Sequence[Instruction], seeds: Sequence[int]) -> list[Answer]:
        """See `System.drafts`."""
        return [self._draft(one) for one in asked]

    def _draft(self, one: Instruction) -> Answer:
        done = Answer(Reply([]))
        for part in one.truth:
            kept: Any = {k: v for k, v in part.items() if k not in ("source", "path")}
            done.reply.parts.append(kept)
            if part["type"] != "text":
                done.conditions.append(None)
                self._show(kept, part, done)
        return done

    def _show(self, kept: dict[str, Any], part: Any, done: Answer) -> None:
        raise NotImplementedError


@register("system", "gold caption")
class GoldCaption(_Bound):
    """Upper bound of messengers that are words: the true caption through the text encoder."""

    name = "gold caption"

    def _show(self, kept: dict[str, Any], part: Any, done: Answer) -> None:
        caption, modality = part["caption"], part["type"]
        done.conditions[-1] = self.model.decoder(modality).encode_text([caption])[0]  # (L, C)
        done.steps.append(Step("text encoder", caption, modality))


@register("system", "ground truth")
class GroundTruth(_Bound):
    """Upper bound of every decoder: the true medium itself."""

    name = "ground truth"

    def _show(self, kept: dict[str, Any], part: Any, done: Answer) -> None:
        kept["data"] = medium(part)
        done.steps.append(Step("the truth", part["caption"], part["type"]))


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
    waiting = [
        (part, condition, seed + index)
        for done, seed in zip(drafts, seeds, strict=True)
        for index, (part, condition) in enumerate(zip(done.media, done.conditions, strict=True))
        if condition is not None
    ]
    decode_each(system.model, waiting, batch_size, num_inference_steps=num_inference_steps)
    for done in drafts:
        for made, part in zip(done.reply.made, done.media, strict=False):
            made.media = part["data"]
    return drafts


def share_frozen(owner: NextGPT, *others: NextGPT) -> None:
    """Gives other models of the same configuration the encoder and decoders of the first.

    Frozen parts are the same in all of them; this saves loading and keeping them again.
    """
    for modality in owner.config.conditions:
        owner.decoder(modality)
    for other in others:
        other._modules["encoder"] = owner.encoder
        other.decoders = owner.decoders


def words_of(message: Message) -> str:
    """The words of a message, media as their modality in brackets."""
    parts = content_parts(message)
    return " ".join(p["text"] if p["type"] == "text" else f"[{p['type']}]" for p in parts)
