"""Holds two conversations with the shipped model and draws them as docs/conversation.webp.

    python docs/animation.py

One seed, and whatever the model answers. The turns were picked to show each direction once, among
those it gets right; how often it does not is measured in results/. Needs no network and about half
a minute on a laptop.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from nextgpt_lite import NextGPT
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import Group, Picture

FILE = Path(__file__).resolve().parent / "conversation.webp"
SEED = 1
CARS = render(Picture((Group("car", "green", "large", 2),), None, "street"), SEED)
TALKS: list[list[tuple[str, Any]]] = [  # one a column
    [
        ("How many cars are there?", CARS),
        ("Let me hear one of them.", None),
        ("Make a video of one of them moving left.", None),
    ],
    [
        ("I want to see, watch and hear a large orange cat.", None),
        ("I had 7 apples and ate one. Draw what is left.", None),
        ("Put them on the table.", None),
    ],
]
COLUMN, HEIGHT, TILE, GAP = 400, 646, 96, 8  # pixels
FPS, HOLD = 8, 40  # frames a second, frames after the last turn
USER, MODEL, INK, PAPER = "#dde6f0", "#f4f1ea", "#222222", "#ffffff"
FONT = ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", 14)


Turn = tuple[int, str, list[dict[str, Any]]]  # column, role, parts


def hold() -> list[Turn]:
    """Every turn, users' and the model's."""
    model = NextGPT.from_pretrained("lite")
    turns: list[Turn] = []
    for column, talk in enumerate(TALKS):
        messages: list[Any] = []
        for text, image in talk:
            given = [] if image is None else [{"type": "image", "data": image}]
            messages.append({"role": "user", "content": [*given, {"type": "text", "text": text}]})
            messages.append(model.chat(messages, seed=SEED).message)
        turns += [(column, message["role"], message["content"]) for message in messages]
    return turns


def tile(part: dict[str, Any], frame: int) -> Image.Image:
    """A media part as it looks in a frame: videos move, a line runs through audio."""
    media = part["data"]
    if part["type"] == "audio":
        picture = Image.new("RGB", (TILE, TILE), "#ffffff")
        draw = ImageDraw.Draw(picture)
        peaks = [np.abs(piece).max() for piece in np.array_split(media.mono(8000), TILE)]
        for x, peak in enumerate(peaks):
            half = int(peak * (TILE // 2 - 6))
            draw.line((x, TILE // 2 - half, x, TILE // 2 + half), "#4a6a92")
        x = int(frame / FPS / media.duration * TILE) % TILE
        draw.line((x, 0, x, TILE), "#d08a20", 2)
        return picture
    if part["type"] == "video":
        media = Image.fromarray(media.frames[int(frame / FPS * media.fps) % len(media.frames)])
    return media.resize((TILE, TILE), Image.Resampling.NEAREST)


def wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        lines = [*lines[:-1], longer] if FONT.getlength(longer) <= width else [*lines, word]
    return lines


def bubble(
    draw: ImageDraw.ImageDraw, canvas: Image.Image, at: tuple[int, int], role: str,
    parts: list[dict[str, Any]], words: int, frame: int,
) -> int:  # fmt: skip
    """Draws a turn as far as its first `words` words, media behind them; returns its height."""
    x, y = at
    text = " ".join(part["text"] for part in parts if part["type"] == "text").split()
    media = [part for part in parts if part["type"] != "text"]
    lines = wrapped(" ".join(text), COLUMN - 60)
    height = 20 * len(lines) + (TILE + GAP if media else 0) + 2 * GAP
    width = max(
        [FONT.getlength(line) for line in lines] + [len(media) * (TILE + GAP) - GAP]
    ) + 2 * GAP  # fmt: skip
    left = x + (0 if role == "user" else COLUMN - GAP - int(width))
    fill = USER if role == "user" else MODEL
    draw.rounded_rectangle((left, y, left + width, y + height), 8, fill)
    shown, top = words, y + GAP
    for line in lines:
        draw.text((left + GAP, top), " ".join(line.split()[: max(0, shown)]), INK, FONT)
        shown -= len(line.split())
        top += 20
    for number, part in enumerate(media):
        if role == "user" or words >= len(text):
            canvas.paste(tile(part, frame), (left + GAP + number * (TILE + GAP), top + GAP // 2))
    return height


def main() -> None:
    turns = hold()
    starts = [0]
    for _, role, parts in turns:
        print(f"{role:>9}: " + " ".join(p.get("text", f"<{p['type']}>") for p in parts))
        words = sum(len(part.get("text", "").split()) for part in parts)
        starts.append(starts[-1] + (8 if role == "user" else words + 10))
    frames: list[Image.Image] = []
    for now in range(starts[-1] + HOLD):
        canvas = Image.new("RGB", (len(TALKS) * COLUMN + GAP, HEIGHT), PAPER)
        draw = ImageDraw.Draw(canvas)
        y = [GAP] * len(TALKS)
        for (column, role, parts), start in zip(turns, starts, strict=False):
            if now >= start:
                said = 999 if role == "user" else now - start + 1
                at = column * COLUMN + GAP, y[column]
                y[column] += bubble(draw, canvas, at, role, parts, said, now) + GAP
        frames.append(canvas)
    frames[0].save(
        FILE, save_all=True, append_images=frames[1:], duration=1000 // FPS, loop=0,
        lossless=True, method=6, minimize_size=True,
    )  # fmt: skip
    print(f"{FILE.name}: {len(frames)} frames, {FILE.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
