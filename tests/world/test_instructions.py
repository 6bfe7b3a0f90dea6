"""Instructions with their truth, and the files that keep them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from nextgpt_lite.evaluation.protocols import Instruction
from nextgpt_lite.world.comparison.aspects import scenes_told
from nextgpt_lite.world.comparison.instruction_files import (
    scene_record,
    write_instructions,
)
from nextgpt_lite.world.comparison.instructions import GROUPS, LEVELS, instructions
from nextgpt_lite.world.dialogue.parts import modality_of
from nextgpt_lite.world.scene import Group, Picture, is_held_out

COUNT = 24
CAR = Picture((Group("car", "red"),), None, "garden")
TWO = Picture((Group("dog", "blue"), Group("cat", "red", "small")), "left of", "sky")


@pytest.fixture(scope="module")
def made() -> list[Instruction]:
    return instructions(COUNT)


def test_every_group_level_skill_and_split_has_its_share(made) -> None:
    counted = Counter((one.group, one.level) for one in made)
    assert counted == {(group, level): COUNT for group in GROUPS for level in LEVELS}
    skills = Counter((one.group, one.about["skill"]) for one in made if one.level == "complex")
    for group in GROUPS:
        shares = [count for (name, _), count in skills.items() if name == group]
        assert max(shares) - min(shares) <= 1
    assert {"numeration", "spatial", "attributes", "reference", "input", "long"} == {
        skill for group, skill in skills if group == "image"
    }
    for level in LEVELS:
        splits = Counter(one.about["split"] for one in made if one.level == level)
        assert min(splits.values()) >= 0.4 * COUNT * len(GROUPS)
    assert {one.about["length"] for one in made if one.level == "complex"} == {"short", "long"}
    assert len({one.id for one in made}) == len(made)


def test_what_is_wanted_is_what_the_group_says(made) -> None:
    for one in made:
        scenes = [part["scene"] for part in one.wanted]
        kinds = [modality_of(scene) for scene in scenes]
        assert kinds == [part["type"] for part in one.wanted]
        assert {"several": len(kinds) > 1, "none": not kinds}.get(one.group, kinds == [one.group])
        assert one.messages[-1]["role"] == "user" and one.prompt
        media = [p for m in one.messages for p in m["content"] if p["type"] != "text"]
        if one.about["skill"] == "input":
            assert [p for p in one.messages[0]["content"] if p["type"] != "text"]
        if one.level == "simple":
            assert len(one.messages) == 1 and not media
        if one.about["split"] == "train":
            assert not any(is_held_out(scene) for scene in scenes)
        assert scenes == scenes_told(one.words)


def test_a_larger_set_begins_with_the_smaller(made) -> None:
    few = instructions(5, groups=("audio", "none"))
    by_id = {one.id: one for one in made}
    assert all(by_id[one.id] == one for one in few) and len(few) == 20
    assert instructions(5, seed=1, groups=("audio",)) != few[:10]


def test_a_file_has_a_line_an_instruction_and_equal_bytes(made, tmp_path: Path) -> None:
    for name in ("a.jsonl", "b.jsonl"):
        write_instructions(tmp_path / name, made)
    text = (tmp_path / "a.jsonl").read_text()
    assert text == (tmp_path / "b.jsonl").read_text()
    for one, line in zip(made, map(json.loads, text.splitlines()), strict=True):
        assert (line["id"], line["prompt"], line["words"]) == (one.id, one.prompt, one.words)
        told = [line, *line["also"]] if one.wanted else []
        assert [scene["modality"] for scene in told] == [part["type"] for part in one.wanted]
        assert len(line["messages"]) == len(one.messages)


def test_a_scene_is_told_as_geneval_does() -> None:
    record = scene_record(TWO)
    assert record["tag"] == "position"
    assert record["include"][1] == {
        "class": "cat", "count": 1, "color": "red", "size": "small", "position": ["right of", 0],
    }  # fmt: skip
    assert record["exclude"] == [{"class": "dog", "count": 2}, {"class": "cat", "count": 2}]
    assert scene_record(Picture((Group("car", "red", count=3),)))["tag"] == "counting"
