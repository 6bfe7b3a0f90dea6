"""A pipeline of frozen tools: what passes between the parts is words, and every one is kept."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.evaluation.baselines import InstructedPlanner, ToolPipeline, answer, pipeline
from nextgpt_lite.evaluation.baselines.pipeline import Call, Turn, calls_between_marks
from nextgpt_lite.evaluation.protocols import Instruction
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def model() -> NextGPT:
    return tiny_model()


def scripted(*calls: Call):
    """A planner that says one thing and remembers what it was given."""

    def plan(turns):
        plan.turns = list(turns)
        return "Here you are.", list(calls)

    return plan


def test_calls_between_marks_keep_their_order() -> None:
    text = "Here. <Audio>a dog barks</Audio> and <Image> a car </Image><Image></Image> done"
    words, calls = calls_between_marks(text, ("image", "audio"))
    assert calls == [Call("audio", "a dog barks"), Call("image", "a car")]
    assert words == "Here. and done"


def test_a_pipeline_passes_words_only_and_keeps_every_one(model) -> None:
    plan = scripted(Call("image", "a car", "Here is a car."), Call("audio", "a dog barks"))
    system = ToolPipeline(model, planner=plan)
    shown = {"type": "image", "data": Image.new("RGB", (32, 32), "red")}
    asked = {"type": "text", "text": "The same <Img> but red"}
    done = answer(system, [{"role": "user", "content": [shown, asked]}], num_inference_steps=1)
    (turn,) = plan.turns
    assert turn.words.startswith("<Img> ") and turn.words.count("<Img>") == 1  # typed ones are not
    assert [step.who for step in done.steps] == ["describe", "plan", "draw", "play", "compose"]
    assert done.steps[0].result in turn.words
    assert 'draw("a car"); play("a dog barks")' in str(done)
    assert [p["type"] for p in done.reply.parts] == ["text", "image", "text", "audio"]
    assert done.reply.text == "Here is a car. Here is the sound."
    assert model.decoders["image"].asked[-1] == "a car"
    assert all(part["data"] is not None for part in done.media)


def test_without_a_tool_nothing_is_read_or_made(model) -> None:
    plan = scripted(Call("audio", "a dog barks"), Call("image", "a car"))
    system = ToolPipeline(model, ("image",), planner=plan)
    heard = [{"type": "audio", "data": None}, {"type": "text", "text": "What is it?"}]
    (done,) = system.drafts([Instruction("", [{"role": "user", "content": heard}], [])], [0])
    assert plan.turns[0].words == "What is it?"
    assert [part["type"] for part in done.media] == ["image"]
    assert [s.result for s in done.steps].count("there is no such tool") == 2


def test_the_frozen_llm_is_asked_without_what_was_trained(model) -> None:
    words = [{"role": "user", "content": "Draw a red car"}]
    before = pipeline.frozen_words(model, words)
    other = tiny_model()
    with torch.no_grad():
        for name, parameter in other.llm.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=1.0)
    assert pipeline.frozen_words(other, words) == before
    assert other.chat("Draw a red car", output_modalities=[]).text != before


def test_any_other_llm_is_told_how_to_call(model, monkeypatch) -> None:
    asked = []

    def words(_, messages):
        asked.extend(messages)
        return "Listen! <Audio>a bell</Audio>"

    monkeypatch.setattr(pipeline, "frozen_words", words)
    turns = [Turn("user", "Draw a car."), Turn("assistant", "So.", (Call("image", "a car"),))]
    planner = InstructedPlanner(model)
    assert planner([*turns, Turn("user", "Ring.")]) == ("Listen!", [Call("audio", "a bell")])
    assert "<Video>...</Video>" in asked[0]["content"]
    assert asked[-2]["content"] == "So. <Image>a car</Image>"
    assert isinstance(ToolPipeline(model).planner, InstructedPlanner)
