"""Where data files, and the media that they name, lie in a folder that somebody else laid out.

Knows: the authors' tree, COCO's, LLaVA's and MiniGPT-4's folders of media, by looking around.
Leaves to others: what stands in the files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from nextgpt_lite.data.stream import SUFFIXES
from nextgpt_lite.errors import DataError
from nextgpt_lite.media import check_name, safe_path
from nextgpt_lite.model.modality import MODALITIES

HELD_OUT_SUFFIX = "_held_out"
EMBEDDINGS = "embed"
AROUND = 64  # folders that are looked into for a medium


def data_files(folder: str | Path, held_out: bool = False) -> list[Path]:
    """The data files in a folder and below it, in the order of names; a file stands for itself.

    Folders of media, and those whose names begin with a dot, are not looked into.

    Args:
        folder: such as `data_samples`.
        held_out: the files whose name ends in "_held_out" instead of all others.

    Raises:
        DataError: there is none.
    """
    if Path(folder).is_file():
        return [Path(folder)]
    files = [
        path for path in _walk(Path(folder)) if path.stem.endswith(HELD_OUT_SUFFIX) == held_out
    ]
    if not files:
        raise DataError(
            f"{folder}: no data file lies there; give a folder of {', '.join(SUFFIXES)} files."
        )
    return files


def _walk(folder: Path) -> Iterator[Path]:
    media = {name for row in MODALITIES.values() for name in (row.name, row.plural)}
    media = {*media, EMBEDDINGS, "__pycache__"}
    seen = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        folders[:] = sorted(f for f in folders if f not in media and not f.startswith("."))
        if real in seen:  # links that go round
            folders[:] = []
            continue
        seen.add(real)
        for name in sorted(names):
            path = Path(place) / name
            whole = is_there(path) or path.is_symlink()  # no pipe, which would never end
            if whole and name.lower().endswith(SUFFIXES) and not name.startswith("."):
                yield path


def is_there(path: Path) -> bool:
    """Whether a file lies there; not where its name is too long, or nobody may look."""
    try:
        return path.is_file()
    except OSError:
        return False


def find_medium(path: Path, root: Path, modality: str, names: Sequence[str]) -> str:
    """Where a medium lies, relative to the root: the first of its possible names that is there.

    It is looked for in the modality's folder beside the file that names it, then around; where it
    is nowhere, its first name in that folder is given.

    Raises:
        MediaError: a name leads out of the folder.
    """
    usual = path.parent / MODALITIES[modality].plural
    for name in names:
        check_name(usual, name)
    for folder in (usual, *_around(path.parent, root, modality)):
        for name in names:
            if is_there(folder / name):
                safe_path(root, folder.relative_to(root) / name)
                return (folder / name).relative_to(root).as_posix()
    return (usual / names[0]).relative_to(root).as_posix()


def find_condition(path: Path, root: Path, name: str) -> str:
    """Where a condition computed before lies, relative to the root; its name where it does not."""
    for folder in _upwards(path.parent, root):
        if is_there(folder / EMBEDDINGS / name):
            return (folder / EMBEDDINGS / name).relative_to(root).as_posix()
    return name


@lru_cache(maxsize=256)
def _around(folder: Path, root: Path, modality: str) -> tuple[Path, ...]:
    """The file's folder, the folders in it and in its folders of media; the same further up."""
    row = MODALITIES[modality]
    found: dict[Path, None] = {}
    for place in _upwards(folder, root):
        within = _folders(place)
        named = [each for each in within if each.name in (row.name, row.plural)]
        deeper = [inner for each in named for inner in _folders(each)]
        found |= dict.fromkeys([place, *named, *deeper, *within])
    return tuple(found)[:AROUND]


def _folders(place: Path) -> list[Path]:
    with suppress(OSError):  # nobody may look into it
        return sorted(each for each in place.iterdir() if each.is_dir() and each.name[0] != ".")
    return []


def _upwards(folder: Path, root: Path) -> list[Path]:
    return [each for each in (folder, *folder.parents) if each.is_relative_to(root)]
