"""What a model made for a table, kept part by part: a run goes on, several processes share one.

Knows: files of texts, numbers, images, audio and videos, bit for bit as they were made. Leaves to
others: which model and which items they belong to (`sheet`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filelock import Timeout
from PIL import Image
from tqdm.auto import tqdm

from nextgpt_lite.media import Audio, Video
from nextgpt_lite.reading import reading
from nextgpt_lite.writing import beside, locked


def in_parts(
    folder: Path | None,
    name: str,
    count: int,
    size: int,
    make: Callable[[range], Sequence[Any]],
) -> list[Any]:
    """What `make` gives for numbers 0 to `count`, asked for `size` numbers at a time.

    Processes that were given the same folder share the parts among them, each of which gets all.

    Args:
        folder: where each part is kept as soon as it is made, and found again; None keeps none.
        name: of what is made, another one for each row and set of a table.

    Raises:
        DamagedError: a kept part is not whole.
    """
    parts = [range(start, min(start + size, count)) for start in range(0, count, size)]
    bar = tqdm(parts, desc=name, leave=False)
    if folder is None:
        return [each for part in bar for each in make(part)]
    place = folder / name.replace(" ", "-")
    place.mkdir(parents=True, exist_ok=True)
    held = [part for part in bar if not _kept(place, part, make, wait=0)]
    for part in held:  # by other processes, which may have been killed
        _kept(place, part, make, wait=-1)
    made: list[Any] = []
    for part in parts:
        path = _path(place, part)
        with reading(path, remedy="remove it, and it is made again"), np.load(path) as found:
            made += [_unpacked(found[f"{i}"], found[f"{i} rate"]) for i in part]
    return made


def _kept(place: Path, part: range, make: Callable[[range], Sequence[Any]], wait: float) -> bool:
    """Sees to it that a part is there; False where another process makes it still.

    Args:
        wait: seconds for that process; -1 waits for its end.
    """
    path = _path(place, part)
    if path.is_file():
        return True
    try:
        with locked(path).acquire(timeout=wait):
            if not path.is_file():
                arrays = {}
                for i, each in zip(part, make(part), strict=True):
                    arrays[f"{i}"], arrays[f"{i} rate"] = _packed(each)
                with beside(path) as draft, draft.open("wb") as file:
                    np.savez(file, **arrays)
    except Timeout:
        return False
    return True


def _path(place: Path, part: range) -> Path:
    return place / f"{part.start:07}.npz"


def _packed(made: Any) -> tuple[Any, float]:
    """Its array and its rate; 0 where it has none."""
    match made:
        case Audio():
            return made.samples, made.rate
        case Video():
            return made.frames, made.fps
    return np.asarray(made), 0


def _unpacked(array: np.ndarray, rate: np.ndarray) -> Any:
    if array.ndim == 0:
        return array.item()
    if array.ndim == 2 and rate:
        return Audio(array, int(rate))
    return Video(array, float(rate)) if rate else Image.fromarray(array)
