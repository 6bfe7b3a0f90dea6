"""Systems over the same frozen parts: what passes between the parts, and who may look at what."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from nextgpt_lite.evaluation.baselines import (
    Chat,
    GoldCaption,
    GroundTruth,
    InstructedPlanner,
    ToolPipeline,
    WorldPlanner,
    answer,
    answers,
    pipeline,
    share_frozen,
)
from nextgpt_lite.evaluation.baselines.pipeline import (
    Call,
    Turn,
    calls_between_marks,
    calls_of_captions,
)
from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.scene import Clip, Group, Picture, Sound
from nextgpt_lite.world.verify import verify
from tests.tiny import tiny_model

RED_CAR = Picture((Group("car", "red"),), None, "garden")
SCENES = (RED_CAR, Sound("dog", 2, "high"), Clip("cat", "blue", "up", "small", "sky"))


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def scripted(*calls: Call):
    """A planner that says one thing and remembers what it was given."""

    def plan(turns):
        plan.turns = list(turns)
        return "Here you are.", list(calls)

    return plan


def test_captions_are_called_by_the_form_they_have() -> None:
    text = " ".join(f"{caption(scene)}." for scene in SCENES).capitalize()
    assert calls_of_captions(text) == [
        Call(modality, caption(scene))
        for modality, scene in zip(("image", "audio", "video"), SCENES, strict=True)
    ]
    assert calls_of_captions("Two glad cars. A cat moves to the left of it.") == [
        Call("image", "two glad cars"), Call("video", "a cat moves to the left of it"),
    ]  # fmt: skip
    assert calls_of_captions("") == []


def test_calls_between_marks_keep_their_order() -> None:
    text = "Here. <Audio>a dog barks</Audio> and <Image> a car </Image><Image></Image> done"
    words, calls = calls_between_marks(text)
    assert calls == [Call("audio", "a dog barks"), Call("image", "a car")]
    assert words == "Here. and done"


def test_a_medium_comes_from_its_own_seed_in_whatever_batch(model) -> None:
    decoder = model.decoder("image")
    conditions, seeds = decoder.encode_text(["one", "two", "three"]), [5, 6, 7]
    together = decoder.generate_each(conditions, seeds, 2, num_inference_steps=1)
    alone = [
        decoder.generate(
            condition[None], num_inference_steps=1, generator=torch.Generator().manual_seed(seed)
        )[0]
        for condition, seed in zip(conditions, seeds, strict=True)
    ]
    assert [picture.tobytes() for picture in together] == [p.tobytes() for p in alone]


def test_a_pipeline_passes_words_only_and_keeps_every_one(model) -> None:
    plan = scripted(Call("image", caption(RED_CAR)), Call("audio", "a dog barks"))
    system = ToolPipeline(model, planner=plan)
    shown = {"type": "image", "data": Image.new("RGB", (32, 32), "red")}
    asked = {"type": "text", "text": "The same <Img> but red"}
    done = answer(system, [{"role": "user", "content": [shown, asked]}], num_inference_steps=1)
    (turn,) = plan.turns
    assert turn.words.startswith("<Img> ") and turn.words.count("<Img>") == 1  # typed ones are not
    assert [step.who for step in done.steps] == ["describe", "plan", "draw", "play", "compose"]
    assert done.steps[0].result in turn.words
    assert f'draw("{caption(RED_CAR)}"); play("a dog barks")' in str(done)
    assert [p["type"] for p in done.reply.parts] == ["text", "image", "text", "audio"]
    assert done.reply.text == "Here is a large red car in the garden. Here is the sound."
    assert model.decoders["image"].asked[-1] == caption(RED_CAR)
    assert all(part["data"] is not None for part in done.media)


def test_without_a_tool_nothing_is_read_or_made(model) -> None:
    plan = scripted(Call("audio", "a dog barks"), Call("image", "a car"))
    system = ToolPipeline(model, ("image",), planner=plan)
    heard = [{"type": "audio", "data": None}, {"type": "text", "text": "What is it?"}]
    done = system.draft([{"role": "user", "content": heard}])
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


def test_the_world_planner_asks_twice_and_only_when_media_are_announced(model, monkeypatch) -> None:
    asked = []
    said = iter(["Here is the picture.", "A large blue car in the garden.", "There is one car."])

    def words(_, messages):
        asked.append([message["content"] for message in messages])
        return next(said)

    monkeypatch.setattr(pipeline, "frozen_words", words)
    turns = [
        Turn("user", "Draw a car."),
        Turn("assistant", "Here it is.", (Call("image", caption(RED_CAR)),)),
        Turn("user", "Hello!"),
        Turn("assistant", "Hello! What would you like to see or hear?"),
        Turn("user", "Make it blue."),
    ]
    planner = WorldPlanner(model)
    assert planner(turns) == (
        "Here is the picture.", [Call("image", "a large blue car in the garden")],
    )  # fmt: skip
    assert asked[0][-1] == "Make it blue."
    assert asked[1] == [
        "Say what to make: Draw a car.", "A large red car in the garden.", "Hello!",
        "Hello! What would you like to see or hear?", "Say what to make: Make it blue.",
    ]  # fmt: skip
    assert planner(turns) == ("There is one car.", [])


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


def test_upper_bounds_show_what_is_wanted(model) -> None:
    done = answer(GroundTruth(model), "anything", wanted=SCENES)
    for scene, part in zip(SCENES, done.media, strict=True):
        assert verify(scene, part["data"]).correct
    done = answer(GoldCaption(model), "anything", wanted=SCENES, num_inference_steps=1)
    assert [model.decoders[p["type"]].asked[-1] for p in done.media] == [
        caption(scene) for scene in SCENES
    ]


def test_a_batch_answers_as_the_model_alone(model) -> None:
    system = Chat(model)
    asked = [([{"role": "user", "content": words}], ()) for words in ("Draw", "Show", "Play")]
    batch = answers(system, asked, seeds=[0, 1, 2], num_inference_steps=1)
    for done, (messages, _), seed in zip(batch, asked, range(3), strict=True):
        alone = model.chat(messages, seed=seed, num_inference_steps=1)
        assert alone.text == done.reply.text
        assert [p["type"] for p in alone.parts] == [p["type"] for p in done.reply.parts]
    assert Chat(tiny_model(messenger="caption")).name == "caption messenger"


def test_frozen_parts_are_shared(model) -> None:
    other = tiny_model(messenger="caption")
    share_frozen(model, other)
    assert other.encoder is model.encoder
    assert other.decoder("image") is model.decoder("image")
