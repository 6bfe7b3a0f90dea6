"""Systems over the same frozen parts: their answers, in whatever batch, and who sees the truth."""

from __future__ import annotations

from random import Random

import pytest
import torch

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.evaluation.baselines import (
    Chat,
    GoldCaption,
    GroundTruth,
    OwnWords,
    answer,
    answers,
    share_frozen,
    systems,
)
from nextgpt_lite.evaluation.protocols import Instruction
from nextgpt_lite.evaluation.registry import find
from nextgpt_lite.reply import Made, Reply
from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.dialogue.parts import present, telling
from nextgpt_lite.world.scene import Clip, Group, Picture, Sound
from nextgpt_lite.world.verify import verify
from tests.tiny import tiny_model

RED_CAR = Picture((Group("car", "red"),), None, "garden")
SCENES = (RED_CAR, Sound("dog", 2, "high"), Clip("cat", "blue", "up", "small", "sky"))


@pytest.fixture(scope="module")
def model() -> NextGPT:
    return tiny_model()


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


def test_upper_bounds_show_what_is_wanted(model) -> None:
    truth = present(SCENES, Random(), True)["content"]
    done = answer(GroundTruth(model), "anything", truth=truth)
    assert done.reply.text == " ".join(telling(scene) for scene in SCENES)
    for scene, part in zip(SCENES, done.media, strict=True):
        assert verify(scene, part["data"]).correct
    done = answer(GoldCaption(model), "anything", truth=truth, num_inference_steps=1)
    assert [model.decoders[p["type"]].asked[-1] for p in done.media] == [
        caption(scene) for scene in SCENES
    ]


def test_own_words_go_through_the_text_encoder_in_their_order(model, monkeypatch) -> None:
    """The model's own blocks, but each with the condition of what was said before it."""
    said = "Here is a large red car in the garden. Listen: A dog barks twice in a high pitch."
    reply = Reply([{"type": "text", "text": said}, {"type": "image"}, {"type": "audio"}])
    reply.made = [Made(None, torch.zeros(1)), Made(None, torch.zeros(1))]
    monkeypatch.setattr(systems.Chat, "_steps", lambda *_: [])
    monkeypatch.setattr(systems, "drafts", lambda *_, **__: [reply])
    system = OwnWords(model)
    assert system.read("It is red.") == ["It is red"], "a world that has no reader of its own"
    system.read = find("captions", "lite")
    (done,) = system.drafts([Instruction("", [{"role": "user", "content": ""}], [])], [0])
    told = [part["caption"] for part in done.media]
    assert told == ["a large red car in the garden", "a dog barks twice in a high pitch"]
    for part, condition in zip(done.media, done.conditions, strict=True):
        wanted = model.decoder(part["type"]).encode_text([part["caption"]])[0]
        assert torch.equal(condition, wanted)


def test_a_batch_answers_as_the_model_alone(model) -> None:
    system = Chat(model)
    asked = [
        Instruction(words, [{"role": "user", "content": words}], [])
        for words in ("Draw", "Show", "Play")
    ]
    batch = answers(system, asked, seeds=[0, 1, 2], num_inference_steps=1)
    for done, one, seed in zip(batch, asked, range(3), strict=True):
        alone = model.chat(one.messages, seed=seed, num_inference_steps=1)
        assert alone.text == done.reply.text
        assert [p["type"] for p in alone.parts] == [p["type"] for p in done.reply.parts]
    assert Chat(tiny_model(messenger="caption")).name == "caption messenger"


def test_frozen_parts_are_shared(model) -> None:
    other = tiny_model(messenger="caption")
    share_frozen(model, other)
    assert other.encoder is model.encoder
    assert other.decoder("image") is model.decoder("image")
