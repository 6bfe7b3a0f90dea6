"""Sliders over images: every choice drawn once, all shown as a sheet, and live one at a time.

The sheet is what a page, a viewer or a run by machine shows; the sliders need a kernel's front end
and only choose among images that are already there. Leaves to others: drawing (`plots`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product
from typing import Any

import ipywidgets as widgets
from IPython.display import display
from PIL import Image

from nextgpt_lite.display import png, upscale
from nextgpt_lite.notebook.plots import show_images


def explore(
    draw: Callable[..., Image.Image], **choices: Iterable[Any]
) -> dict[tuple[Any, ...], Image.Image]:
    """Shows `draw(name=value, ...)` for all combinations, rows by the last of several names,
    and sliders.

    Args:
        choices: the values of each argument of `draw`, in the order of their slider.

    Returns:
        the image of each combination of values.
    """
    values = {name: [*given] for name, given in choices.items()}
    *outer, last = values
    combinations = [
        (*most, value)
        for value in values[last]
        for most in product(*(values[name] for name in outer))
    ]
    drawn = {each: draw(**dict(zip(values, each, strict=True))) for each in combinations}
    titles = [
        ", ".join(f"{name} {value}" for name, value in zip(values, each, strict=True))
        for each in drawn
    ]
    columns = len(drawn) // len(values[last]) if outer else None
    show_images([*drawn.values()], titles, columns=columns)
    sliders = {
        name: widgets.SelectionSlider(options=given, description=name, value=given[0])
        for name, given in values.items()
    }
    picture = widgets.Image(format="png")

    def chosen(_: object = None) -> None:
        picture.value = png(upscale(drawn[tuple(slider.value for slider in sliders.values())]))

    for slider in sliders.values():
        slider.observe(chosen, "value")
    chosen()
    display(widgets.VBox([*sliders.values(), picture]))
    return drawn
