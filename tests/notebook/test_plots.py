"""A plot that is drawn while a training runs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.formatters import DisplayFormatter
from PIL import Image

from nextgpt_lite.notebook import plots


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
