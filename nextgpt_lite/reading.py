"""Reading files that this package wrote or is given, so that damage is said in a sentence.

A file may be cut off, empty, a Git LFS pointer, flipped in a bit, not UTF-8, nested without end, of
other types than its reader expects. Every reader here raises `DamagedError` then, which names file,
field and remedy; where another library reads, `reading` says so for it. A finished folder keeps
the SHA-256 sums of its files, and `check_sums` compares them.

Knows: text, JSON, JSON lines, YAML, CSV, tensors, sums. Leaves to others: what is in them, and
media (`media.files`).
"""

from __future__ import annotations

import csv
import io
import json
import pickle
import re
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nextgpt_lite.errors import DamagedError, MissingError, NextGPTError

if TYPE_CHECKING:
    from torch import Tensor

SUMS = "SHA256SUMS"
AGAIN = "fetch or write it again"
OBJECT = dict[str, Any]
LARGEST = 5 * 10**8  # of the sizes in a configuration: more would only fill the memory
DEEPEST = 1000  # of its counts of layers and blocks
BY_HAND = re.compile(r"\.md$|^nextgpt_lite\.json$")  # prose, and settings of a decoder
_LFS = b"version https://git-lfs.github.com/spec/"
_LINE = re.compile(r"([0-9a-f]{64})  (\S.*)")
_FATAL = (KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError, ImportError)


@contextmanager
def reading(place: Path, *names: str, remedy: str = AGAIN) -> Iterator[None]:
    """Whatever goes wrong within is told as damage of `place`.

    For readers of other libraries, which raise anything (KeyError, jinja's and tokenizers' errors,
    RecursionError, a Rust panic), and for what is made of the values of a file.

    Args:
        place: the file, or the folder that is read.
        names: patterns of those files of the folder that it could be.

    Raises:
        DamagedError: in one sentence. One that names a file already is left as it is.
    """
    try:
        yield
    except _FATAL:
        raise
    except BaseException as error:
        if isinstance(error, NextGPTError | OSError) and _names_a_file(error, place):
            raise
        if place.is_file():
            _refuse_pointer(place)
        found = [path for name in names for path in sorted(place.glob(name)) if path.is_file()]
        for path in found:
            _refuse_pointer(path)
        listed = ", ".join(path.relative_to(place).as_posix() for path in found)
        what = f"{place}: {listed} cannot be used together" if listed else f"{place} cannot be used"
        raise DamagedError(f"{what} ({said(error)}): {remedy}.") from error


def _names_a_file(error: Exception, place: Path) -> bool:
    """Whether it names `place`, or any file or folder; a value that looks like one is none."""
    words = [word.rstrip(".,:") for word in re.split(r"[\s'\"()]+", f"{error}")]
    paths = [word for word in words if re.search(r"[/\\][^/\\.]", word)]
    if isinstance(error, OSError):  # of what is missing, too
        return bool(paths)
    above = place.absolute().parents  # which says too little
    named = (Path(path) for path in paths if Path(path).exists())
    return f"{place}" in f"{error}" or any(path.absolute() not in above for path in named)


def said(error: BaseException) -> str:
    """An error in a few words, on one line."""
    words = " ".join(str(error).split())
    if isinstance(error, KeyError):
        return f"field {words} is missing"
    words = f"{words[:197]}..." if len(words) > 200 else words.rstrip(".")
    if isinstance(error, ValueError | OSError | RuntimeError | NextGPTError) and words:
        return words
    return f"{type(error).__name__}: {words}".removesuffix(": ")


def read_text(path: Path, remedy: str = AGAIN) -> str:
    """A text file in UTF-8, with or without a byte order mark.

    Raises:
        MissingError: it is not there.
        DamagedError: it is no such text.
    """
    if not path.is_file():
        raise MissingError(f"{path} is missing: {remedy}.")
    _refuse_pointer(path)
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DamagedError(f"{path} is no text in UTF-8 ({said(error)}): {remedy}.") from error


def read_json(path: Path, schema: Any = OBJECT, remedy: str = AGAIN) -> Any:
    """The values of a JSON file.

    Args:
        schema: a type that they must have: `dict[str, int]`, a TypedDict, a dataclass, ...
        remedy: what to do when they cannot be read.

    Raises:
        MissingError: it is not there.
        DamagedError: it is no JSON, or a field of it has another type.
    """
    text = read_text(path, remedy)
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        what = "is empty" if not text.strip() else f"is no JSON ({said(error)})"
        raise DamagedError(f"{path} {what}: {remedy}.") from error
    return checked(values, schema, f"{path}", remedy)


def read_sizes(path: Path, schema: Any = OBJECT, remedy: str = AGAIN) -> Any:
    """`read_json` of a file that says how large something is, before any memory is taken for it.

    Raises:
        MissingError, DamagedError: as of `read_json`; a size or a count is beyond all that exist.
    """
    values = read_json(path, remedy=remedy)
    _check_sizes(values, path, remedy)
    return checked(values, schema, f"{path}", remedy)


def _check_sizes(values: Any, path: Path, remedy: str, field: str = "") -> None:
    pairs = values.items() if isinstance(values, dict) else enumerate(values)
    for key, value in pairs:
        name = f"{field}.{key}".lstrip(".")
        if isinstance(value, dict | list):
            _check_sizes(value, path, remedy, name)
        elif isinstance(value, int | float) and not re.search("theta|base|eps", name):
            counted = re.search("(layers|blocks|depth)$", name) and not isinstance(values, list)
            least, most = (0, DEEPEST) if counted else (-LARGEST, LARGEST)
            if not least <= value <= most:
                what = "too little" if value < least else "too much"
                raise DamagedError(f"{path}: field {name!r} is {value!r:.20}, {what}: {remedy}.")


def read_lines(path: Path, schema: Any = OBJECT, remedy: str = "remove the line") -> list[Any]:
    """The values of a file of JSON lines; what stands behind its last line break was cut off.

    Raises:
        MissingError, DamagedError: as of `read_json`; names the line.
    """
    found = []
    text = read_text(path)
    for number, line in enumerate(text[: text.rfind("\n") + 1].split("\n"), 1):
        if line.strip():
            where = f"{path}, line {number}"
            try:
                values = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DamagedError(f"{where} is no JSON ({said(error)}): {remedy}.") from error
            found.append(checked(values, schema, where, remedy))
    return found


def whole_length(content: bytes, cells: bool = False) -> int:
    """How much of a file of lines a kill has left whole: up to the last line break.

    Args:
        cells: it is a CSV, in whose quoted cells line breaks end no row.
    """
    end = content.rfind(b"\n")
    while cells and end >= 0 and content.count(b'"', 0, end) % 2:
        end = content.rfind(b"\n", 0, end)
    return end + 1


def read_yaml(path: Path, schema: Any = OBJECT, remedy: str = "correct it") -> Any:
    """The values of a YAML file; raises as `read_json` does."""
    return checked(parse_yaml(read_text(path), f"{path}", remedy), schema, f"{path}", remedy)


def parse_yaml(text: str, where: str, remedy: str = "correct it") -> Any:
    """The values of a YAML text; raises DamagedError when it is none."""
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DamagedError(f"{where} is no YAML ({said(error)}): {remedy}.") from error


def read_csv(
    path: Path, needed: Sequence[str], whole: bool = False, delimiter: str = ",",
    remedy: str = AGAIN,
) -> list[dict[str, str]]:  # fmt: skip
    """The rows of a table, each by its columns.

    Args:
        needed: columns that must be there.
        whole: its rows are appended one after the other, so that one without its line break was
            cut off and is left out.

    Raises:
        MissingError: it is not there.
        DamagedError: a column is missing, or a row has fewer or more cells than the head.
    """
    text = read_text(path, remedy)
    if whole:
        text = text.encode()[: whole_length(text.encode(), cells=True)].decode()
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=whole, delimiter=delimiter)
    limit = csv.field_size_limit(sys.maxsize)  # cells hold whole images
    try:
        head = rows.fieldnames or ()
        if missing := [name for name in needed if name not in head]:
            raise DamagedError(f"{path}: column {missing[0]!r} is missing: {remedy}.")
        found = []
        for row in rows:
            if None in row or None in row.values():
                raise DamagedError(
                    f"{path}, line {rows.line_num} has not {len(head)} cells: {remedy}."
                )
            found.append(row)
    except csv.Error as error:
        raise DamagedError(
            f"{path}, line {rows.line_num + 1} is no CSV ({said(error)}): {remedy}."
        ) from error
    finally:
        csv.field_size_limit(limit)
    return found


def checked(values: Any, schema: Any, where: str, remedy: str = AGAIN) -> Any:
    """Values in the form of a type; the first field that does not fit is named.

    Raises:
        DamagedError: one does not.
    """
    from pydantic import ValidationError

    try:
        return _adapter(schema).validate_python(values)
    except ValidationError as error:
        wrong = error.errors()[0]
    cause = wrong.get("ctx", {}).get("error")
    if isinstance(cause, NextGPTError):  # said by a dataclass, about several of its fields
        if f"{cause}".startswith(where):
            raise cause
        raise DamagedError(f"{where}: {said(cause)}: {remedy}.")
    # Where several types are possible pydantic names them too: "int", "dict[str,...]".
    place = [str(p) for p in wrong["loc"] if isinstance(p, int) or f"{p}".isidentifier()]
    field = f"field {'.'.join(place)!r} " if place else "the whole "
    given = " ".join(repr(wrong["input"]).split())
    given = given if len(given) < 60 else f"{given[:57]}..."
    if wrong["type"] == "missing":
        raise DamagedError(f"{where}: {field}is missing: {remedy}.")
    wish = wrong["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    raise DamagedError(f"{where}: {field}is {given} ({wish.rstrip('.')}): {remedy}.")


@cache
def _adapter(schema: Any) -> Any:
    from pydantic import TypeAdapter  # costs a tenth of a second, and most programs read no file

    return TypeAdapter(schema)


# --- tensors ------------------------------------------------------------------------------------


def read_tensors(
    path: Path, wanted: Callable[[str], bool] | None = None, remedy: str = AGAIN
) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a pickle that holds nothing else.

    Args:
        wanted: which of them, by name; the others stay on the disk.

    Raises:
        MissingError: it is not there.
        DamagedError: it is cut off, is no such file, or a tensor holds NaN or infinity.
    """
    import torch
    from safetensors import safe_open

    if not path.is_file():
        raise MissingError(f"{path} is missing: {remedy}.")
    _refuse_pointer(path)
    with reading(path, remedy=remedy):
        if path.suffix == ".safetensors":
            with safe_open(path, "pt") as file:
                found = {n: file.get_tensor(n) for n in file.keys() if not wanted or wanted(n)}  # noqa: SIM118
        else:
            state = _unpickled(path)
            if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
                raise DamagedError(f"{path} is damaged or holds more than tensors: {remedy}.")
            found = {n: t for n, t in state.items() if not wanted or wanted(n)}
        check_finite(found, f"{path}", remedy)
    return found


def _unpickled(path: Path) -> Any:
    """What a pickle of tensors holds; None where it is damaged or wants to run code."""
    import torch

    mapped = zipfile.is_zipfile(path)  # not so before PyTorch 1.6
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except (pickle.UnpicklingError, EOFError, RuntimeError, ValueError, LookupError, TypeError):
        return None


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of a .safetensors file's tensors, without reading them; raises likewise."""
    from safetensors import safe_open

    if not path.is_file():
        raise MissingError(f"{path} is missing: {AGAIN}.")
    _refuse_pointer(path)
    with reading(path), safe_open(path, "pt") as file:
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def check_finite(tensors: Mapping[str, Tensor], where: str, remedy: str = AGAIN) -> None:
    """Refuses weights that hold NaN or infinity; a mask may.

    Raises:
        DamagedError: naming the tensor.
    """
    import torch

    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or tensor.is_meta or name.endswith("mask"):
            continue
        # A sum is read once and needs no memory; each value that is not finite spoils it.
        if not torch.isfinite(tensor.detach().sum(dtype=torch.float32)):
            raise DamagedError(f"{where}: tensor {name!r} holds NaN or infinity: {remedy}.")


def check_weights(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """`check_finite` of what another library loaded from a folder; names the file."""
    try:
        check_finite(tensors, f"{folder}")
    except DamagedError:
        for pattern in ("*.safetensors", "*.bin"):
            for path in sorted(folder.rglob(pattern)):
                read_tensors(path)
        raise


def _refuse_pointer(path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(_LFS)) == _LFS:
            raise DamagedError(
                f"{path} is a Git LFS pointer, not the file itself: run `git lfs pull` in its "
                "repository, or fetch the file."
            )


# --- sums ---------------------------------------------------------------------------------------


def write_sums(folder: Path, files: Iterable[Path] | None = None) -> Path:
    """Writes the SHA-256 of a finished folder's files as `sha256sum -c` reads them.

    Args:
        files: which; None takes all that nobody changes by hand.
    """
    if files is None:
        files = (p for p in folder.rglob("*") if p.is_file() and not BY_HAND.search(p.name))
    named = sorted(f"{path.relative_to(folder).as_posix()}" for path in files)
    lines = [f"{sha256(folder / name)}  {name}\n" for name in named if name != SUMS]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
    return folder / SUMS


def read_sums(folder: Path) -> dict[str, str]:
    """The sums of a folder by file name.

    Raises:
        MissingError, DamagedError: there are none, or they are cut off.
    """
    path = folder / SUMS
    text = read_text(path)
    found = [_LINE.fullmatch(line) for line in text.splitlines()]
    if not found or not text.endswith("\n") or None in found:
        raise DamagedError(f"{path} is cut off: {AGAIN}.")
    return {match[2]: match[1] for match in found if match}


def check_sums(folder: Path) -> None:
    """Compares a folder's files with its sums, where it has some.

    Raises:
        MissingError, DamagedError: naming the file that is not as it was written.
    """
    for name, digest in read_sums(folder).items() if (folder / SUMS).is_file() else ():
        path = folder / name
        if ".." in Path(name).parts or not path.is_file():
            raise MissingError(f"{path} is missing, though {SUMS} lists it: copy the folder again.")
        if sha256(path) != digest:
            _refuse_pointer(path)
            raise DamagedError(
                f"{path} is not what was written ({SUMS} says so): copy it again; if you changed "
                f"it yourself, run `nextgpt-lite sums {folder}`."
            )


def sha256(path: Path) -> str:
    """Of a file."""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
