"""From a scene to a picture, a sound or a clip.

Knows: where things stand and how they move. Leaves to others: what a thing looks like
(`sprites`), what it sounds like (`sounds`), and what a scene may contain (`scene`).
"""

from __future__ import annotations

from random import Random

import numpy as np
from PIL import Image

from nextgpt_lite.errors import ConfigError
from nextgpt_lite.media import Audio, Video
from nextgpt_lite.world.scene import Clip, Picture, Scene, Sound
from nextgpt_lite.world.sounds import render_sound
from nextgpt_lite.world.sprites import DIAMETERS, SIDE, background, sprite

FRAMES, FPS = 8, 4.0
GROWTH = {"small": (7, 14), "large": (11, 22)}  # pixels: diameter at its least and at its most

_GRID = 3
_JITTER = 1  # pixels; with cells 21 apart and sprites 16 wide, three pixels stay between things
_STEPS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
_Cell = tuple[int, int]  # column, row


def render(scene: Scene, seed: int = 0) -> Image.Image | Audio | Video:
    """The scene as its medium; equal scene and seed give equal pixels or samples.

    Args:
        scene: a `Picture`, `Sound` or `Clip`.
        seed: settles what the scene leaves open, such as the exact places of things.
    """
    match scene:
        case Picture():
            return render_picture(scene, seed)
        case Sound():
            return render_sound(scene, seed)
        case Clip():
            return render_clip(scene, seed)


def render_picture(picture: Picture, seed: int = 0) -> Image.Image:
    """A 64 x 64 RGB image with the things on a jittered 3 x 3 grid.

    Raises:
        ConfigError: when the picture holds more than nine things.
    """
    canvas = background(picture.place).copy()  # (64, 64, 3)
    for group, centres in zip(picture.groups, layout(picture, seed), strict=True):
        for x, y in centres:
            _paste(canvas, sprite(group.kind, group.colour, group.size), x, y)
    return Image.fromarray(canvas)


def layout(picture: Picture, seed: int = 0) -> list[list[tuple[int, int]]]:
    """For each group the pixel (x, y) at the centre of each of its things."""
    rng = Random(seed)

    def pixel(index: int) -> int:
        return round((index + 0.5) * SIDE / _GRID) + rng.randint(-_JITTER, _JITTER)

    return [[(pixel(c), pixel(r)) for c, r in cells] for cells in _cells(picture, rng)]


def _cells(picture: Picture, rng: Random) -> list[list[_Cell]]:
    """For each group the grid cells of its things.

    Related things share a row or a column. Single things of which no relation is told stand clear
    of the others' rows and columns, so that a picture shows what its caption says and no more.
    """
    counts = [group.count for group in picture.groups]
    if sum(counts) > _GRID * _GRID:
        raise ConfigError(f"Picture.groups has {sum(counts)} things; the grid holds nine at most.")
    free = [(column, row) for column in range(_GRID) for row in range(_GRID)]
    rng.shuffle(free)
    placed: list[list[_Cell]] = []
    if picture.relation is not None:
        low, high = sorted(rng.sample(range(_GRID), 2))
        shared = rng.randrange(_GRID)
        first, second = (low, high) if picture.relation in ("left of", "above") else (high, low)
        sideways = picture.relation in ("left of", "right of")
        placed = [[(i, shared) if sideways else (shared, i)] for i in (first, second)]
        free = [cell for cell in free if [cell] not in placed]
    for count in counts[len(placed) :]:
        if max(counts) == 1:
            cells = [next((cell for cell in free if _clear(cell, placed)), free[0])]
        else:
            cells = free[:count]
        placed.append(cells)
        free = [cell for cell in free if cell not in cells]
    return placed


def _clear(cell: _Cell, placed: list[list[_Cell]]) -> bool:
    """Whether no placed thing is in the cell's row or column."""
    return all(cell[0] != c and cell[1] != r for cells in placed for c, r in cells)


def render_clip(clip: Clip, seed: int = 0) -> Video:
    """Eight 64 x 64 frames (two seconds) of one thing that moves across, grows or shrinks."""
    frames = np.repeat(background(clip.place)[None], FRAMES, axis=0)  # (8, 64, 64, 3)
    for frame, (x, y, diameter) in zip(frames, track(clip, seed), strict=True):
        thing = sprite(clip.kind, clip.colour, diameter, clip.motion == "left")
        _paste(frame, thing, x, y)
    return Video(frames, FPS)


def track(clip: Clip, seed: int = 0) -> list[tuple[int, int, int]]:
    """For each frame the pixel (x, y) at the centre of the thing, and its diameter."""
    rng = Random(seed)
    x, y = (SIDE // 2 + rng.randint(-8, 8) for _ in range(2))
    step = rng.choice((4, 5))  # pixels a frame: 28 or 35 in all
    if clip.motion in _STEPS:
        dx, dy = _STEPS[clip.motion]
        ways = [round(step * (index - (FRAMES - 1) / 2)) for index in range(FRAMES)]
        middle, diameter = SIDE // 2, DIAMETERS[clip.size]
        return [
            (middle + dx * way if dx else x, middle + dy * way if dy else y, diameter)
            for way in ways
        ]
    least, most = GROWTH[clip.size]
    shares = [index / (FRAMES - 1) for index in range(FRAMES)]
    if clip.motion == "shrinks":
        shares = [1 - share for share in shares]
    return [(x, y, round(least + (most - least) * share)) for share in shares]


def _paste(canvas: np.ndarray, thing: np.ndarray, x: int, y: int) -> None:
    """Lays an RGBA sprite, centred at (x, y), over the canvas in place."""
    left, top = x - thing.shape[1] // 2, y - thing.shape[0] // 2
    patch = canvas[top : top + thing.shape[0], left : left + thing.shape[1]]
    alpha = thing[..., 3:] / np.float32(255)
    patch[:] = (patch * (1 - alpha) + thing[..., :3] * alpha + 0.5).astype(np.uint8)
