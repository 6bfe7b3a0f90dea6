"""What an answer is worth, read by the world's verifiers."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import numpy as np
import pytest
from PIL import Image

from nextgpt_lite.encoders import Encoder
from nextgpt_lite.evaluation.baselines import Answer, GroundTruth, answer
from nextgpt_lite.evaluation.metrics.features import Features
from nextgpt_lite.evaluation.protocols import Instruction
from nextgpt_lite.media import Audio, Video
from nextgpt_lite.model.config import locate
from nextgpt_lite.reply import Reply
from nextgpt_lite.world.comparison.aspects import Judge, scene_read
from nextgpt_lite.world.comparison.instructions import instruction, instructions
from nextgpt_lite.world.dialogue.parts import assistant, modality_of, present
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import Clip, Group, Picture, Sound
from nextgpt_lite.world.sprites import background
from nextgpt_lite.world.verify import verify
from tests.tiny import tiny_model

CAR = Picture((Group("car", "red"),), None, "garden")
TWO = Picture((Group("dog", "blue"), Group("cat", "red", "small")), "left of", "sky")


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(Features(Encoder.from_pretrained(locate("lite/encoder")), "lite"))


def told(words: str, *media) -> Answer:
    parts: list[dict] = [{"type": "text", "text": words}]
    kinds = {Image.Image: "image", Audio: "audio"}
    for medium in media:
        kind = next((name for cls, name in kinds.items() if isinstance(medium, cls)), "video")
        parts.append({"type": kind, "data": medium})
    return Answer(Reply(parts))


def wanting(*scenes, words: str = "") -> Instruction:
    answer = present(scenes, Random(), True) if scenes else assistant(words)
    return instruction("x", "image", "simple", "named", "train", [], answer)


def test_the_truth_is_worth_everything(judge) -> None:
    system = GroundTruth(tiny_model())
    for one in instructions(1):
        if one.wanted:
            worth = judge.worth(one, answer(system, one.messages, truth=one.truth))
            assert worth["following"] == worth["rationality"] == 100
            assert worth["quality"] > 60


def test_one_attribute_off_costs_a_share_of_following_and_all_of_rationality(judge) -> None:
    blue = render(Picture((Group("car", "blue"),), None, "garden"), 3)
    worth = judge.worth(wanting(CAR), told("Here is the picture.", blue))
    assert worth["following"] == pytest.approx(100 * 5 / 6)  # kind, size, count, place, words
    assert worth["rationality"] == 0 and worth["quality"] > 60
    lie = told("Here is a large blue car in the garden.", render(CAR, 3))
    assert judge.worth(wanting(CAR), lie)["following"] == pytest.approx(100 * 5 / 6)


def test_missing_and_added_media_cost(judge) -> None:
    bark, picture = render(Sound("dog", 2), 1), render(CAR, 3)
    nothing = judge.worth(wanting(CAR), told("Here is the picture."))
    assert {nothing[aspect] for aspect in judge.aspects} == {0}
    added = judge.worth(wanting(CAR), told("Here they are.", picture, bark))
    assert (added["following"], added["rationality"]) == (50, 0)
    half = judge.worth(wanting(CAR, Sound("dog", 2)), told("Here they are.", picture))
    assert (half["following"], half["rationality"]) == (50, 0) and half["quality"] < 60


def test_what_words_tell_is_a_caption_and_right_in_all_or_not(judge) -> None:
    picture = render(TWO, 3)
    said = "Here is a large red car in the garden."
    worth = judge.worth(wanting(CAR), told(said, picture))
    assert (worth["told"], worth["told_right"]) == ("a large red car in the garden", 100)
    assert worth["rationality"] == 0, "it was understood, and lost on the way"
    assert judge.worth(wanting(CAR, TWO), told(said, picture))["told_right"] == 0
    assert judge.worth(wanting(CAR), told("Here it is.", picture))["told"] == ""
    assert judge.worth(wanting(words="Hello!"), told("Hello!"))["told_right"] == 100


def two(worth: Mapping[str, float]) -> tuple[float, float]:
    return worth["following"], worth["rationality"]


def test_words_alone(judge) -> None:
    right = judge.worth(wanting(words="Hello!"), told("Hello!"))
    assert two(right) == (100, 100) and np.isnan(right["quality"])
    assert two(judge.worth(wanting(words="Hello!"), told("Goodbye!"))) == (100, 0)
    assert two(judge.worth(wanting(words="Hello!"), told("Hello!", render(CAR)))) == (0, 0)


@pytest.mark.parametrize("scene", [CAR, Sound("bell", 2, "high"), Clip("dog", "red", "left")])
def test_quality_falls_with_noise_whatever_was_asked_for(judge, scene) -> None:
    random = np.random.default_rng(9)
    modality, medium = modality_of(scene), render(scene, 12)

    def quality(amount: float) -> float:
        spoiled = medium
        if modality == "audio":
            noise = random.normal(0, 0.1, medium.samples.shape)
            mixed = (1 - amount) * medium.samples + amount * noise
            spoiled = Audio(mixed.astype(np.float32), medium.rate)
        else:
            frames = np.asarray(medium) if modality == "image" else medium.frames
            mixed = (1 - amount) * frames + amount * random.integers(0, 256, frames.shape)
            pixels = mixed.astype(np.uint8)
            spoiled = Image.fromarray(pixels) if modality == "image" else Video(pixels, 4.0)
        return judge.quality(modality, spoiled, verify(scene, spoiled))

    true, spoiled, noise = quality(0.0), quality(0.12), quality(1.0)
    assert true > 85 and true >= spoiled >= noise == 0
    other = {"image": Sound("dog"), "audio": CAR, "video": CAR}[modality]
    assert judge.quality(modality, medium, verify(scene, medium)) == true
    assert scene_read(verify(other, render(other)).found) == other


def test_nothing_is_made_well_by_showing_nothing(judge) -> None:
    empty = Image.fromarray(np.asarray(background("garden")).astype(np.uint8))
    assert judge.worth(wanting(CAR), told("Here is the picture.", empty))["quality"] == 0
