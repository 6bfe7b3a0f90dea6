"""Writing files so that a kill, a full disk or another process loses nothing of them.

Knows: drafts that are renamed when whole, lines added by one writer at a time, folders that are
tried before hours are spent on what goes into them. Leaves to others: what is written, and reading
it (`reading`).
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar
from uuid import uuid4

from filelock import FileLock, Timeout
from safetensors import SafetensorError

from nextgpt_lite.errors import RunError
from nextgpt_lite.reading import read_json, read_lines, whole_length

Entry = TypeVar("Entry")


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Gives a place to write beside `path`, and renames it to `path` once all is on the disk.

    If the writing is cut off, even by SIGKILL or a power cut, `path` stays as it was before:
    without the wait for the disk, a file system may keep the new name and lose what is in it.

    Raises:
        OSError: in one sentence: the disk is full, the folder is read-only, ...
    """
    draft = path.with_suffix(".writing")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove(draft)  # left by a run that was killed
        yield draft
        for written in (*draft.iterdir(), draft) if draft.is_dir() else (draft,):
            _to_disk(written)
        draft.replace(path)  # atomic on one file system
        _to_disk(path.parent)
    except (OSError, RuntimeError, SafetensorError) as error:
        with suppress(OSError):
            remove(draft)
        raise _unwritten(path, error) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A place to write that no other process has, put in the place of `path` once it is written.

    For what only saves time and may be lost: it waits for no disk, and raises what comes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{uuid4().hex}{path.suffix}")
    yield draft
    draft.replace(path)


def append(path: Path, text: str, head: str = "") -> None:
    """Adds whole lines to a file, after those that any other process adds.

    What a kill has left of a last line is taken away first.

    Args:
        head: what a new file begins with.

    Raises:
        OSError: in one sentence, as of `beside`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path), path.open("a+b") as file:
            length = _whole(file, path.suffix == ".csv")
            file.truncate(length)
            file.write((text if length else head + text).encode())
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise _unwritten(path, error) from error


def _whole(file: BinaryIO, cells: bool) -> int:
    length = file.seek(0, os.SEEK_END)
    if length and not cells:  # only the last byte is looked at: a file may have a million lines
        file.seek(length - 1)
        if file.read(1) == b"\n":
            return length
    file.seek(0)
    return whole_length(file.read(), cells)


def locked(path: Path) -> FileLock:
    """A context in which no other process, and no other thread, changes a file through here."""
    return FileLock(path.with_name(f".{path.name}.lock"))


class Journal(Generic[Entry]):
    """What a person says, one line each, written at once, so that a session goes on.

    Several windows may write into one file.

    Args:
        path: the file that is gone on with, or made.
        schema: dataclass of a line.

    Raises:
        DamagedError: a line cannot be read; a last one that a crash has cut off is left out.
    """

    def __init__(self, path: Path, schema: type[Entry]) -> None:
        self.path, self.schema = path, schema
        self.entries: list[Entry] = []
        self.look_again()

    def look_again(self) -> None:
        """Another window may have added to the file."""
        if self.path.is_file():
            self.entries = read_lines(self.path, self.schema)

    def add(self, entry: Entry) -> None:
        """Writes one more; raises OSError as `append` does."""
        append(self.path, _line(entry))
        self.entries.append(entry)

    def undo(self) -> None:
        """Takes the latest back, whichever window it was written in."""
        with locked(self.path):
            self.look_again()
            if self.entries:
                self.entries.pop()
                with beside(self.path) as draft:
                    draft.write_text("".join(map(_line, self.entries)), encoding="utf-8")


def _line(entry: Any) -> str:
    return json.dumps(asdict(entry)) + "\n"


@contextmanager
def owned(folder: Path) -> Iterator[None]:
    """A context in which this process alone writes into a folder, which is made and tried.

    Raises:
        RunError: another process has it; names that.
        OSError: in one sentence: nothing can be written there.
    """
    usable(folder)
    note, lock = folder / ".writer.json", FileLock(folder / ".writer.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        process = "another process"
        with suppress(OSError, ValueError, KeyError):
            process = f"process {read_json(note)['process']}"
        raise RunError(
            f"{folder} is being written by {process}: wait for it, or choose another --output."
        ) from error
    try:
        note.write_text(json.dumps({"process": os.getpid()}), encoding="utf-8")
        yield
    finally:
        with suppress(OSError):
            note.unlink()
        lock.release()


def usable(folder: Path) -> Path:
    """Makes a folder and tries to write into it, before anything is computed for it.

    Raises:
        OSError: in one sentence, as of `beside`.
    """
    probe = folder / f".{os.getpid()}.probe"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(bytes(4096))
        probe.unlink()
    except OSError as error:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
        raise _unwritten(folder, error) from error
    return folder


def _unwritten(path: Path, error: Exception) -> OSError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else error
    return OSError(
        f"{path} cannot be written ({why}): make room or make the folder writable, then start "
        "again (a training with --resume); what was saved before is whole."
    )


def _to_disk(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk; Windows syncs no folders."""
    if path.is_dir() and sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """A file or a folder, if there is one."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
