"""How the ten things and the five places look.

Knows: vector drawings on a 16 x 16 unit square, their colours, and the fixed backgrounds; draws
each at eight times its size and averages down, once, then keeps it.
Leaves to others: where things stand (`render`) and how they are read back (`verify`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import distance_transform_edt

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
_WHITE, _INK, _GLASS = (255, 255, 255), (20, 20, 24), (214, 238, 250)
_SKIN, _HAIR, _WOOD = (250, 208, 168), (104, 60, 28), (150, 96, 48)
_LEAF, _BEAK, _HUB = (60, 150, 50), (250, 150, 20), (190, 190, 196)
_UNITS, _OVERSAMPLING = 16, 8


class _Pen:
    """Draws in sprite units on an oversampled transparent square."""

    def __init__(self, diameter: int, body: RGB) -> None:
        self.scale = diameter * _OVERSAMPLING / _UNITS
        side = diameter * _OVERSAMPLING
        self.image = Image.new("RGBA", (side, side))
        self._draw = ImageDraw.Draw(self.image)
        self.body = body
        self.dark = _shade(body, 0.5)
        self.light = _shade(body, 1.0, 0.55)

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

    def eye(self, x: float, y: float, pupil: float = 1.0) -> None:
        """Two units square and on whole units, so that it stays crisp at the large size."""
        self.box(x, y, x + 2, y + 2, fill=_WHITE)
        self.box(x + pupil, y, x + pupil + 1, y + 2, fill=_INK)


def _shade(colour: RGB, factor: float, white: float = 0.0) -> RGB:
    """Darkens by `factor`, then mixes in a share of white."""
    red, green, blue = (round(c * factor * (1 - white) + 255 * white) for c in colour)
    return red, green, blue


def _apple(pen: _Pen) -> None:
    pen.oval(1.0, 4.0, 9.6, 15.0, fill=pen.body)
    pen.oval(6.4, 4.0, 15.0, 15.0, fill=pen.body)
    pen.line(8, 5.4, 8.4, 1.6, fill=_HAIR, width=1.2)
    pen.shape(8.6, 3.6, 10.2, 1.2, 13.6, 1.0, 12.0, 3.4, fill=_LEAF)
    pen.oval(3.0, 5.8, 5.4, 9.2, fill=pen.light)


def _car(pen: _Pen) -> None:
    pen.shape(3.0, 8.2, 5.4, 3.6, 10.4, 3.6, 13.4, 8.2, fill=pen.body)
    pen.box(0.9, 7.4, 15.1, 12.2, fill=pen.body, corner=1.6)
    pen.shape(4.6, 7.4, 6.2, 4.8, 7.5, 4.8, 7.5, 7.4, fill=_GLASS)
    pen.shape(8.7, 7.4, 8.7, 4.8, 10.0, 4.8, 11.7, 7.4, fill=_GLASS)
    pen.oval(13.3, 8.6, 15.1, 10.2, fill=(255, 246, 170))
    for x in (4.3, 11.7):
        pen.disc(x, 12.4, 2.4, _INK)
        pen.disc(x, 12.4, 1.0, _HUB)


def _dog(pen: _Pen) -> None:
    pen.line(2.4, 8.8, 1.5, 4.4, fill=pen.body, width=1.5)
    pen.box(1.8, 7.2, 11.2, 12.2, fill=pen.body, corner=2.0)
    for x in (2.0, 8.7):
        pen.box(x, 10.5, x + 2.3, 15.1, fill=pen.body, corner=0.7)
    pen.disc(11.0, 5.0, 3.4, pen.body)
    pen.box(10.4, 4.9, 15.1, 8.2, fill=pen.body, corner=1.4)
    pen.oval(7.4, 2.4, 10.0, 8.6, fill=pen.dark)
    pen.eye(11, 3)
    pen.disc(14.5, 5.5, 0.9, _INK)


def _cat(pen: _Pen) -> None:
    pen.line(10.8, 13.9, 14.0, 13.7, 14.5, 11.2, 13.4, 9.6, fill=pen.body, width=1.6)
    pen.oval(3.4, 8.2, 11.6, 17.0, fill=pen.body)
    pen.box(3.7, 12.6, 11.3, 15.1, fill=pen.body, corner=1.0)
    pen.oval(2.0, 2.8, 13.0, 10.6, fill=pen.body)
    pen.shape(2.0, 6.0, 2.0, 0.9, 6.8, 3.4, fill=pen.body)
    pen.shape(13.0, 6.0, 13.0, 0.9, 8.2, 3.4, fill=pen.body)
    pen.eye(4, 5)
    pen.eye(9, 5, pupil=0)
    pen.shape(6.2, 7.4, 8.8, 7.4, 7.5, 9.0, fill=(255, 190, 200))
    for x in (1.6, 10.4):
        pen.line(x, 8.6, x + 3.0, 8.6, fill=pen.dark, width=0.7)
    pen.line(7.5, 12.4, 7.5, 15.0, fill=pen.dark, width=0.6)


def _bird(pen: _Pen) -> None:
    pen.shape(4.6, 9.6, 0.9, 8.0, 1.6, 12.8, 5.6, 12.2, fill=pen.dark)
    pen.oval(3.0, 6.6, 12.6, 14.0, fill=pen.body)
    pen.disc(11.0, 6.2, 3.3, pen.body)
    pen.shape(13.7, 4.8, 15.5, 6.5, 13.7, 8.0, fill=_BEAK)
    pen.shape(4.2, 10.2, 1.8, 1.2, 6.4, 3.2, 9.2, 9.8, fill=pen.light)
    pen.shape(4.6, 10.0, 4.0, 4.6, 8.6, 9.8, fill=pen.body)
    pen.eye(11, 4)
    pen.line(7.0, 13.6, 7.0, 15.1, fill=_BEAK, width=0.8)
    pen.line(9.2, 13.6, 9.2, 15.1, fill=_BEAK, width=0.8)


def _bell(pen: _Pen) -> None:
    pen.disc(8, 2.4, 1.5, pen.dark)
    pen.disc(8, 13.7, 1.5, pen.dark)
    pen.oval(4.2, 2.6, 11.8, 12.0, fill=pen.body)
    pen.shape(4.2, 7.0, 11.8, 7.0, 12.4, 10.0, 14.6, 12.6, 1.4, 12.6, 3.6, 10.0, fill=pen.body)
    pen.box(1.0, 11.2, 15.0, 13.2, fill=pen.body, corner=0.9)
    pen.line(3.6, 10.7, 12.4, 10.7, fill=pen.dark, width=0.7)
    pen.line(6.4, 5.4, 5.9, 8.8, fill=pen.light, width=1.2)


def _drum(pen: _Pen) -> None:
    pen.line(2.6, 1.6, 7.0, 5.6, fill=_WOOD, width=1.1)
    pen.line(13.4, 1.6, 9.0, 5.6, fill=_WOOD, width=1.1)
    pen.box(1.2, 6.2, 14.8, 12.4, fill=pen.body)
    pen.oval(1.2, 10.0, 14.8, 15.0, fill=pen.body)
    pen.oval(1.2, 3.8, 14.8, 8.6, fill=pen.dark)
    pen.oval(2.0, 4.3, 14.0, 7.8, fill=(252, 248, 236))
    zigzag = (1.8, 9.0, 4.8, 13.2, 8.0, 9.6, 11.2, 13.2, 14.2, 9.0)
    pen.line(*zigzag, fill=pen.light, width=0.9)


def _train(pen: _Pen) -> None:
    pen.box(1.6, 2.6, 6.8, 12.0, fill=pen.body)
    pen.box(0.9, 1.0, 7.5, 2.9, fill=pen.dark, corner=0.5)
    pen.box(2.8, 4.4, 5.5, 7.2, fill=_GLASS)
    pen.box(6.6, 6.4, 14.6, 12.0, fill=pen.body, corner=1.2)
    pen.box(10.9, 3.0, 12.9, 6.8, fill=pen.dark)
    pen.box(10.1, 1.8, 13.7, 3.5, fill=pen.dark, corner=0.5)
    pen.shape(13.4, 11.0, 15.1, 14.9, 12.6, 14.9, fill=pen.dark)
    pen.line(7.6, 8.2, 13.6, 8.2, fill=pen.light, width=0.9)
    for x in (3.2, 7.4, 11.4):
        pen.disc(x, 12.9, 2.1, _INK)
        pen.disc(x, 12.9, 0.9, _HUB)


def _man(pen: _Pen) -> None:
    pen.box(4.0, 11.0, 6.8, 15.1, fill=pen.dark)
    pen.box(9.2, 11.0, 12.0, 15.1, fill=pen.dark)
    pen.box(4.0, 11.0, 12.0, 12.6, fill=pen.dark)
    pen.box(1.6, 8.2, 14.4, 10.2, fill=pen.body, corner=0.9)
    pen.disc(1.9, 9.2, 1.0, _SKIN)
    pen.disc(14.1, 9.2, 1.0, _SKIN)
    pen.box(4.0, 8.2, 12.0, 12.0, fill=pen.body, corner=0.6)
    pen.oval(4.6, 2.4, 11.4, 8.4, fill=_SKIN)
    pen.box(5.0, 0.9, 11.0, 3.4, fill=pen.body, corner=0.8)
    pen.box(3.0, 3.0, 13.0, 4.2, fill=pen.dark, corner=0.5)
    pen.box(6, 5, 7, 6, fill=_INK)
    pen.box(9, 5, 10, 6, fill=_INK)


def _woman(pen: _Pen) -> None:
    pen.oval(3.4, 0.9, 12.6, 8.0, fill=_HAIR)
    pen.box(3.4, 4.4, 12.6, 9.8, fill=_HAIR, corner=1.4)
    pen.line(6.4, 13.0, 6.4, 15.0, fill=_SKIN, width=1.4)
    pen.line(9.6, 13.0, 9.6, 15.0, fill=_SKIN, width=1.4)
    pen.shape(6.0, 7.4, 10.0, 7.4, 14.8, 13.9, 1.2, 13.9, fill=pen.body)
    pen.oval(5.0, 2.0, 11.0, 8.0, fill=_SKIN)
    pen.box(6, 4, 7, 5, fill=_INK)
    pen.box(9, 4, 10, 5, fill=_INK)
    pen.line(3.4, 12.6, 12.6, 12.6, fill=pen.light, width=0.7)


_DRAW: dict[str, Callable[[_Pen], None]] = {
    "apple": _apple, "car": _car, "dog": _dog, "cat": _cat, "bird": _bird,
    "bell": _bell, "drum": _drum, "train": _train, "man": _man, "woman": _woman,
}  # fmt: skip


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
    _DRAW[kind](pen)
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
