"""Figures: on pages light and dark, told in words, drawn while a training runs."""

from __future__ import annotations

from base64 import b64decode
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib import rc_context, rcParams
from PIL import Image, ImageColor

from nextgpt_lite.media.sheet import INK
from nextgpt_lite.notebook import plots
from nextgpt_lite.notebook.start import STYLE


def test_a_live_plot_draws_once_and_then_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def display(bundle: Any, display_id: bool = False) -> Any:
        shown.append("new")
        return SimpleNamespace(update=lambda bundle: shown.append("again"))

    monkeypatch.setattr(plots, "display", display)
    plot = plots.LivePlot(["total"], seconds=1000)
    for step in range(5):
        plot({"step": step, "total": 1 / (step + 1), "seconds_left": 4 - step})
    assert shown == ["new", "again"], "the first line and the last"


def test_a_picture_says_in_words_what_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(plots, "display", shown.append)
    plots.show_images([Image.new("RGB", (8, 8))] * 2, ["a red car", "a blue dog"])
    data, metadata = DisplayFormatter().format(shown[0])
    assert "image/png" in data
    assert metadata["image/png"]["alt"] == "2 images: a red car; a blue dog"


def luminance(colour: Any) -> float:
    """Relative, after WCAG 2."""
    rgb = np.array(ImageColor.getrgb(colour)) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_figures_are_wide_and_are_read_on_light_and_on_dark_pages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No ground of their own, words of 11 points, and colours that differ enough from both."""
    shown: list[Any] = []
    monkeypatch.setattr(plots, "display", shown.append)
    with rc_context(STYLE):
        plots.plot_losses([{"step": i, "text": 1 / (i + 1)} for i in range(9)])
        assert rcParams["font.size"] >= 11
        colours = [INK, *(each["color"] for each in rcParams["axes.prop_cycle"])]
        assert len({each["linestyle"] for each in rcParams["axes.prop_cycle"]}) == 4
    plots.show_images([Image.new("RGB", (64, 64), "red")] * 5, ["a red square"] * 5)
    for bundle in shown:
        image = Image.open(BytesIO(b64decode(bundle.data["image/png"]))).convert("RGBA")
        assert image.width >= 900
        assert image.getchannel("A").getextrema() == (0, 255)
    for colour in colours:
        for page in ("#ffffff", "#111111"):
            dark, light = sorted((luminance(colour), luminance(page)))
            assert (light + 0.05) / (dark + 0.05) >= (4.2 if colour == INK else 3)
