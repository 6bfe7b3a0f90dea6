"""How the frozen lite LLM plans: two questions, and captions that tell by their form of what."""

from __future__ import annotations

import pytest

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.evaluation.baselines import pipeline
from nextgpt_lite.evaluation.baselines.pipeline import Call, Turn
from nextgpt_lite.world.comparison.planner import WorldPlanner, calls_of_captions
from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.dialogue.parts import telling
from nextgpt_lite.world.scene import Clip, Group, Picture, Sound
from tests.tiny import tiny_model

RED_CAR = Picture((Group("car", "red"),), None, "garden")
SCENES = (RED_CAR, Sound("dog", 2, "high"), Clip("cat", "blue", "up", "small", "sky"))


@pytest.fixture(scope="module")
def model() -> NextGPT:
    return tiny_model()


def test_captions_are_called_by_the_form_they_have() -> None:
    text = " ".join(f"{caption(scene)}." for scene in SCENES).capitalize()
    assert calls_of_captions(text) == [
        Call(modality, caption(scene), telling(scene))
        for modality, scene in zip(("image", "audio", "video"), SCENES, strict=True)
    ]
    assert calls_of_captions("Two glad cars. A cat moves to the left of it.") == [
        Call("image", "two glad cars"), Call("video", "a cat moves to the left of it"),
    ]  # fmt: skip
    assert calls_of_captions("") == []


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
    planner, blue = WorldPlanner(model), "a large blue car in the garden"
    assert planner(turns) == (
        "Here is the picture.",
        [Call("image", blue, f"Here is {blue}.")],
    )  # fmt: skip
    assert asked[0][-1] == "Make it blue."
    assert asked[1] == [
        "Say what to make: Draw a car.", "A large red car in the garden.", "Hello!",
        "Hello! What would you like to see or hear?", "Say what to make: Make it blue.",
    ]  # fmt: skip
    assert planner(turns) == ("There is one car.", [])
