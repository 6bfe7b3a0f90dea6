"""Pictures and clips of the lite world: what is drawn is read back, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations
from random import Random

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from nextgpt_lite.media import Audio, Video
from nextgpt_lite.world.render import layout, render, render_clip, render_picture
from nextgpt_lite.world.scene import (
    COLOURS,
    KINDS,
    MAX_COUNT,
    MOTIONS,
    PLACES,
    RELATIONS,
    SIZES,
    Clip,
    Group,
    Picture,
    sample_clip,
    sample_picture,
)
from nextgpt_lite.world.sprites import RGB_OF, background, sprite
from nextgpt_lite.world.verify import read_picture, verify


def pictures(number: int, seed: int) -> list[Picture]:
    rng = Random(seed)
    return [sample_picture(rng, rng.choice(("train", "held_out"))) for _ in range(number)]


def clips(number: int, seed: int) -> list[Clip]:
    rng = Random(seed)
    return [sample_clip(rng, rng.choice(("train", "held_out"))) for _ in range(number)]


def share_correct(pairs: Iterator[tuple[Picture | Clip, Image.Image | Video]]) -> float:
    return float(np.mean([verify(scene, media).correct for scene, media in pairs]))


def soften(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blurs by half a pixel and adds noise of six levels, as a good generator might."""
    sigmas = (0,) * (pixels.ndim - 3) + (0.5, 0.5, 0)
    blurred = gaussian_filter(pixels.astype(np.float32), sigmas)
    return np.clip(blurred + rng.normal(0, 6, pixels.shape), 0, 255).astype(np.uint8)


def other(rng: Random, words: tuple[str, ...], word: str) -> str:
    return rng.choice([candidate for candidate in words if candidate != word])


def one_off(picture: Picture, rng: Random) -> Iterator[tuple[str, Picture]]:
    """Pictures that differ from the given one in exactly the attribute named."""
    place = rng.randrange(len(picture.groups))
    group = picture.groups[place]

    def changed(new: Group) -> Picture:
        groups = (*picture.groups[:place], new, *picture.groups[place + 1 :])
        return replace(picture, groups=groups)

    absent = [kind for kind in KINDS if kind not in {each.kind for each in picture.groups}]
    yield "kind", changed(replace(group, kind=rng.choice(absent)))
    yield "colour", changed(replace(group, colour=other(rng, COLOURS, group.colour)))
    yield "size", changed(replace(group, size=other(rng, SIZES, group.size)))
    yield "place", replace(picture, place=other(rng, PLACES, picture.place))
    if picture.relation is None:
        step = rng.choice([s for s in (-1, 1) if 1 <= group.count + s <= MAX_COUNT])
        yield "count", changed(replace(group, count=group.count + step))
    else:
        yield "relation", replace(picture, relation=other(rng, RELATIONS, picture.relation))


def test_true_pictures_are_accepted() -> None:
    scenes = pictures(300, seed=1)
    assert share_correct((p, render(p, seed)) for seed, p in enumerate(scenes)) >= 0.99


def test_true_clips_are_accepted() -> None:
    scenes = clips(300, seed=2)
    assert share_correct((c, render(c, seed)) for seed, c in enumerate(scenes)) >= 0.99


def test_softened_pictures_and_clips_are_accepted() -> None:
    noise = np.random.default_rng(0)
    soft_pictures = (
        (p, Image.fromarray(soften(np.asarray(render_picture(p, seed)), noise)))
        for seed, p in enumerate(pictures(100, seed=3))
    )
    assert share_correct(soft_pictures) >= 0.95
    soft_clips = (
        (c, Video(soften(render_clip(c, seed).frames, noise), 4.0))
        for seed, c in enumerate(clips(40, seed=4))
    )
    assert share_correct(soft_clips) >= 0.95


def test_pictures_one_attribute_off_are_rejected_for_that_attribute() -> None:
    rng = Random(5)
    accepted, blamed, tried = (
        0,
        0,
        dict.fromkeys(("kind", "colour", "size", "count", "relation", "place"), 0),
    )
    for seed, scene in enumerate(pictures(80, seed=6)):
        for attribute, shown in one_off(scene, rng):
            verdict = verify(scene, render(shown, seed))
            accepted += verdict.correct
            blamed += [name for name, holds in verdict.attributes.items() if not holds] == [
                attribute
            ]
            tried[attribute] += 1
    assert min(tried.values()) >= 15
    assert accepted <= 0.01 * sum(tried.values())
    assert blamed >= 0.99 * sum(tried.values())


def test_clips_one_attribute_off_are_rejected_for_that_attribute() -> None:
    rng = Random(7)
    words = {
        "kind": KINDS,
        "colour": COLOURS,
        "size": SIZES,
        "motion": MOTIONS,
        "place": PLACES,
    }
    for seed, clip in enumerate(clips(30, seed=8)):
        for attribute, choices in words.items():
            shown = replace(clip, **{attribute: other(rng, choices, getattr(clip, attribute))})
            verdict = verify(clip, render(shown, seed))
            assert not verdict.correct
            assert [name for name, holds in verdict.attributes.items() if not holds] == [attribute]


def test_blank_noise_and_shuffled_pixels_are_rejected() -> None:
    rng = np.random.default_rng(9)
    blank = [Image.new("RGB", (64, 64), colour) for colour in ("white", "black", "grey")]
    empty = [Image.fromarray(background(place)) for place in PLACES]
    noise = [
        Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)) for _ in range(5)
    ]  # fmt: skip
    for seed, scene in enumerate(pictures(60, seed=10)):
        pixels = np.asarray(render(scene, seed)).reshape(-1, 3)
        shuffled = Image.fromarray(rng.permutation(pixels).reshape(64, 64, 3))
        for image in (*blank, *empty, *noise, shuffled):
            assert not verify(scene, image).correct
    for seed, clip in enumerate(clips(10, seed=11)):
        frames = render_clip(clip, seed).frames
        pixels = rng.permutation(frames.reshape(-1, 3)).reshape(frames.shape)
        still = np.repeat(frames[:1], len(frames), axis=0)
        for bad in (pixels, still, np.full_like(frames, 255), frames[::-1].copy()):
            assert not verify(clip, Video(bad, 4.0)).correct


@pytest.mark.parametrize("colour", COLOURS)
def test_a_plain_blob_is_no_thing(colour: str) -> None:
    pixels = background("plain").copy()
    down, across = np.mgrid[:64, :64]
    pixels[np.hypot(down - 31.5, across - 31.5) < 8] = RGB_OF[colour]
    pixels[4:20, 4:20] = RGB_OF[colour]
    reading = read_picture(Image.fromarray(pixels))
    assert reading.things == () and not reading.clear


@pytest.mark.parametrize("side", [*range(1, 30, 2), 64])
def test_a_patch_of_any_size_is_read_without_error(side: int) -> None:
    pixels = background("sky").copy()
    pixels[:side, :side] = RGB_OF["red"]
    assert read_picture(Image.fromarray(pixels)).things == ()


def test_rendering_follows_the_seed() -> None:
    picture = Picture((Group("cat", "red", "small", 3),), None, "garden")
    clip = Clip("bird", "blue", "up", "small", "sky")
    assert render_picture(picture, 4).tobytes() == render_picture(picture, 4).tobytes()
    assert len({render_picture(picture, seed).tobytes() for seed in range(20)}) == 20
    assert np.array_equal(render_clip(clip, 4).frames, render_clip(clip, 4).frames)
    assert not np.array_equal(render_clip(clip, 4).frames, render_clip(clip, 5).frames)
    assert render_clip(clip, 4).frames.shape == (8, 64, 64, 3)


def test_things_never_touch() -> None:
    alone = Picture((Group("drum", "blue", "large", 9),), None, "table")
    for seed in range(20):
        assert len(read_picture(render_picture(alone, seed)).things) == 9


def test_every_thing_is_told_from_every_other() -> None:
    for size in SIZES:
        silhouettes = [sprite(kind, "red", size)[..., 3] > 127 for kind in KINDS]
        for first, one in enumerate(silhouettes):
            for two in silhouettes[first + 1 :]:
                assert (one & two).sum() / (one | two).sum() < 0.9


def test_two_groups_of_one_kind_are_told_by_colour_and_by_side() -> None:
    pair = (Group("cat", "red"), Group("cat", "blue"))
    image = render_picture(Picture(pair, "left of", "street"), 0)
    assert verify(Picture(pair, "left of", "street"), image).correct
    assert not verify(Picture(pair, "right of", "street"), image).attributes["relation"]


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match=r"Picture\.groups"):
        render_picture(Picture((Group("cat", "red", "small", 10),)))
    with pytest.raises(TypeError, match="Picture"):
        verify(Picture((Group("cat", "red"),)), Audio(np.zeros((1, 8), np.float32), 16000))


def test_a_picture_shows_the_relation_its_caption_tells_and_no_other() -> None:
    rng, seen = Random(12), set()
    for index in range(400):
        picture = sample_picture(rng, groups=rng.choice((2, 3)))
        if max(group.count for group in picture.groups) > 1:
            continue
        places = [place for (place,) in layout(picture, index)]
        for (i, (x, y)), (j, (u, v)) in combinations(enumerate(places), 2):
            in_line = min(abs(x - u), abs(y - v)) < 5  # pixels; cells are 21 apart
            assert in_line == (picture.relation is not None and (i, j) == (0, 1))
        seen.add((len(places), picture.relation))
    assert len(seen) == 1 + 2 * len(RELATIONS)
