"""What the encoder's training is fed: captions that are wrong, labels that are right."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from nextgpt_lite.encoders import Encoder
from nextgpt_lite.model.config import locate
from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.pretraining import encoder_gather as gather
from nextgpt_lite.world.pretraining.encoder import EncoderTraining, build, encoder_loss
from nextgpt_lite.world.pretraining.encoder_data import (
    ATTRIBUTES,
    IGNORE,
    PATCH_LABELS,
    EncoderData,
    alter,
    attributes,
    centres,
    patch_labels,
    vision_inputs,
)
from nextgpt_lite.world.pretraining.encoder_losses import contrast
from nextgpt_lite.world.pretraining.encoder_scores import different_scenes, encode, top
from nextgpt_lite.world.render import render_picture, track
from nextgpt_lite.world.scene import (
    COLOURS,
    KINDS,
    RELATIONS,
    Clip,
    Group,
    Picture,
    is_held_out,
    sample_clip,
    sample_picture,
    sample_sound,
)


@pytest.mark.parametrize("sample", [sample_picture, sample_clip, sample_sound])
def test_altered_scenes_are_other_scenes_of_the_training_split(sample):
    rng = Random(0)
    for _ in range(300):
        scene = sample(rng)
        changed = alter(scene, rng)
        assert type(changed) is type(scene)
        assert attributes(changed) != attributes(scene)
        assert not is_held_out(changed)


def test_two_ways_to_say_a_relation_have_the_same_attributes():
    dog, car = Group("dog", "red"), Group("car", "blue", "small")
    one = Picture((dog, car), "left of", "street")
    other = Picture((car, dog), "right of", "street")
    assert attributes(one) == attributes(other)
    assert attributes(one) != attributes(Picture((dog, car), "right of", "street"))
    named = dict(zip(ATTRIBUTES, attributes(one), strict=True))
    assert KINDS[named["kind 1"]] == "car"
    assert named["times"] == IGNORE


def test_patch_labels_lie_where_the_things_are():
    picture = Picture((Group("apple", "red", "large", 3),))
    labels = patch_labels(picture, 5, 64, 8).view(len(PATCH_LABELS), 8, 8)
    assert int((labels[3] == 2).sum()) == 3
    covered = labels[3] > 0
    assert (labels[0][covered] == KINDS.index("apple")).all()
    assert (labels[1][covered] == COLOURS.index("red")).all()
    assert (labels[0][~covered] == IGNORE).all()
    pixels = np.asarray(render_picture(picture, 5)).astype(int)
    empty = np.asarray(render_picture(Picture((Group("apple", "red", "small", 1),)), 5)).astype(int)
    background = np.median(empty.reshape(-1, 3), axis=0)
    drawn = (np.abs(pixels - background).sum(axis=2) > 60).reshape(8, 8, 8, 8).mean(axis=(1, 3))
    assert drawn[covered.numpy()].min() > 0.2
    assert drawn[~covered.numpy()].mean() < 0.1


def test_a_clip_is_labelled_where_its_thing_begins_and_ends():
    clip = Clip("dog", "red", "left", "large", "plain")
    kinds = patch_labels(clip, 3, 64, 8)[0].view(8, 8)
    first, last = (place[:2] for place in (track(clip, 3)[0], track(clip, 3)[-1]))
    assert last[0] < first[0]
    covered = (kinds == KINDS.index("dog")).nonzero().tolist()
    assert {(y // 8, x // 8) for x, y in (first, last)} <= {(y, x) for y, x in covered}
    assert all(min(abs(8 * x + 4 - place[0]) for place in (first, last)) <= 12 for _, x in covered)


@pytest.mark.parametrize("relation", RELATIONS)
def test_a_relation_is_the_sign_of_a_difference_of_centres(relation):
    dog, car = Group("dog", "red"), Group("car", "blue", "small")
    cat = Group("cat", "pink")
    car_x, car_y, dog_x, dog_y, *third = centres(Picture((dog, car, cat), relation), 4)
    told = {"left of": car_x - dog_x, "right of": dog_x - car_x,
            "above": car_y - dog_y, "below": dog_y - car_y}  # fmt: skip
    assert max(told, key=lambda name: told[name]) == relation
    assert len(third) == 2 and not any(map(math.isnan, third))
    alone = centres(Picture((dog,)), 4)
    assert [math.isnan(value) for value in alone] == [False] * 2 + [True] * 4


def test_equal_scenes_are_no_rivals():
    items = torch.eye(3)[[0, 0, 1]]
    texts = 50 * torch.cat([items, torch.eye(3)[[2, 2, 2]]])
    assert contrast(items, texts, ("a", "a", "b")) < 1e-3
    assert contrast(items, texts, ("a", "x", "b")) > 0.3


def test_a_step_reaches_every_tensor():
    torch.manual_seed(0)
    encoder = build()
    training = EncoderTraining(encoder.model.requires_grad_(True))
    data = EncoderData(encoder.tokenize, encoder.preprocess, pictures=12, clips=6, sounds=6)
    batch = data(torch.Generator().manual_seed(0))
    again = data(torch.Generator().manual_seed(0))
    assert torch.equal(batch.sounds, again.sounds)
    assert torch.equal(batch.pictures, again.pictures)
    loss = sum(encoder_loss(training, batch, torch.Generator()).values())
    loss.backward()
    idle = [n for n, p in training.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def small_pool(monkeypatch: pytest.MonkeyPatch, folder: Path) -> gather.StatePool:
    monkeypatch.setattr(gather, "POOL", 64)
    pool = gather.StatePool(build(), folder / "states", seed=0)
    pool.grow(32)
    return pool


def test_more_blocks_change_nothing_at_first():
    encoder = build()
    deep = gather.deepen(encoder)
    pixels = torch.randn(2, 3, 2, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(encoder.model("vision", pixels), deep.model("vision", pixels))
    assert len(deep.model.modality_trunks["vision"].blocks) == gather.BLOCKS
    assert gather.deepen(deep).model.config == deep.model.config  # deep enough


def test_patches_are_asked_about_the_picture_that_was_encoded(monkeypatch, tmp_path):
    pool = small_pool(monkeypatch, tmp_path)
    encoder, batch = pool.encoder, pool.batch(Random(1), 24)
    related = 0
    for scene, labels, middles in zip(batch.scenes, batch.patches, batch.centres, strict=True):
        told, slots, counts, relations = labels
        covered = slots != IGNORE
        if not isinstance(scene, Picture):
            assert (told[covered] == KINDS.index(scene.kind)).all()
            assert (slots[covered] == 0).all()
            assert (counts == IGNORE).all()
            assert middles.isnan().all()
            continue
        kinds = sorted((KINDS.index(g.kind), g.count - 1) for g in scene.groups[:2])
        for slot, (kind, count) in enumerate(kinds):
            assert (told[slots == slot] == kind).all()
            assert (counts[slots == slot] == count).all()
            rows, columns = (slots == slot).view(8, 8).nonzero().T.float()
            seen = torch.stack([columns.mean(), rows.mean()]) / 4 - 7 / 8
            assert (seen - middles[2 * slot : 2 * slot + 2]).abs().max() < 0.25
            assert int((slots == slot).sum()) > count  # each thing covers a patch or more
        related += scene.relation is not None and bool((relations[covered] > 0).all())
    assert related > 0
    # The states are those of the picture whose patches are asked, up to the roughening.
    index = next(i for i, s in enumerate(pool.scenes) if isinstance(s, Picture))
    rng = pool.source(index)
    pixels = vision_inputs([pool.draw(rng)], [rng.getrandbits(31)], encoder.preprocess)
    x = gather.early_states(encoder.model, pixels)
    near = torch.tensor(pool.rows[:32].astype(np.float32)).sub(x).square().mean((1, 2))
    assert int(near.argmin()) == index


def test_a_step_of_the_later_blocks_reaches_them_alone(monkeypatch, tmp_path):
    pool = small_pool(monkeypatch, tmp_path)
    training = gather.GatherTraining(gather.deepen(pool.encoder).model)
    optimizer = torch.optim.SGD([p for p in training.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):  # the new blocks' last layers are zero before the first step
        optimizer.zero_grad()
        sum(
            gather.gather_loss(training, pool.batch(Random(1), 24), torch.Generator()).values()
        ).backward()
        optimizer.step()
    moved = {n for n, p in training.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {n for n, p in training.named_parameters() if p.requires_grad}
    vision = [n for n in moved if n.startswith("model.")]
    assert vision
    assert all("vision" in n for n in vision)
    assert not any(f"blocks.{n}." in name for n in range(gather.EARLY_BLOCKS) for name in vision)


@pytest.mark.parametrize("modality", ["image", "video", "audio"])
@pytest.mark.parametrize("split", ["train", "held_out"])
def test_the_shipped_encoder_finds_the_caption(modality, split):
    if modality == "audio" and split == "held_out":
        pytest.skip("no sound is held out")
    encoder = Encoder.from_pretrained(locate("lite/encoder"))
    scenes = different_scenes(modality, 60, Random(11), split)
    vectors = encode(encoder, modality, scenes, 3)  # (N, E)
    texts = encoder.encode_text([caption(scene) for scene in scenes])
    assert top(vectors @ texts.T, 5) >= 0.95
    assert top(vectors @ texts.roll(1, dims=0).T, 5) < 0.3  # a wrong pairing must not pass
