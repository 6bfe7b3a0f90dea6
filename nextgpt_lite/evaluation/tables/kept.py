"""What a model made for a table, kept part by part, so that a run that was broken off goes on.

Knows: files of texts, numbers, images, audio and videos, bit for bit as they were made. Leaves to
others: which model and which items they belong to (`sheet`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from nextgpt_lite.media import Audio, Video
from nextgpt_lite.reading import reading
from nextgpt_lite.writing import beside


def in_parts(
    folder: Path | None,
    name: str,
    count: int,
    size: int,
    make: Callable[[range], Sequence[Any]],
) -> list[Any]:
    """What `make` gives for numbers 0 to `count`, asked for `size` numbers at a time.

    Args:
        folder: where each part is kept as soon as it is made, and found again; None keeps none.
        name: of what is made, another one for each row and set of a table.

    Raises:
        DamagedError: a kept part is not whole.
    """
    made: list[Any] = []
    for start in tqdm(range(0, count, size), desc=name, leave=False):
        part = range(start, min(start + size, count))
        path = None if folder is None else folder / name.replace(" ", "-") / f"{start:07}.npz"
        if path is not None and path.is_file():
            with reading(path, remedy="remove it, and it is made again"), np.load(path) as found:
                made += [_unpacked(found[f"{i}"], found[f"{i} rate"]) for i in part]
            continue
        new = make(part)
        made += new
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            arrays = {}
            for i, each in zip(part, new, strict=True):
                arrays[f"{i}"], arrays[f"{i} rate"] = _packed(each)
            with beside(path) as draft, draft.open("wb") as file:
                np.savez(file, **arrays)
    return made


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
