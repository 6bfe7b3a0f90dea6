"""The shipped model in all 4 x 4 directions, judged by the world's verifiers, and on real files."""

from __future__ import annotations

import statistics
from pathlib import Path
from random import Random

import pytest

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.reply import Reply
from nextgpt_lite.turn import drafts
from nextgpt_lite.world.describe import tells
from nextgpt_lite.world.dialogue.parts import modality_of, user
from nextgpt_lite.world.judge import with_media
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import Clip, Group, Picture, Scene, Sound, sample_scene
from nextgpt_lite.world.verify import verify

CAR = Picture((Group("car", "blue"),), None, "street")
BARK = Sound("dog", 2, "low")
FLIGHT = Clip("bird", "yellow", "up", "large", "sky")
SHOWN: dict[str, Scene | None] = {"text": None, "image": CAR, "audio": BARK, "video": FLIGHT}

# (input, output): the request, and the scene the reply must show or tell.
RED_APPLE = Picture((Group("apple", "red"),), None, "garden")
RED_CAR = Picture((Group("car", "red"),), None, "street")
DRIVE = Clip("car", "blue", "left", "large", "street")
DIRECTIONS: dict[tuple[str, str], tuple[str, Scene | str]] = {
    ("text", "text"): ("What sound does a dog make?", "bark"),
    ("text", "image"): ("Show me a large red apple in the garden.", RED_APPLE),
    ("text", "audio"): ("Play three high meows of a cat.", Sound("cat", 3, "high")),
    ("text", "video"): ("Show me a clip of a green car moving left.", Clip("car", "green", "left")),
    ("image", "text"): ("What is in the picture?", CAR),
    ("image", "image"): ("Draw it in red.", RED_CAR),
    ("image", "audio"): ("Let me hear it.", Sound("car")),
    ("image", "video"): ("Make it move left.", DRIVE),
    ("audio", "text"): ("What do you hear?", BARK),
    ("audio", "image"): ("Draw it.", Picture((Group("dog", "orange"),))),
    ("audio", "audio"): ("Make it higher.", Sound("dog", 2, "high")),
    ("audio", "video"): ("Show me a clip of it.", Clip("dog", "orange", "right")),
    ("video", "text"): ("What does this video show?", FLIGHT),
    ("video", "image"): ("Draw it.", Picture((Group("bird", "yellow"),), None, "sky")),
    ("video", "audio"): ("Let me hear it.", Sound("bird")),
    ("video", "video"): ("Now the opposite.", Clip("bird", "yellow", "down", "large", "sky")),
}  # fmt: skip

SCENES = 20  # given in each direction


def ask(model: NextGPT, given: str, request: str) -> Reply:
    """One turn with the scene of that modality, rendered, before the words."""
    scene = SHOWN[given]
    media = {} if scene is None else {f"{given}s": [render(scene, 5)]}
    return model.chat(request, num_inference_steps=10, seed=1, **media)


@pytest.fixture(scope="module")
def replies(lite: NextGPT) -> dict[tuple[str, str], Reply]:
    return {
        direction: ask(lite, direction[0], request)
        for direction, (request, _) in DIRECTIONS.items()
    }


@pytest.fixture(scope="module")
def shares(lite: NextGPT) -> dict[tuple[str, str], float]:
    """For each direction the share of replies in its modality, over `SCENES` scenes given."""
    found = {}
    for given, wanted in DIRECTIONS:
        rng = Random(f"{given} {wanted}")
        scenes = [sample_scene(given, rng) for _ in range(SCENES)] if given != "text" else [None]
        request = DIRECTIONS[given, wanted][0]
        asked = [[with_media(user(request, *([scene] if scene else [])))] for scene in scenes]
        expected = [] if wanted == "text" else [wanted]
        replies = drafts(lite, asked)
        assert all(reply.text for reply in replies)
        right = [[part["type"] for part in reply.media] == expected for reply in replies]
        found[given, wanted] = sum(right) / len(right)
    return found


@pytest.mark.parametrize("direction", DIRECTIONS, ids="->".join)
def test_a_direction_answers_in_its_modality(
    replies: dict[tuple[str, str], Reply],
    shares: dict[tuple[str, str], float],
    direction: tuple[str, str],
) -> None:
    reply, wanted = replies[direction], direction[1]
    assert reply.text
    made = [part["type"] for part in reply.media]
    assert made == ([] if wanted == "text" else [wanted]), reply.text
    assert shares[direction] >= 0.8


def test_hardly_any_reply_is_in_another_modality(shares: dict[tuple[str, str], float]) -> None:
    assert statistics.fmean(shares.values()) >= 0.96


def right(reply: Reply, truth: Scene | str) -> bool:
    """Whether a reply shows, or in words tells, the whole truth."""
    if isinstance(truth, str):
        return truth in reply.text
    if not reply.media:
        return tells(reply.text, truth)
    made = reply.media[0]
    return made["type"] == modality_of(truth) and verify(truth, made["data"]).correct


def test_directions_right_in_every_attribute_do_not_become_fewer(
    replies: dict[tuple[str, str], Reply],
) -> None:
    wrong = [d for d, (_, truth) in DIRECTIONS.items() if not right(replies[d], truth)]
    assert len(wrong) <= 5, {direction: replies[direction].text for direction in wrong}


def test_a_reply_repeats_exactly(lite: NextGPT, replies: dict[tuple[str, str], Reply]) -> None:
    again = ask(lite, "text", DIRECTIONS["text", "image"][0])
    assert again.text == replies["text", "image"].text
    assert again.images[0].tobytes() == replies["text", "image"].images[0].tobytes()


def test_four_modalities_in_one_reply(lite: NextGPT) -> None:
    reply = lite.chat(
        "I want to see, watch and hear a large red car.",
        output_modalities=["image", "video", "audio"],
        num_inference_steps=10,
    )
    assert {part["type"] for part in reply.parts} == {"text", "image", "video", "audio"}


def test_real_files_go_in_and_an_answer_comes_out(lite: NextGPT, official_samples: Path) -> None:
    files = {
        "images": sorted(official_samples.glob("cc3m/images/*")),
        "audios": sorted(official_samples.glob("audiocap/audios/*")),
        "videos": sorted(official_samples.glob("webvid/videos/*")),
    }
    assert [len(paths) for paths in files.values()] == [6, 6, 6]
    for name, paths in files.items():
        for path in paths:
            reply = lite.chat("What is this?", output_modalities=[], **{name: [path]})
            assert isinstance(reply.text, str), path
    every = {name: paths[:1] for name, paths in files.items()}
    assert lite.chat("What are these?", output_modalities=[], **every).parts
