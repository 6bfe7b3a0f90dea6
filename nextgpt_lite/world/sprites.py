"""How the ten things and the five places look.

Knows: the colours, how the strokes of `sprites.yaml` are drawn, and the fixed backgrounds; draws
each thing at eight times its size and averages down, once, then keeps it.
Leaves to others: where things stand (`render`) and how they are read back (`verify`).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt

from nextgpt_lite.reading import read_yaml

SIDE = 64  # pixels, height and width of every picture and frame
DIAMETERS = {"small": 10, "large": 16}  # pixels, the square a sprite fits in

RGB = tuple[int, int, int]
RGB_OF: dict[str, RGB] = {
    "red": (222, 30, 38),
    "orange": (255, 138, 10),
    "yellow": (252, 218, 20),
    "green": (42, 160, 58),
    "blue": (32, 92, 226),
    "purple": (136, 44, 190),
    "pink": (255, 112, 190),
    "black": (44, 44, 50),
}
INKS: dict[str, RGB] = {
    "white": (255, 255, 255), "ink": (20, 20, 24), "glass": (214, 238, 250),
    "skin": (250, 208, 168), "hair": (104, 60, 28), "wood": (150, 96, 48),
    "leaf": (60, 150, 50), "beak": (250, 150, 20), "hub": (190, 190, 196),
}  # fmt: skip
_UNITS, _OVERSAMPLING = 16, 8


class _Pen:
    """Draws in sprite units on an oversampled transparent square."""

    def __init__(self, diameter: int, body: RGB) -> None:
        self.scale = diameter * _OVERSAMPLING / _UNITS
        side = diameter * _OVERSAMPLING
        self.image = Image.new("RGBA", (side, side))
        self._draw = ImageDraw.Draw(self.image)
        light = _shade(body, 1.0, 0.55)
        self.inks = {**INKS, "body": body, "dark": _shade(body, 0.5), "light": light}

    def draw(self, fill: Any = "white", **stroke: Any) -> None:
        """A stroke of `sprites.yaml`: a shape with its numbers, an ink, options of the shape."""
        (name, numbers), *options = stroke.items()
        ink = self.inks[fill] if isinstance(fill, str) else tuple(fill)
        getattr(self, name)(*numbers, fill=ink, **dict(options))

    def _scaled(self, values: tuple[float, ...]) -> list[float]:
        return [value * self.scale for value in values]

    def oval(self, *box: float, fill: RGB) -> None:
        self._draw.ellipse(self._scaled(box), fill=fill)

    def disc(self, x: float, y: float, radius: float, fill: RGB) -> None:
        self.oval(x - radius, y - radius, x + radius, y + radius, fill=fill)

    def box(self, *box: float, fill: RGB, corner: float = 0.0) -> None:
        self._draw.rounded_rectangle(self._scaled(box), corner * self.scale, fill=fill)

    def shape(self, *points: float, fill: RGB) -> None:
        self._draw.polygon(self._scaled(points), fill=fill)

    def line(self, *points: float, fill: RGB, width: float = 1.0) -> None:
        thick = round(width * self.scale)
        self._draw.line(self._scaled(points), fill=fill, width=thick, joint="curve")
        for x, y in (points[:2], points[-2:]):
            self.disc(x, y, width / 2, fill)

    def eye(self, x: float, y: float, fill: RGB, pupil: float = 1.0) -> None:
        """Two units square and on whole units, so that it stays crisp at the large size."""
        self.box(x, y, x + 2, y + 2, fill=fill)
        self.box(x + pupil, y, x + pupil + 1, y + 2, fill=INKS["ink"])


def _shade(colour: RGB, factor: float, white: float = 0.0) -> RGB:
    """Darkens by `factor`, then mixes in a share of white."""
    red, green, blue = (round(c * factor * (1 - white) + 255 * white) for c in colour)
    return red, green, blue


@cache
def _drawings() -> dict[str, list[dict[str, Any]]]:
    return read_yaml(Path(__file__).with_suffix(".yaml"), Any)


@cache
def sprite(kind: str, colour: str, size: str | int, mirrored: bool = False) -> np.ndarray:
    """The thing as RGBA uint8 of shape (D, D, 4); alpha 0 is outside. Shared: do not write to it.

    Args:
        kind: one of `scene.KINDS`.
        colour: one of `scene.COLOURS`.
        size: "small" or "large", or the diameter D in pixels.
        mirrored: looks to the left instead of to the right.
    """
    if mirrored:
        return sprite(kind, colour, size)[:, ::-1]
    diameter = DIAMETERS[size] if isinstance(size, str) else size
    pen = _Pen(diameter, RGB_OF[colour])
    for stroke in _drawings()[kind]:
        pen.draw(**stroke)
    reach = distance_transform_edt(np.asarray(pen.image)[..., 3] == 0)
    outline = np.zeros((*reach.shape, 4), np.uint8)
    outline[reach <= 0.9 * pen.scale] = (*_shade(RGB_OF[colour], 0.42), 255)
    drawing = Image.alpha_composite(Image.fromarray(outline), pen.image)
    return np.asarray(drawing.reduce(_OVERSAMPLING))


@cache
def background(place: str) -> np.ndarray:
    """The empty place, uint8 of shape (64, 64, 3): pale, fixed. Shared: do not write to it."""
    image = Image.new("RGB", (SIDE * 4, SIDE * 4), (246, 246, 244))
    draw = ImageDraw.Draw(image)

    def box(x0: float, y0: float, x1: float, y1: float, fill: RGB) -> None:
        draw.rectangle((x0 * 4, y0 * 4, x1 * 4 - 1, y1 * 4 - 1), fill=fill)

    def oval(x: float, y: float, width: float, height: float, fill: RGB) -> None:
        draw.ellipse(
            ((x - width) * 4, (y - height) * 4, (x + width) * 4, (y + height) * 4), fill=fill
        )

    match place:
        case "garden":
            box(0, 0, SIDE, 22, (224, 240, 252))
            box(0, 22, SIDE, SIDE, (208, 236, 196))
            for x, y in ((6, 28), (23, 36), (43, 29), (58, 40), (11, 49), (33, 55), (53, 58)):
                for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
                    oval(x + dx, y + dy, 0.9, 0.9, (248, 226, 236))
                oval(x, y, 0.8, 0.8, (250, 240, 190))
        case "street":
            box(0, 0, SIDE, 34, (236, 238, 242))
            for left, top, right in ((0, 9, 20), (20, 4, 42), (42, 11, 64)):
                box(left + 1, top, right - 1, 34, (222, 220, 224))
                for x in range(left + 4, right - 5, 7):
                    for y in range(top + 4, 28, 8):
                        box(x, y, x + 4, y + 4, (236, 240, 244))
            box(0, 34, SIDE, SIDE, (206, 206, 212))
            for x in range(2, SIDE, 16):
                box(x, 48, x + 9, 50, (244, 244, 240))
        case "table":
            box(0, 0, SIDE, 12, (250, 244, 234))
            box(0, 12, SIDE, 58, (238, 218, 190))
            for y in (24, 36, 47):
                box(0, y, SIDE, y + 1, (228, 206, 176))
            box(0, 58, SIDE, SIDE, (222, 196, 164))
        case "sky":
            box(0, 0, SIDE, SIDE, (198, 226, 250))
            for x, y in ((17, 16), (46, 42)):
                for dx, dy, width, height in ((-7, 1, 6, 4), (0, -2, 7, 6), (7, 1, 6, 4)):
                    oval(x + dx, y + dy, width, height, (242, 248, 254))
    return np.asarray(image.reduce(4))
