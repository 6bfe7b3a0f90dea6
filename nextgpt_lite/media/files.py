"""Media files before they are decoded: whether they can be read, what they are, where they lie.

Knows: how to say in one sentence what is wrong with a file; numbers of any shape. Leaves to others:
decoding (`images`, `audios`, `videos`), what bytes mean (`formats`).
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from nextgpt_lite.errors import MediaError
from nextgpt_lite.media.formats import is_cut_off, sniff

MAX_BYTES = 2 * 2**30  # a larger file is refused unread


def load_array(path: str | Path) -> np.ndarray:
    """Reads numbers of any shape from an NPY file; pickles are refused."""
    path = present(path)
    try:
        array: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise refused(
            path, "is damaged or no NPY file of numbers", "write it with numpy"
        ) from error
    if not isinstance(array, np.ndarray) or not np.issubdtype(array.dtype, np.number):
        raise refused(path, "holds no numbers", "write it with numpy.save")
    return array


def save_array(array: Any, path: str | Path) -> None:
    """Writes an NPY file."""
    with made(path).open("wb") as file:  # numpy.save would add its own suffix to another
        np.save(file, np.asarray(array), allow_pickle=False)


_trusted: set[Path] = set()  # folders out of which links may lead


def follow_links(folder: str | Path) -> None:
    """Lets links in a folder of the user's own lead anywhere, from now on in this process."""
    _trusted.add(Path(folder).resolve())


def safe_path(folder: str | Path, name: str | Path) -> Path:
    """Where the media file `name` of a data file lies: always inside `folder`, else MediaError.

    Absolute names, "..", and links that lead out of the folder are refused; not those of the
    Hugging Face cache from a snapshot to its blobs, nor those of a folder given to `follow_links`.
    """
    check_name(folder, name)
    path, home = Path(folder) / name, Path(folder).resolve()
    target = path.resolve()
    if target.is_relative_to(home) or _trusted & {home, *home.parents}:
        return path
    for snapshots in home.parents:
        if snapshots.name == "snapshots" and target.is_relative_to(snapshots.parent / "blobs"):
            return path
    raise MediaError(
        f"{str(name)!r} points outside its data folder {folder}: name a file inside that folder, "
        "or let links lead out of it with --follow-links (in Python media.follow_links(folder))"
    )


def check_name(folder: str | Path, name: str | Path) -> None:
    """Refuses a name that by itself leads out of a folder: MediaError."""
    name = str(name)
    windows = PureWindowsPath(name)  # also splits at "/", so one look serves both kinds of names
    unsafe = (
        not name
        or "\0" in name
        or PurePosixPath(name).is_absolute()
        or bool(windows.anchor)
        or ".." in windows.parts
    )
    if unsafe:
        raise MediaError(
            f"{name!r} points outside its data folder {folder}: name a file inside that folder"
        )


def refused(path: str | Path, wrong: str, remedy: str) -> MediaError:
    """The error that names a file, what is wrong with it, and what to do."""
    return MediaError(f"{path} {wrong}: {remedy} or choose another file")


def present(path: str | Path) -> Path:
    """The path of a file that can be read and is neither empty nor too large."""
    path = Path(path)
    try:
        is_there = path.exists()
    except (OSError, ValueError):  # longer than a name can be, or with a zero byte in it
        is_there, path = False, Path(f"{str(path)[:60]}...")
    if not is_there:
        raise refused(path, "does not exist", "correct the path")
    if path.is_dir():
        raise refused(path, "is a folder", "name a file inside it")
    try:
        with path.open("rb"):
            size = path.stat().st_size
    except OSError as error:
        raise refused(path, f"cannot be read ({error.strerror})", "check it") from error
    if size == 0:
        raise refused(path, "is empty (0 bytes)", "save or download it again")
    if size > MAX_BYTES:
        raise refused(path, f"is larger than {MAX_BYTES // 2**30} GiB", "cut it into pieces")
    return path


def checked(path: str | Path, *accepted: str) -> Path:
    """The path, once it is known to be a whole file of an accepted modality or format."""
    path = present(path)
    form = sniff(path)
    if form is None:
        raise refused(path, f"is no known {accepted[0]} format", "convert it to PNG, WAV or MP4")
    if form.modality not in accepted and form.name not in accepted:
        known = form.modality in ("image", "audio", "video")
        remedy = f"pass it as {form.modality}" if known else "unpack or convert it"
        raise refused(path, f"is really of type {form.name}, not {accepted[0]}", remedy)
    if form.name != "WAV" and is_cut_off(path, form):  # whose headers are wrong as often
        raise refused(
            path, "is cut off (shorter than its header says)", "save or download it again"
        )
    return path


def made(path: str | Path) -> Path:
    """The path of a file that is going to be written, its folder made."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return Path(path)
