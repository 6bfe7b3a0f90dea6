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
from functools import partial
from typing import Any, Literal, NamedTuple, Protocol

import torch

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.evaluation.protocols import Answer, Instruction, Step, noun
from nextgpt_lite.evaluation.registry import find, has, register
from nextgpt_lite.messages import Message, Part
from nextgpt_lite.model.conversation import content_parts
from nextgpt_lite.model.generation import Prompt, Sampling, generate
from nextgpt_lite.model.modality import get_modality
from nextgpt_lite.options import Options
from nextgpt_lite.reply import Reply
from nextgpt_lite.turn import drafts

TOOLS = {"image": "draw", "audio": "play", "video": "film"}  # any other is called "make"
MAX_CALLS = 4
MAX_WORDS = 96  # tokens that the planner may write


class Call(NamedTuple):
    """A tool and its argument, both chosen by the planner, and the words to say before it."""

    modality: str
    caption: str
    words: str = ""

    @property
    def tool(self) -> str:
        """What the tool is called."""
        return TOOLS.get(self.modality, "make")

    def __str__(self) -> str:
        return f'{self.tool}("{self.caption}")'


class Turn(NamedTuple):
    """A message in words: given media are captions between markers, made ones are calls."""

    role: Literal["system", "user", "assistant"]
    words: str
    calls: tuple[Call, ...] = ()


class Planner(Protocol):
    """Decides in words what is answered and which tools are called."""

    def __call__(self, turns: Sequence[Turn]) -> tuple[str, list[Call]]:
        """The reply in words and the calls, for turns that end with the user's."""


class InstructedPlanner:
    """Any chat LLM, told in its first turn how to call the tools and shown one example.

    Not measured with a public checkpoint; the lite LLM has never read such an instruction.
    """

    INSTRUCTION = (
        "You can show {tools} by calling tools. To call one, write what it should show between "
        "marks: {marks}. Call a tool only where the user wants to see or hear something. Text "
        "between {given} tells what the user has given you."
    )

    def __init__(self, model: NextGPT) -> None:
        self.model, self.names = model, tuple(model.config.conditions)
        rows = [get_modality(name) for name in self.names]
        marks = (row.caption_marks() for row in rows)
        self.instruction = self.INSTRUCTION.format(
            tools=", ".join(f"{noun(row.name)}s" for row in rows),
            marks=", ".join(f"{opening}...{closing}" for opening, closing in marks),
            given=", or ".join(f"{row.open} and {row.close}" for row in rows),
        )

    def __call__(self, turns: Sequence[Turn]) -> tuple[str, list[Call]]:
        """See `Planner`."""
        messages: list[Message] = [
            {"role": "user", "content": f"{self.instruction} Draw a cat that runs in a garden."},
            {"role": "assistant", "content": "Here it is. " + marked(Call("image", "a cat running "
                                                                          "in a garden"))},
        ]  # fmt: skip
        for turn in turns:
            calls = "".join(f" {marked(call)}" for call in turn.calls)
            messages.append({"role": turn.role, "content": turn.words + calls})
        return calls_between_marks(frozen_words(self.model, messages), self.names)


class ToolPipeline:
    """Media to words, words to a plan, calls to media.

    Args:
        model: gives encoder, base LLM and decoders.
        tools: modalities that can be described and made; None takes all of the model's,
            ("image",) is Visual-ChatGPT's.
        captioner: describes what the user gives, for instance the model after stage 1.
        planner: None takes that of the plugin called like the model's profile, else
            `InstructedPlanner`.
        name: in tables.
    """

    def __init__(
        self,
        model: NextGPT,
        tools: Sequence[str] | None = None,
        captioner: NextGPT | None = None,
        planner: Planner | None = None,
        name: str | None = None,
    ) -> None:
        self.model, self.tools = model, tuple(model.config.conditions if tools is None else tools)
        self.captioner = captioner or model
        if planner is None:
            profile = model.config.profile
            own = has("planner", profile)
            planner = (find("planner", profile) if own else InstructedPlanner)(model)
        self.planner: Planner = planner
        self.name = name or ("tool pipeline" if len(self.tools) > 1 else "image tools only")

    def drafts(self, asked: Sequence[Instruction], seeds: Sequence[int]) -> list[Answer]:
        """See `System.drafts`."""
        return [self._draft(one) for one in asked]

    def _draft(self, one: Instruction) -> Answer:
        done = Answer(Reply([]))
        turns = [self._turn(message, done.steps) for message in one.messages]
        words, calls = self.planner(turns)
        done.steps.append(Step("plan", turns[-1].words, "; ".join(map(str, calls)) or "no call"))
        made = [call for call in calls if call.modality in self.tools][:MAX_CALLS]
        for call in made:
            condition = self.model.decoder(call.modality).encode_text([call.caption])[0]  # (L, C)
            done.conditions.append(condition)
            done.steps.append(Step(call.tool, call.caption, call.modality))
            said = call.words or f"Here is the {noun(call.modality)}."
            done.reply.parts += [
                {"type": "text", "text": said},
                {"type": call.modality, "caption": call.caption},
            ]
        for call in calls[:MAX_CALLS]:
            if call not in made:
                done.steps.append(Step(call.tool, call.caption, "there is no such tool"))
        if not made:
            done.reply.parts.append({"type": "text", "text": words})
        done.steps.append(Step("compose", words, done.reply.text))
        return done

    def _turn(self, message: Message, steps: list[Step]) -> Turn:
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
            row = get_modality(part["type"])
            if words:
                pieces.append(f"{row.open} {words}{row.close}")
        return Turn("user", " ".join(piece for piece in pieces if piece))

    def _described(self, part: Any) -> str:
        """A caption of what the user gives, without the mark at its end."""
        question: Part = {"type": "text", "text": f"Describe the {noun(part['type'])}."}
        asked: list[Message] = [{"role": "user", "content": [part, question]}]
        (reply,) = drafts(self.captioner, [asked], options=Options([], max_new_tokens=48))
        said = self.model.conversation.harmless(reply.text).rstrip(".")
        return said[:1].lower() + said[1:]


register("system", "tool pipeline")(ToolPipeline)
register("system", "image tools only")(partial(ToolPipeline, tools=("image",)))


@torch.inference_mode()
def frozen_words(model: NextGPT, messages: list[Message]) -> str:
    """The reply of the base LLM alone, without adapters and new token rows.

    Args:
        messages: whose content is a string; markers in it are markers.
    """
    text = model.conversation.render(messages, True)
    ids = model.llm.tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    with model.llm.peft.disable_adapter():
        prompt = Prompt(model.llm.embed(ids.to(model.device))[0])
        said = [word for _, word in generate(model.llm, [prompt], Sampling(MAX_WORDS))]
    return model.conversation.decode([word for word in said if isinstance(word, int)]).strip()


def calls_between_marks(text: str, names: Sequence[str]) -> tuple[str, list[Call]]:
    """The words outside the marks, and a call for each pair of marks with words inside."""
    found: list[tuple[int, Call]] = []
    for modality in names:
        opening, closing = map(re.escape, get_modality(modality).caption_marks())
        pattern = re.compile(f"{opening}(.*?){closing}", re.DOTALL)
        matches = list(pattern.finditer(text))
        found += [(m.start(), Call(modality, m[1].strip())) for m in matches if m[1].strip()]
        text = pattern.sub(lambda m: " " * len(m[0]), text)  # positions stay
    return " ".join(text.split()), [call for _, call in sorted(found)]


def marked(call: Call) -> str:
    """A call as `calls_between_marks` reads it."""
    opening, closing = get_modality(call.modality).caption_marks()
    return f"{opening}{call.caption}{closing}"
