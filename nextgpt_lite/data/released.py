"""The file formats that the authors released, read into records.

Knows: the fields of the pair, comprehension, generation, T2M, T+X-T and MosIT files, and their
quirks: a string or a list, an id as number or text, line ends in captions, `conversation` or
`conversations`, `<image>` placeholders or `<Image>name</Image>` inline, conditions computed before.
Leaves to others: writing (`writing`), other projects' formats (`foreign`), long files (`stream`,
`folder`), opening media (`media`), tokens (`conversation`), what the samples show.

A media file is named without its folder and lies in `images/`, `audios/` or `videos/` beside the
JSON file; a record's "path" is relative to the folder that is read and never leads out of it. A
condition computed before lies in `embed/`, there or in the folder that is read; a record's
"embedding" is its path, or its bare name where there is no such file.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nextgpt_lite.data import foreign
from nextgpt_lite.data.records import Kind, Record
from nextgpt_lite.data.stream import items, parse
from nextgpt_lite.errors import DataError
from nextgpt_lite.media import safe_path
from nextgpt_lite.messages import Message, Part, Role, parts_of
from nextgpt_lite.model.modality import MODALITIES

HELD_OUT_SUFFIX = "_held_out"
EMBEDDING_SUFFIX = ".npy"
EMBEDDINGS = "embed"
_ROLES: dict[str, Role] = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
}

Item = dict[str, Any]


class Report:
    """What was skipped while reading, and why: every file counted, the first reasons in full."""

    SHOWN = 10

    def __init__(self) -> None:
        self.read = 0
        self.skipped: Counter[str] = Counter()
        self.reasons: list[str] = []

    def skip(self, path: Path, reason: str) -> None:
        """Notes an item (or a whole file) that was left out."""
        self.skipped[str(path)] += 1
        if len(self.reasons) < self.SHOWN:
            self.reasons.append(reason)

    def __str__(self) -> str:
        total = sum(self.skipped.values())
        if not total:
            return f"{self.read} items read, none skipped"
        files = ", ".join(f"{count} in {name}" for name, count in self.skipped.items())
        lines = [f"{self.read} items read, {total} skipped: {files}", *self.reasons]
        if total > len(self.reasons):
            lines.append(f"... and {total - len(self.reasons)} more")
        return "\n".join(lines)


def data_files(folder: str | Path, held_out: bool = False) -> list[Path]:
    """The JSON files in a folder and in the folders right inside it, in the order of names.

    Args:
        folder: such as `data_samples`.
        held_out: the files whose name ends in "_held_out" instead of all others.

    Raises:
        DataError: there is none.
    """
    found = sorted([*Path(folder).glob("*.json"), *Path(folder).glob("*/*.json")])
    files = [path for path in found if path.stem.endswith(HELD_OUT_SUFFIX) == held_out]
    if not files:
        raise DataError(f"{folder}: no JSON data file lies there; give a folder of data files.")
    return files


def read_folder(
    folder: str | Path, held_out: bool = False, report: Report | None = None
) -> list[Record]:
    """Reads every file of `data_files` into memory; `folder.Records` does so one by one.

    Args:
        folder: the data folder.
        held_out: as in `data_files`.
        report: told of what is skipped; without one, the first wrong item raises ValueError.
    """
    folder = Path(folder)
    return [
        record
        for path in data_files(folder, held_out)
        for record in read_file(path, folder, report)
    ]


def read_file(
    path: str | Path, root: Path | None = None, report: Report | None = None
) -> list[Record]:
    """Reads one file, each item in whichever of the formats its fields show.

    Args:
        path: the file.
        root: the data folder; None means the file's own.
        report: told of what is skipped, instead of raising.

    Raises:
        DataError: naming the file, the item and the field that is missing or wrong.
        MediaError: a media name leads out of the folder.
    """
    path = Path(path)
    root = path.parent if root is None else root
    return [record for _, record in read_items(path, root, report)]


def read_items(path: Path, root: Path, report: Report | None) -> Iterator[tuple[Any, Record]]:
    """(place in the file, record) of each item; holds one at a time. See `read_file`."""
    try:
        for span, raw in items(path):
            try:
                record = read_item(
                    parse(raw, f"{path}, item {span.number}"), path, root, span.number
                )
            except ValueError as error:
                if report is None:
                    raise
                report.skip(path, str(error))
                continue
            if report is not None:
                report.read += 1
            yield span, record
    except ValueError as error:
        if report is None:
            raise
        if str(error) not in report.reasons:
            report.skip(path, str(error))


def read_item(item: Any, path: Path, root: Path, number: int) -> Record:
    """The record of item `number` of a file; raises ValueError as `read_file` does."""
    where = f"{path}, item {number}"
    try:
        record = _read_item(item, path, f"{path.stem}_{number:06d}")
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise DataError(f"{where}: lacks or misuses {error}; see the data sheet.") from error
    except ValueError as error:
        raise type(error)(f"{where}: {error}") from error
    between = path.parent.relative_to(root)
    for message in record.messages:
        for part in parts_of(message):
            if "path" in part:
                part["path"] = str(between / part["path"])
            if "embedding" in part:
                part["embedding"] = _embedding(part["embedding"], path.parent, root)
    return record


def _embedding(name: str, folder: Path, root: Path) -> str:
    """Where a condition computed before lies, relative to the root; its name where it does not."""
    for place in (folder, root):
        if (place / EMBEDDINGS / name).is_file():
            return str((place / EMBEDDINGS / name).relative_to(root))
    return name


def _read_item(item: Item, path: Path, fallback: str) -> Record:
    if not isinstance(item, dict):
        raise DataError(f"is a {type(item).__name__} and no object; see the data sheet.")
    if (messages := foreign.read(item, lambda m, name: _media_path(path, m, name))) is not None:
        kind = "pair" if "image_id" in item else _kind(messages, "")
        return Record(str(item.get("id", fallback)), messages, kind)
    if "conversations" not in item and "conversation" not in item:
        return _read_pair(item, path)
    turns = item["conversations" if "conversations" in item else "conversation"]
    identity = str(item.get("id", fallback))
    if any(f"{modality}_list" in item for modality in MODALITIES):
        messages = _read_inline(item, turns, path)
    else:
        messages = _read_placeholders(item, turns, path)
    return Record(identity, messages, _kind(messages, path.stem.removesuffix(HELD_OUT_SUFFIX)))


def _read_pair(item: Item, path: Path) -> Record:
    modality = next((m for m in MODALITIES if f"{m}_name" in item), None)
    if modality is None:
        _refuse_unknown(item, r"(\w+)_name")
        raise DataError("has neither a conversation nor a media name; see the data sheet.")
    words = _clean(item["caption"])
    media: Part = {"type": modality, "path": _media_path(path, modality, item[f"{modality}_name"])}
    identity = item.get(MODALITIES[modality].pair_id, item.get("id", media["path"]))
    messages: list[Message] = [
        {"role": "user", "content": [media]},
        {"role": "assistant", "content": [{"type": "text", "text": words}]},
    ]
    return Record(str(identity), messages, "pair")


def _read_placeholders(item: Item, turns: list[Item], path: Path) -> list[Message]:
    """Comprehension, generation, T2M, T+X-T and processed MosIT: media are counted off."""
    _refuse_unknown(item, r"(?:input|output)_(\w+)")
    placeholder = re.compile(rf"<({'|'.join(MODALITIES)})>")
    waiting = {
        "user": {m: iter(_shown(item, m, path)) for m in MODALITIES},
        "assistant": {m: iter(_made(item, m, path)) for m in MODALITIES},
    }
    messages: list[Message] = []
    for turn in turns:
        role = _ROLES[turn["from"]]
        content: list[Part] = []
        words = placeholder.split(turn["value"])  # text, modality, text, modality, text, ...
        for index, word in enumerate(words):
            if index % 2:
                content.append(next(waiting[role][word], Part(type=word)))
            elif text := _clean(word):
                content.append({"type": "text", "text": text})
        if role == "assistant" and isinstance(turn.get("caption"), str):
            for part in content:
                if part["type"] != "text" and "caption" not in part:
                    part["caption"] = _clean(turn["caption"])
        messages.append({"role": role, "content": content})
    unplaced = [part for parts in waiting["user"].values() for part in parts]
    first = messages[0]  # LLaVA files may leave the placeholder out
    first["content"] = [*unplaced, *parts_of(first)]
    for message in messages:
        for part in parts_of(message):
            if part["type"] != "text" and not {"path", "caption"} & part.keys():
                raise DataError(f"has a <{part['type']}> that no field names; name its file.")
    return messages


def _shown(item: Item, modality: str, path: Path) -> Iterator[Part]:
    for name in _list(item.get(f"input_{modality}", item.get(modality))):  # LLaVA: "image"
        yield {"type": modality, "path": _media_path(path, modality, name)}


def _made(item: Item, modality: str, path: Path) -> Iterator[Part]:
    captions = _list(item.get(f"{modality}_captions"))
    names = _list(item.get(f"output_{modality}"))
    embeddings = _list(item.get(f"{modality}_caption_embeddings"))
    for index in range(max(len(captions), len(names))):
        part: Part = {"type": modality}
        if index < len(embeddings):
            name = str(embeddings[index])
            safe_path(path.parent / EMBEDDINGS, name)
            part["embedding"] = name
        if index < len(captions):
            part["caption"] = _clean(captions[index])
        if index < len(names):
            part["path"] = _media_path(path, modality, names[index])
        yield part


def _read_inline(item: Item, turns: list[Item], path: Path) -> list[Message]:
    """Raw MosIT: a medium stands by name where it appears, its caption is looked up by name."""
    names = "|".join(MODALITIES)
    inline = re.compile(rf"<({names})>\s*([^<>]+?)\s*</\1>", re.IGNORECASE)
    captions = {
        (modality, entry[f"{modality}_name"]): _clean(entry["caption"])
        for modality in MODALITIES
        for entry in item.get(f"{modality}_list", [])
    }
    messages: list[Message] = []
    for turn in turns:
        content: list[Part] = []
        pieces = inline.split(turn["value"])  # text, modality, name, text, ...
        for index in range(0, len(pieces), 3):
            if index:
                modality, name = pieces[index - 2].lower(), pieces[index - 1]
                part: Part = {"type": modality, "path": _media_path(path, modality, name)}
                if (modality, name) in captions:
                    part["caption"] = captions[modality, name]
                content.append(part)
            if text := _clean(pieces[index]):
                content.append({"type": "text", "text": text})
        messages.append({"role": _ROLES[turn["from"]], "content": content})
    return messages


def _kind(messages: list[Message], stem: str) -> Kind:
    """Captions asked for or given serve alignment (stages 1 and 2), all else instruction tuning."""
    if stem.endswith("_comprehension"):
        return "pair"
    if stem.endswith("_generation"):
        return "caption"
    sides = {
        message["role"]
        for message in messages
        for part in parts_of(message)
        if part["type"] != "text"
    }
    if stem.startswith("mosit") or len(sides) == 2:
        return "mosit"
    if not sides:
        return "text"
    return "t2m" if "assistant" in sides else "understand"


def _media_path(path: Path, modality: str, name: Any) -> str:
    row, name = MODALITIES[modality], str(name)
    bare = name.removesuffix(EMBEDDING_SUFFIX)
    if EMBEDDING_SUFFIX not in row.extensions or bare.endswith(EMBEDDING_SUFFIX):
        name = bare  # else media themselves are such files
    safe_path(path.parent / row.plural, name)
    return f"{row.plural}/{name}"


def _refuse_unknown(item: Item, pattern: str) -> None:
    """Refuses a field that names media of a modality which is not in the table."""
    for field in item:
        found = re.fullmatch(pattern, field)
        if found and found[1] not in MODALITIES:
            raise DataError(
                f"has the field {field!r}, but there is no modality {found[1]!r}: add its row with "
                "nextgpt_lite.register(Modality(...)) before the file is read."
            )


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def _clean(text: str) -> str:
    return str(text).strip()
