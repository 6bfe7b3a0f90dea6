"""Words between frozen tools, as HuggingGPT and Visual-ChatGPT work (paper appendices G and H).

Knows: which tools there are, how a plan is read, and every word that passes between the parts.
Leaves to others: what the tools are made of (encoder, LLM and decoders of a `NextGPT`), and
running decoders (`answer`).

One request goes through four steps, none of which was trained for this job:

1. describe: a captioner (the model after stage 1 or later) turns each medium given into words;
2. plan: a text-only LLM, the frozen base without LoRA or token rows, reads words only and says
   in words which media to make and what they should show;
3. execute: each call goes through the text encoder of its decoder;
4. compose: the words of the calls, each before what it gave, become the reply.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import torch

from nextgpt_lite.chat import drafts
from nextgpt_lite.evaluation.baselines.answer import Answer, Messages, Step
from nextgpt_lite.model.conversation import content_parts
from nextgpt_lite.model.generation import Prompt, Sampling, generate
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.model.nextgpt import NextGPT
from nextgpt_lite.reply import Reply
from nextgpt_lite.world import phrases
from nextgpt_lite.world.describe import parse
from nextgpt_lite.world.dialogue.corpus import RESTATE
from nextgpt_lite.world.dialogue.parts import modality_of, sentence, telling, text_part
from nextgpt_lite.world.dialogue.wordings import BRIEF, DESCRIBE
from nextgpt_lite.world.scene import Scene

TOOLS = {"image": "draw", "audio": "play", "video": "film"}
MAX_CALLS = 4
MAX_WORDS = 96  # tokens that the planner may write
_ANNOUNCED = re.compile(r"(Here (is|are|you are|they are)\b|Listen:|Watch:)")
_MOVES = tuple(way[0] for ways in phrases.MOTION_WORDS.values() for way in ways)


class Call(NamedTuple):
    """A tool and its argument, both chosen by the planner."""

    modality: str
    caption: str

    def __str__(self) -> str:
        return f'{TOOLS[self.modality]}("{self.caption}")'


class Turn(NamedTuple):
    """A message in words: given media are captions between markers, made ones are calls."""

    role: str
    words: str
    calls: tuple[Call, ...] = ()


class Planner(Protocol):
    """Decides in words what is answered and which tools are called."""

    def __call__(self, turns: Sequence[Turn]) -> tuple[str, list[Call]]:
        """The reply in words and the calls, for turns that end with the user's."""


class WorldPlanner:
    """The frozen lite LLM, asked in the two forms it knows from its pretraining.

    Asked plainly, it announces media ("Here is ...") or answers in words: that is its decision.
    If it announces some, it is asked what to make, and answers with one caption for each medium;
    a caption of the lite world says by its form whether it is of a picture, a sound or a clip.
    """

    def __init__(self, model: NextGPT) -> None:
        self.model = model

    def __call__(self, turns: Sequence[Turn]) -> tuple[str, list[Call]]:
        """See `Planner`."""
        plain = [{"role": turn.role, "content": turn.words} for turn in turns]
        words = frozen_words(self.model, plain)
        if not _ANNOUNCED.match(words):
            return words, []
        restated = []
        for turn, following in zip(turns, [*turns[1:], None], strict=True):
            asks = turn.role == "user" and (following is None or following.calls)
            content = (RESTATE if asks else "") + turn.words
            if turn.calls:
                content = " ".join(sentence(call.caption) for call in turn.calls)
            restated.append({"role": turn.role, "content": content})
        return words, calls_of_captions(frozen_words(self.model, restated))


class InstructedPlanner:
    """Any chat LLM, told in its first turn how to call the tools and shown one example.

    Not measured with a public checkpoint; the lite LLM has never read such an instruction.
    """

    INSTRUCTION = (
        "You can show pictures, sounds and clips by calling tools. To call one, write what it "
        "should show between marks: {marks}. Call a tool only where the user wants to see or hear "
        "something. Text between {given} tells what the user has given you."
    )

    def __init__(self, model: NextGPT) -> None:
        self.model = model
        marks = (row.caption_marks() for row in MODALITIES.values())
        given = (f"{row.open} and {row.close}" for row in MODALITIES.values())
        self.instruction = self.INSTRUCTION.format(
            marks=", ".join(f"{opening}...{closing}" for opening, closing in marks),
            given=", or ".join(given),
        )

    def __call__(self, turns: Sequence[Turn]) -> tuple[str, list[Call]]:
        """See `Planner`."""
        messages = [
            {"role": "user", "content": f"{self.instruction} Draw a cat that runs in a garden."},
            {"role": "assistant", "content": "Here it is. " + marked(Call("image", "a cat running "
                                                                          "in a garden"))},
        ]  # fmt: skip
        for turn in turns:
            calls = "".join(f" {marked(call)}" for call in turn.calls)
            messages.append({"role": turn.role, "content": turn.words + calls})
        return calls_between_marks(frozen_words(self.model, messages))


class ToolPipeline:
    """Media to words, words to a plan, calls to media.

    Args:
        model: gives encoder, base LLM and decoders.
        tools: modalities that can be described and made; ("image",) is Visual-ChatGPT's.
        captioner: describes what the user gives, for instance the model after stage 1.
        planner: None takes `WorldPlanner` for the lite LLM and `InstructedPlanner` for any other.
        name: in tables.
    """

    def __init__(
        self,
        model: NextGPT,
        tools: Sequence[str] = tuple(MODALITIES),
        captioner: NextGPT | None = None,
        planner: Planner | None = None,
        name: str | None = None,
    ) -> None:
        self.model, self.tools = model, tuple(tools)
        self.captioner = captioner or model
        if planner is None:
            planner = (
                WorldPlanner(model) if model.config.profile == "lite" else InstructedPlanner(model)
            )
        self.planner = planner
        self.name = name or ("tool pipeline" if len(self.tools) > 1 else "image tools only")

    def draft(self, messages: Messages, wanted: Sequence[Scene] = (), seed: int = 0) -> Answer:
        """See `System.draft`."""
        steps: list[Step] = []
        turns = [self._turn(message, steps) for message in messages]
        words, calls = self.planner(turns)
        steps.append(Step("plan", turns[-1].words, "; ".join(map(str, calls)) or "no call"))
        made = [call for call in calls if call.modality in self.tools][:MAX_CALLS]
        conditions, parts = [], []
        for call in made:
            condition = self.model.decoder(call.modality).encode_text([call.caption])[0]  # (L, C)
            conditions.append(condition)
            steps.append(Step(TOOLS[call.modality], call.caption, call.modality))
            parts.append({"type": call.modality, "caption": call.caption})
        for call in calls[:MAX_CALLS]:
            if call not in made:
                steps.append(Step(TOOLS[call.modality], call.caption, "there is no such tool"))
        reply = Reply([text_part(words)]) if not made else Reply(_composed(made, parts))
        steps.append(Step("compose", words, reply.text))
        return Answer(reply, [*conditions], steps)

    def _turn(self, message: dict[str, Any], steps: list[Step]) -> Turn:
        """A message in words alone."""
        parts = content_parts(message)
        if message["role"] == "assistant":
            words = " ".join(part["text"] for part in parts if part["type"] == "text")
            shown = (part for part in parts if part["type"] != "text")
            return Turn("assistant", words, tuple(Call(p["type"], p["caption"]) for p in shown))
        pieces = []
        for part in parts:
            if part["type"] == "text":
                pieces.append(self.model.conversation.harmless(part["text"].strip()))
                continue
            words = self._described(part) if part["type"] in self.tools else ""
            result = words or "there is no such tool"
            steps.append(Step("describe", f"[{part['type']}]", result))
            row = MODALITIES[part["type"]]
            if words:
                pieces.append(f"{row.open} {words}{row.close}")
        return Turn("user", " ".join(piece for piece in pieces if piece))

    def _described(self, part: dict[str, Any]) -> str:
        """A caption of what the user gives, without the mark at its end."""
        question = DESCRIBE[part["type"]]["train"][1]
        content = [part, text_part(question)]
        asked = [{"role": "user", "content": content}]
        (reply,) = drafts(self.captioner, [asked], output_modalities=[], max_new_tokens=48)
        said = self.model.conversation.harmless(reply.text).rstrip(".")
        return said[:1].lower() + said[1:]


@torch.inference_mode()
def frozen_words(model: NextGPT, messages: list[dict[str, Any]]) -> str:
    """What the base LLM answers without anything that was trained here.

    Args:
        messages: whose content is a string; markers in it are markers.
    """
    text = model.conversation.render(messages, True)
    ids = model.llm.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    with model.llm.peft.disable_adapter():
        prompt = Prompt(model.llm.embed(ids.to(model.device))[0])
        said = [word for _, word in generate(model.llm, [prompt], Sampling(MAX_WORDS))]
    return model.conversation.decode([word for word in said if isinstance(word, int)]).strip()


def calls_of_captions(text: str) -> list[Call]:
    """Captions of the lite world, one a sentence, each to the tool that its form asks for."""
    sentences = (piece.strip(" .") for piece in re.split(r"(?<=[.?!])\s+", text))
    captions = [piece[:1].lower() + piece[1:] for piece in sentences if piece]
    return [Call(_modality(words), words) for words in captions]


def calls_between_marks(text: str) -> tuple[str, list[Call]]:
    """The words outside the marks, and a call for each pair of marks with words inside."""
    found: list[tuple[int, Call]] = []
    for modality, row in MODALITIES.items():
        opening, closing = map(re.escape, row.caption_marks())
        pattern = re.compile(f"{opening}(.*?){closing}", re.DOTALL)
        matches = list(pattern.finditer(text))
        found += [(m.start(), Call(modality, m[1].strip())) for m in matches if m[1].strip()]
        text = pattern.sub(lambda m: " " * len(m[0]), text)  # positions stay
    return " ".join(text.split()), [call for _, call in sorted(found)]


def marked(call: Call) -> str:
    """A call as `calls_between_marks` reads it."""
    opening, closing = MODALITIES[call.modality].caption_marks()
    return f"{opening}{call.caption}{closing}"


def _modality(words: str) -> str:
    scene = parse(words)
    if scene is not None:
        return modality_of(scene)
    if "pitch" in words.split():
        return "audio"
    return "video" if any(f" {moves}" in words for moves in _MOVES) else "image"


def _composed(calls: Sequence[Call], media: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Words before each medium: what was called for, where it can be told in a sentence."""
    parts: list[dict[str, Any]] = []
    for call, part in zip(calls, media, strict=True):
        scene = parse(call.caption)
        words = telling(scene) if scene is not None else BRIEF[call.modality][0]
        parts += [text_part(words), part]
    return parts
