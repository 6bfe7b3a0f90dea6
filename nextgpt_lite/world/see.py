"""Reads pictures and clips back into what is there.

Knows: how to tell a known place from the things in it, and which thing, of which colour and
size, a patch of pixels shows. Built to bear the blur, noise and colour drift of a generator.
Leaves to others: what was asked for and whether it is there (`verify`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion, find_objects, gaussian_filter, label

from nextgpt_lite.media import Video
from nextgpt_lite.world.scene import COLOURS, KINDS, PLACES
from nextgpt_lite.world.sprites import RGB_OF, SIDE, background, sprite

_PLACE_TOLERANCE = 30.0  # levels: median distance to the nearest place, above it is no place
_THING_TOLERANCE = 48  # levels: above the contrast inside any place, below that of any outline
_SPECK = 14  # pixels: a smaller patch is dirt; the smallest thing drawn covers about 30
_DIRT = 60  # pixels: more dirt than this in all and the picture counts as cluttered
_LIKENESS = 0.88  # correlation with the best drawing, below it the patch is no known thing
_LARGE = 13  # pixels: diameter halfway between small (10) and large (16)
_LEAST, _MOST = 7, 22  # pixels: diameters drawn anywhere
_RIM = 2  # pixels around a drawing that its blur reaches
_MARGIN = 16  # pixels from the middle of a patch to the edge of the window it is read in
_BLUR = 0.5  # pixels: laid over both sides so that a soft picture matches a crisp drawing
_LEAD = 0.2  # how much more like than the next kind, as a share of what the best leaves open
_DECOYS = ("disc", "square", "triangle", "mixture")
_SHIFTS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]


@dataclass(frozen=True)
class Thing:
    """One thing as read: `x`, `y` its middle in pixels, `likeness` to its drawing (at most 1)."""

    kind: str
    colour: str
    diameter: int
    x: float
    y: float
    likeness: float

    @property
    def size(self) -> str:
        return "large" if self.diameter >= _LARGE else "small"


@dataclass(frozen=True)
class PictureReading:
    """What a picture shows: a place (None if no known one), things, and whether all is clear.

    `clear` is False when something is in the picture that is no known thing.
    """

    place: str | None
    things: tuple[Thing, ...]
    clear: bool


@dataclass(frozen=True)
class ClipReading:
    """What a clip shows; a None is an attribute that cannot be told.

    `frames` are the readings frame by frame, `clear` as in `PictureReading` for most frames.
    """

    kind: str | None
    colour: str | None
    size: str | None
    motion: str | None
    place: str | None
    clear: bool
    frames: tuple[PictureReading, ...]


def read_picture(image: Image.Image) -> PictureReading:
    """Reads place and things of an image; any size is brought to 64 x 64 first."""
    if image.size != (SIDE, SIDE):
        image = image.resize((SIDE, SIDE), Image.Resampling.BOX)
    return _read(np.asarray(image.convert("RGB"), np.float32), mirrored=False)


def read_clip(video: Video) -> ClipReading:
    """Reads a clip of one thing from frames (T, H, W, 3): what it is by majority, its track."""
    frames = [Image.fromarray(frame) for frame in video.frames]
    frames = [frame.resize((SIDE, SIDE), Image.Resampling.BOX) for frame in frames]
    readings = tuple(_read(np.asarray(frame, np.float32), mirrored=True) for frame in frames)
    track = [
        (time, reading.things[0])
        for time, reading in enumerate(readings)
        if reading.clear and len(reading.things) == 1
    ]
    things = [thing for _, thing in track]
    clear = len(track) >= 0.75 * len(readings)
    return ClipReading(
        kind=_majority([thing.kind for thing in things], len(readings)),
        colour=_majority([thing.colour for thing in things], len(readings)),
        size=_mean_size(things),
        motion=_motion(track) if clear else None,
        place=_majority([reading.place for reading in readings], len(readings)),
        clear=clear,
        frames=readings,
    )


def _majority(names: Sequence[str | None], voters: int) -> str | None:
    """The name that more than half of the voters gave."""
    if not names:
        return None
    name, votes = Counter(names).most_common(1)[0]
    return name if votes > voters / 2 else None


def _mean_size(things: list[Thing]) -> str | None:
    if not things:
        return None
    return "large" if np.mean([thing.diameter for thing in things]) >= _LARGE else "small"


def _motion(track: list[tuple[int, Thing]]) -> str | None:
    """The motion a straight line through the track shows, None when there is no clear one."""
    times = np.array([time for time, _ in track])
    if len(times) < 3:
        return None
    values = np.array([(thing.x, thing.y, thing.diameter) for _, thing in track], np.float64)
    slopes = np.polyfit(times, values, 1)[0]
    dx, dy, growth = slopes * (times[-1] - times[0])  # pixels over the whole clip
    if max(abs(dx), abs(dy)) >= 12 and min(abs(dx), abs(dy)) <= 6 and abs(growth) <= 4:
        if abs(dx) > abs(dy):
            return "right" if dx > 0 else "left"
        return "down" if dy > 0 else "up"
    if abs(growth) >= 4 and max(abs(dx), abs(dy)) <= 8:
        return "grows" if growth > 0 else "shrinks"
    return None


def _read(pixels: np.ndarray, mirrored: bool) -> PictureReading:
    """`read_picture` on (64, 64, 3) float pixels; `mirrored` also knows things that look left."""
    distances = {place: float(np.median(_contrast(pixels - background(place)))) for place in PLACES}
    nearest = min(distances, key=distances.__getitem__)
    if distances[nearest] > _PLACE_TOLERANCE:
        return PictureReading(None, (), clear=False)
    empty = background(nearest).astype(np.float32)  # (64, 64, 3)
    difference = pixels - empty
    patches, _ = label(_contrast(difference) > _THING_TOLERANCE, np.ones((3, 3)))
    things: list[Thing] = []
    dirt, clear = 0, True
    for number, box in enumerate(find_objects(patches), start=1):
        patch = patches == number
        area = int(patch[box].sum())
        if area < _SPECK:
            dirt += area
            continue
        thing = _recognise(difference * binary_dilation(patch)[..., None], empty, box, mirrored)
        if thing is None:
            clear = False
        else:
            things.append(thing)
    return PictureReading(nearest, tuple(things), clear and dirt <= _DIRT)


def _contrast(difference: np.ndarray) -> np.ndarray:
    """The largest of the three channels' differences, (H, W); quicker than `max` over an axis."""
    red, green, blue = np.moveaxis(np.abs(difference), -1, 0)
    return np.maximum(np.maximum(red, green), blue)


def _recognise(
    difference: np.ndarray, empty: np.ndarray, box: tuple[slice, slice], mirrored: bool
) -> Thing | None:
    """The thing most like the patch inside `box`, by correlation over all that could fit it.

    None when nothing is like it, when two kinds are about as like, or when a decoy is more like.

    A drawing with ink I (colour times alpha) and alpha A changes ground G by D = I - A G. Its
    correlation <D, S> / (|D| |S|) with the difference S seen needs only <I, S> - <A, G S> and
    |I|^2 - 2 <I A, G> + <A^2, G^2>, so that everything about the drawings is computed once.
    """
    rows, columns = box
    extent = max(rows.stop - rows.start, columns.stop - columns.start)
    if not _LEAST - 1 <= extent <= _MOST + 2:
        return None
    y, x = (rows.start + rows.stop) // 2, (columns.start + columns.stop) // 2
    window = np.s_[y : y + 2 * _MARGIN, x : x + 2 * _MARGIN]
    around = ((_MARGIN, _MARGIN), (_MARGIN, _MARGIN), (0, 0))
    seen = gaussian_filter(np.pad(difference, around)[window], (_BLUR, _BLUR, 0))
    ground = np.pad(empty, around, mode="edge")[window]  # (32, 32, 3)
    strength = float(np.linalg.norm(seen))

    candidates = []  # (likeness by kind, best combination by kind, diameter)
    for diameter in range(max(_LEAST, extent - 2), min(_MOST, extent + 1) + 1):
        inks, products = _drawings(diameter, mirrored)
        reach = (diameter + 2 * _RIM) // 2
        low, high = _MARGIN - reach, _MARGIN - reach + diameter + 2 * _RIM
        under = ground[low:high, low:high]
        views = np.stack(
            [seen[low + dy : high + dy, low + dx : high + dx] for dy, dx in _SHIFTS]
        )  # (9, W, W, 3)
        shown = np.concatenate([views, -(views * under).sum(-1, keepdims=True)], axis=-1)
        floor = np.concatenate([under, (under**2).sum(-1, keepdims=True)], axis=-1)
        norms = np.sqrt(np.maximum(products[0] + products[1] @ floor.ravel(), 1e-6))  # (N,)
        likeness = inks @ shown.reshape(len(_SHIFTS), -1).T / norms[:, None] / strength  # (N, 9)
        table = likeness.reshape(-1, len(KINDS) + len(_DECOYS), len(COLOURS), len(_SHIFTS))
        table = np.moveaxis(table, 1, 0).reshape(len(KINDS) + len(_DECOYS), -1)
        candidates.append((table.max(axis=1), table.argmax(axis=1), diameter))
    by_kind = np.stack([scores for scores, _, _ in candidates])  # (diameters, kinds + decoys)
    size, kind = np.unravel_index(int(by_kind.argmax()), by_kind.shape)
    _, combinations, diameter = candidates[size]
    colour, shift = divmod(int(combinations[kind]) % (len(COLOURS) * len(_SHIFTS)), len(_SHIFTS))
    first = float(by_kind[size, kind])
    second = float(np.delete(by_kind, kind, axis=1).max())
    if kind >= len(KINDS) or first < _LIKENESS or first - second < _LEAD * (1 - first):
        return None
    dy, dx = _SHIFTS[shift]
    return Thing(KINDS[kind], COLOURS[colour], diameter, x + dx, y + dy, first)


@cache
def _drawings(diameter: int, mirrored: bool) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """All drawings at one diameter, softened, in the products `_recognise` needs.

    N runs over kinds, then colours; with `mirrored` once more for those that look left.

    Returns:
        (I, A) of shape (N, W * W * 4), and (|I|^2 of shape (N,), (-2 I A, A^2) like the first).
    """
    sides = (False, True) if mirrored else (False,)
    names = [
        (side, kind, colour) for side in sides for kind in (*KINDS, *_DECOYS) for colour in COLOURS
    ]
    width = diameter + 2 * _RIM
    sheet = np.zeros((len(names), width, width, 4), np.float32)
    inside = slice(_RIM, _RIM + diameter)
    for page, (side, kind, colour) in zip(sheet, names, strict=True):
        if kind in _DECOYS:
            drawing = _decoy(kind, colour, diameter)
        else:
            drawing = sprite(kind, colour, diameter, side).astype(np.float32)
        page[inside, inside, 3] = drawing[..., 3] / 255
        page[inside, inside, :3] = drawing[..., :3] * page[inside, inside, 3:]
    sheet = gaussian_filter(sheet, (0, _BLUR, _BLUR, 0))
    ink, alpha = sheet[..., :3], sheet[..., 3:]
    mixed = np.concatenate([-2 * ink * alpha, alpha**2], axis=-1)
    squares = (ink**2).sum(axis=(1, 2, 3))
    return sheet.reshape(len(names), -1), (squares, mixed.reshape(len(names), -1))


def _decoy(shape: str, colour: str, diameter: int) -> np.ndarray:
    """Something that is no thing, as RGBA float (D, D, 4): a plain shape, or all things at once."""
    if shape == "mixture":
        every = np.stack([sprite(kind, colour, diameter) for kind in KINDS]).astype(np.float32)
        weights = every[..., 3:]
        ink = (every[..., :3] * weights).sum(0) / np.maximum(weights.sum(0), 1)
        return np.concatenate([ink, weights.mean(0)], axis=-1)
    down, across = np.mgrid[:diameter, :diameter] + 0.5
    half = diameter / 2
    inside = {
        "disc": np.hypot(down - half, across - half) <= half,
        "square": np.ones((diameter, diameter), bool),
        "triangle": np.abs(across - half) <= down / 2,
    }[shape]
    drawing = np.zeros((diameter, diameter, 4), np.float32)
    drawing[inside] = (*(0.42 * c for c in RGB_OF[colour]), 255)  # the dark outline things have
    drawing[binary_erosion(inside)] = (*RGB_OF[colour], 255)
    return drawing
