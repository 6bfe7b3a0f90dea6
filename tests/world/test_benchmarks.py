"""The lite world's items, wishes and questions for the paper's tables; facts in a caption."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.evaluation.benchmarks.choices import read_mmbench, read_mme, read_seed_bench
from nextgpt_lite.evaluation.metrics.features import Features
from nextgpt_lite.world.benchmarks import choices as lite_choices
from nextgpt_lite.world.benchmarks.edits import edits
from nextgpt_lite.world.benchmarks.items import lite_items, lite_spice, sound_classes
from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import Sound
from nextgpt_lite.world.verify import verify


@pytest.fixture(scope="module")
def features(lite: NextGPT) -> Features:
    return Features.of(lite)


def test_facts_of_a_caption_by_hand() -> None:
    truth = "a large red car on the street"
    said = "a small red car in the garden"
    # car, red and one are right; size and place wrong: 3 of 5 facts on both sides
    assert lite_spice([said, truth, "hello"], [[truth]] * 3) == pytest.approx([3 / 5, 1, 0])
    sound = caption(Sound("dog", 2, "low"))
    other = caption(Sound("dog", 3, "low"))
    assert lite_spice([other], [[sound]]) == pytest.approx([2 / 3])


def test_classes_of_sound_are_told_apart(features: Features) -> None:
    sounds = [
        render(Sound(kind, 2, pitch)) for kind in ("dog", "bell") for pitch in ("low", "high")
    ]
    found = features.class_probabilities("audio", sounds, sound_classes())
    assert torch.allclose(found.sum(1), torch.ones(4), atol=1e-5)
    kinds = found.argmax(1) // 2
    assert kinds.tolist() == [2, 2, 5, 5]  # dog and bell in the world's list


def test_the_right_caption_is_nearer_to_a_picture(features: Features) -> None:
    items = lite_items("image", 6)
    pictures = features.media("image", [item.media() for item in items])
    texts = features.texts([item.captions[0] for item in items])
    assert torch.allclose(pictures.norm(dim=1), torch.ones(6), atol=1e-5)
    assert (pictures @ texts.T).argmax(1).tolist() == [*range(6)]
    assert all(len(set(item.captions)) > 1 for item in items)


def test_wishes_change_one_thing_and_masks_cover_it() -> None:
    for what in ("object", "background"):
        for wish in edits("image", 4, what):
            mask, given = wish.mask, np.asarray(wish.medium, int)
            change = np.abs(given - np.asarray(render(wish.wanted, wish.seed), int)).max(-1)
            assert change[~mask].mean() < 10 < change[mask].mean(), "what changes lies inside"
            assert 0 < mask.mean() < 1
            assert not verify(wish.wanted, wish.medium).correct
    (clip,) = edits("video", 1)
    assert clip.mask.shape == (8, 64, 64)
    (sound,) = edits("audio", 1)
    assert sound.wanted != sound.given and "er." in sound.words


def test_lite_questions_go_through_the_real_formats(tmp_path: Path) -> None:
    mme = read_mme(lite_choices.write_mme(tmp_path / "mme", 2))
    assert len(mme) == 16 and {c.category for c in mme} == set(lite_choices.MME_TASKS)
    assert [c.answer for c in mme[:2]] == [0, 1] and mme[0].question != mme[1].question
    mmbench = read_mmbench(lite_choices.write_mmbench(tmp_path / "m.tsv", 3))
    assert len(mmbench) == 12 and {c.category for c in mmbench} == set(lite_choices.ABILITIES)
    seed_bench = read_seed_bench(lite_choices.write_seed_bench(tmp_path / "s.json", 2))
    assert {c.category for c in seed_bench} == set(lite_choices.TYPES)
    assert {c.modality for c in seed_bench} == {"image", "video"}
    for choice in (*mmbench, *seed_bench):
        assert len(set(choice.options)) == 4
    assert len({c.answer for c in mmbench}) > 1, "the right answer must not keep its letter"
