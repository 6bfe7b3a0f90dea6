"""The lite world as a source: what it draws, how it is told apart, media that render on demand."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from nextgpt_lite.data.sources import Source
from nextgpt_lite.training.stages import STAGES
from nextgpt_lite.world import rendered
from nextgpt_lite.world.dialogue.parts import assistant
from nextgpt_lite.world.mixture import WorldMixture
from nextgpt_lite.world.plain import plain_messages
from nextgpt_lite.world.rendered import Rendered
from nextgpt_lite.world.scene import Group, Picture

CAR = Picture((Group("car", "red"), Group("dog", "black")), "left of")


def test_the_plugin_gives_it() -> None:
    from nextgpt_lite.world import plugin

    made = plugin.source(STAGES[2], 5)
    assert isinstance(made, Source)
    assert made(3) == WorldMixture(STAGES[2], 5)(3) != WorldMixture(STAGES[2], 6)(3)


def test_it_is_told_apart_by_seed_and_stage_whatever_renders_it(monkeypatch) -> None:
    def identity(stage: int, seed: int) -> str:
        return WorldMixture(STAGES[stage], seed).identity()

    known = identity(1, 0)
    assert len({known, identity(1, 1), identity(2, 0), identity(3, 0)}) == 4
    monkeypatch.setattr(rendered, "_renderer", lambda: "another renderer")
    assert identity(1, 0) == known


def test_a_scene_s_medium_is_named_by_scene_variant_and_renderer(monkeypatch) -> None:
    one, same, other = Rendered(CAR), Rendered(CAR, 0), Rendered(CAR, 1)
    assert one.key == same.key != other.key
    assert np.array_equal(one.open(), same.open())
    assert not np.array_equal(one.open(), other.open())
    before = one.key
    monkeypatch.setattr(rendered, "_renderer", lambda: "another renderer")
    assert one.key != before


def test_messages_with_scenes_become_json() -> None:
    mixture = WorldMixture(STAGES[3], 0)
    for index in range(40):
        assert json.dumps(plain_messages(mixture(index).messages))
    car = plain_messages([assistant("Here it is.", CAR)])[0]["content"][1]
    assert car["scene"]["scene_type"] == "Picture"
    assert car["scene"]["groups"][0]["kind"] == "car"
    assert "source" not in car


def test_prompts_show_media_in_stage_1_and_ask_for_some_later() -> None:
    first, later = (WorldMixture(STAGES[stage]).prompts() for stage in (1, 2))
    shown = [[part["type"] for part in asked[0]["content"]] for asked in first]
    assert shown == [["image", "text"], ["audio", "text"], ["video", "text"]]
    assert all(isinstance(asked[0]["content"], str) for asked in later)


def test_pairs_show_a_picture_twice_as_often_as_a_sound_or_a_clip() -> None:
    mixture = WorldMixture(STAGES[1], 0)
    shown = [p["type"] for i in range(400) for p in mixture(i).messages[0]["content"]]
    counts = {name: shown.count(name) for name in ("image", "audio", "video")}
    assert sum(counts.values()) == 400
    assert 160 < counts["image"] < 240
    assert min(counts["audio"], counts["video"]) > 70


def test_some_dialogues_of_stage_3_give_a_medium_and_wish_for_another_at_once() -> None:
    mixture = WorldMixture(STAGES[3], 0)
    talks = [record for record in map(mixture, range(600)) if record.kind == "mosit"]
    at_once = [record for record in talks if len(record.messages) == 2]
    assert 0.12 < len(at_once) / len(talks) < 0.28
    for record in at_once:
        for message in record.messages:
            assert any(part["type"] != "text" for part in message["content"])


def test_captions_show_pictures_twice_as_often_and_many_kinds_often() -> None:
    """The most captions there are are of three kinds; drawn as in dialogues, one in twenty was."""
    mixture = WorldMixture(replace(STAGES[3], mixture={"caption": 1.0}), 0)
    scenes = [mixture(index).messages[-1]["content"][-1]["scene"] for index in range(400)]
    groups = [len(scene.groups) for scene in scenes if isinstance(scene, Picture)]
    assert 160 <= len(groups) <= 240
    assert 0.2 <= groups.count(3) / len(groups) <= 0.4
    assert all(mixture(index).kind == "caption" for index in range(40)), "nobody types a caption"
