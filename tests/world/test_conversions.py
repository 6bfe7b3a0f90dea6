"""Figure 5: what a conversion keeps, and the grid of all."""

from __future__ import annotations

from random import Random

import pytest

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.reply import Reply
from nextgpt_lite.world.benchmarks import conversions
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import Clip, Group, Picture, Sound


def conversion(given: str, wanted: tuple[str, ...]) -> conversions.Conversion:
    return conversions.Conversion(given, Clip("dog", "blue", "left"), "", wanted)


def reply(text: str = "", **media: object) -> Reply:
    shown = [{"type": name, "data": medium} for name, medium in media.items()]
    return Reply([{"type": "text", "text": text}, *shown])


def test_a_conversion_is_scored_by_what_it_keeps() -> None:
    right = render(Picture((Group("dog", "blue"),)))
    pale = render(Picture((Group("dog", "red"),)))
    bark, meow = render(Sound("dog")), render(Sound("cat"))
    both = conversion("video", ("image", "audio"))
    assert conversions.score(both, reply(image=right, audio=bark)) == 10
    assert conversions.score(both, reply(image=right)) == 5.5, "half of it is missing"
    assert conversions.score(both, reply(image=pale, audio=meow)) == pytest.approx(
        1 + 9 * (2 / 3) / 2
    )
    alone = conversion("audio", ("image",))
    assert conversions.score(alone, reply(image=pale)) == 10, "a sound has no colour"
    assert conversions.score(alone, reply(image=pale, audio=bark)) == 5.5, "nobody asked for it"
    told = conversion("text", ("text",))
    assert conversions.score(told, reply("It barks.")) == 10
    assert conversions.score(told, reply("It rings.")) == 1


def test_the_grid_asks_for_every_cell_and_draws_it(lite: NextGPT) -> None:
    found = conversions.grid(
        lite, 1, given=("text", "image"), wanted=(("text",), ("image", "audio")),
        num_inference_steps=2,
    )  # fmt: skip
    assert [*found] == [(g, w) for g in ("text", "image") for w in (("text",), ("image", "audio"))]
    assert all(1 <= cell.low <= cell.mean <= cell.high <= 10 for cell in found.values())
    drawn = conversions.figure(found)
    assert [axes.get_ylabel() for axes in drawn.axes] == ["text in", "image in"]
    rng = Random(0)
    for given in conversions.GIVEN:
        for wanted in conversions.WANTED:
            words = conversions.conversions(given, wanted, 2, rng.randrange(9))
            assert all("{" not in each.words for each in words)
