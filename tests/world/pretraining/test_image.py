"""The scenes that the image decoder learns from."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from nextgpt_lite.world.pretraining import image
from nextgpt_lite.world.scene import Picture, is_held_out


def sort_of(scene) -> str:
    if not isinstance(scene, Picture):
        return "frame of a clip"
    match len(scene.groups), scene.relation is not None, scene.groups[0].count > 1:
        case 1, _, several:
            return "several alike" if several else "one thing"
        case 2, related, _:
            return "two in a relation" if related else "two kinds"
    return "three kinds"


@pytest.mark.parametrize("sort", image.SCENE_MIX)
def test_what_the_mix_asks_for_is_drawn(sort, monkeypatch):
    rng, found = Random(5), Counter()
    for _ in range(600):
        scene = image.draw_scene(rng)
        assert not is_held_out(scene)
        found[sort_of(scene)] += 1
    assert abs(found[sort] / 600 - image.SCENE_MIX[sort]) < 0.05
    monkeypatch.setattr(image, "SCENE_MIX", {sort: 1.0})
    assert {sort_of(image.draw_scene(rng)) for _ in range(20)} == {sort}
