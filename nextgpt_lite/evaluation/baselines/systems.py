"""NExT-GPT as a system among others, and what no system over these decoders can beat.

Knows: the end-to-end model, captions as messenger, gold captions, true renders. Leaves to others:
the pipeline of tools (`pipeline`), running decoders (`answer`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nextgpt_lite.chat import drafts
from nextgpt_lite.evaluation.baselines.answer import Answer, Messages, Step
from nextgpt_lite.model.conversation import content_parts
from nextgpt_lite.model.nextgpt import NextGPT
from nextgpt_lite.reply import Reply
from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.dialogue.parts import media_part, telling, text_part
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import Scene

NAMES = {"signal": "end-to-end", "caption": "caption messenger"}


class Chat:
    """The model itself: one LLM that sees the media and hands over what it was trained to.

    With signal tokens it is the paper's NExT-GPT; with captions, its NExT-GPT-caption.

    Args:
        name: in tables; None says what the messenger is.
    """

    def __init__(self, model: NextGPT, name: str | None = None) -> None:
        self.model = model
        self.name = name or NAMES[model.config.messenger]

    def draft(self, messages: Messages, wanted: Sequence[Scene] = (), seed: int = 0) -> Answer:
        """See `System.draft`."""
        (reply,) = drafts(self.model, [messages], seeds=seed)
        steps = [Step("LLM", words_of(messages[-1]), reply.text)]
        for made in reply.made:
            names = self.model.llm.describe_ids(made.block.ids)
            tokens = f"{names[0]} .. {names[-1]}"
            if self.model.config.messenger == "caption":
                tokens = self.model.llm.tokenizer.decode(made.block.ids)
            steps.append(Step(f"{made.block.modality} decoder", tokens, made.block.modality))
        return Answer(reply, [made.condition for made in reply.made], steps)


class GoldCaption:
    """Upper bound of messengers that are words: the true caption through the text encoder."""

    name = "gold caption"

    def __init__(self, model: NextGPT) -> None:
        self.model = model

    def draft(self, messages: Messages, wanted: Sequence[Scene] = (), seed: int = 0) -> Answer:
        """See `System.draft`."""
        reply = _presenting(wanted)
        conditions = [
            self.model.decoder(part["type"]).encode_text([part["caption"]])[0]
            for part in reply.parts
            if part["type"] != "text"
        ]
        steps = [
            Step("text encoder", caption(scene), part["type"])
            for scene, part in zip(wanted, reply.parts[1::2], strict=True)
        ]
        return Answer(reply, [*conditions], steps)


class GroundTruth:
    """Upper bound of every decoder: the scene itself, rendered."""

    name = "ground truth"

    def __init__(self, model: NextGPT) -> None:
        self.model = model

    def draft(self, messages: Messages, wanted: Sequence[Scene] = (), seed: int = 0) -> Answer:
        """See `System.draft`."""
        reply = _presenting(wanted)
        for scene, part in zip(wanted, reply.parts[1::2], strict=True):
            part["data"] = render(scene, seed)
        steps = [Step("renderer", caption(scene), type(scene).__name__) for scene in wanted]
        return Answer(reply, [None] * len(wanted), steps)


def share_frozen(owner: NextGPT, *others: NextGPT) -> None:
    """Gives other models of the same configuration the encoder and decoders of the first.

    Frozen parts are the same in all of them; this saves loading and keeping them again.
    """
    for modality in owner.config.conditions:
        owner.decoder(modality)
    for other in others:
        other._modules["encoder"] = owner.encoder
        other.decoders = owner.decoders


def words_of(message: dict[str, Any]) -> str:
    """The words of a message, media as their modality in brackets."""
    parts = content_parts(message)
    return " ".join(p["text"] if p["type"] == "text" else f"[{p['type']}]" for p in parts)


def _presenting(scenes: Sequence[Scene]) -> Reply:
    """A reply that tells each scene in words and then shows it, its media still missing."""
    parts: list[dict[str, Any]] = []
    for scene in scenes:
        parts += [text_part(telling(scene)), media_part(scene)]
    return Reply(parts)
