"""Sliders over images: all of them on a sheet, one at a time by hand."""

from __future__ import annotations

import io
from typing import Any

import ipywidgets as widgets
import pytest
from PIL import Image

from nextgpt_lite.notebook import sliders as module


def test_every_choice_is_drawn_once_and_the_sliders_choose_among_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[int, int]] = []
    shown: list[Any] = []
    sheets: list[tuple[Any, ...]] = []
    monkeypatch.setattr(module, "display", shown.append)
    monkeypatch.setattr(module, "show_images", lambda *given, **more: sheets.append((given, more)))

    def draw(red: int, green: int) -> Image.Image:
        asked.append((red, green))
        return Image.new("RGB", (4, 4), (red, green, 0))

    drawn = module.explore(draw, red=(0, 100, 200), green=(10, 20))
    assert sorted(asked) == sorted(drawn) == [(r, g) for r in (0, 100, 200) for g in (10, 20)]
    (((images, titles), more),) = sheets
    assert titles[2:4] == ["red 200, green 10", "red 0, green 20"]
    assert more == {"columns": 3}, "a row for each value of the last name"
    assert images[4].getpixel((0, 0)) == (100, 20, 0)

    (box,) = shown
    red, green, picture = box.children
    assert isinstance(red, widgets.SelectionSlider)
    first = picture.value
    red.value, green.value = 200, 20
    assert Image.open(io.BytesIO(picture.value)).convert("RGB").getpixel((0, 0)) == (200, 20, 0)
    assert picture.value != first
    assert len(asked) == 6, "a slider draws nothing anew"

    module.explore(lambda red: draw(red, 0), red=(1, 2))
    assert sheets[-1][1] == {"columns": None}, "one slider's images stand in rows, not in a column"
