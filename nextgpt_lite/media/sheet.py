"""One image of several, side by side with a title each.

Knows: tiles, rows, wrapped titles. Leaves to others: what is in the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageColor, ImageDraw, ImageFont

from nextgpt_lite.errors import ConfigError

TILE = 128  # pixels on the page of one image in a sheet
INK = "#7a7a7a"  # words on a page that may be light or dark: a contrast of 4.3 with either


def contact_sheet(
    images: Sequence[Image.Image],
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    tile: int = TILE,
    text: int = 11,
    clear: bool = False,
) -> Image.Image:
    """One image of all images, each within `tile` x `tile` pixels, titles wrapped below.

    Args:
        text: height of the titles in pixels.
        clear: without a ground of its own (RGBA), for pages that may be light or dark.

    Raises:
        ConfigError: there are no images, or not as many titles as images.
    """
    if not images:
        raise ConfigError("no images to show")
    if titles is not None and len(titles) != len(images):
        raise ConfigError(f"{len(images)} images but {len(titles)} titles: give one each")
    columns = columns or min(6, len(images))
    font, line_height = ImageFont.load_default(text), text + 2
    wrapped = [_wrap(title, tile, font) for title in titles or [""] * len(images)]
    lines = max(map(len, wrapped))
    fitted = [_fit(image, tile) for image in images]
    tall = max(image.height for image in fitted)
    gap, height = 4, tall + line_height * lines + (4 if lines else 0)
    rows = -(-len(images) // columns)
    size = columns * (tile + gap) - gap, rows * (height + gap) - gap
    ground, ink = ((*ImageColor.getrgb(INK), 0), INK) if clear else ("white", "black")
    sheet = Image.new("RGBA" if clear else "RGB", size, ground)
    draw = ImageDraw.Draw(sheet)
    for index, (image, title) in enumerate(zip(fitted, wrapped, strict=True)):
        left, top = index % columns * (tile + gap), index // columns * (height + gap)
        sheet.paste(image, (left, top))
        for number, line in enumerate(title):
            middle = left + (tile - font.getlength(line)) / 2
            draw.text((middle, top + tall + 1 + line_height * number), line, ink, font)
    return sheet


def _fit(image: Image.Image, tile: int) -> Image.Image:
    """The image within tile x tile: enlarged by whole pixels where that fits, else smoothed."""
    scale = tile / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    method = Image.Resampling.NEAREST if scale.is_integer() else Image.Resampling.LANCZOS
    return image.convert("RGB").resize(size, method)


def _wrap(text: str, width: int, font: Any) -> list[str]:
    """The words of `text` in lines of at most `width` pixels."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
