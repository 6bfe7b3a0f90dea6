"""The file formats that the authors released, read into records.

Knows: the fields of the pair, comprehension, generation, T2M, T+X-T and MosIT files, and their
quirks: a string or a list, an id as number or text, line ends in captions, `conversation` or
`conversations`, `<image>` placeholders or `<Image>name</Image>` inline.
Leaves to others: writing (`writing`), other projects' formats (`foreign`), long files (`stream`,
`folder`), opening media (`media`), tokens (`conversation`), what the samples show.

Where media and conditions computed before lie is for `places` to find; a record's "path" is
relative to the folder that is read and never leads out of it. A record's "embedding" is the path of
such a condition, or its bare name where there is no such file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextgpt_lite.data import foreign, tidy
from nextgpt_lite.data.places import HELD_OUT_SUFFIX, data_files, find_condition, find_medium
from nextgpt_lite.data.records import Kind, Record
from nextgpt_lite.data.report import Report
from nextgpt_lite.data.stream import items
from nextgpt_lite.errors import DataError
from nextgpt_lite.media import check_name
from nextgpt_lite.messages import Message, Part, Role, parts_of
from nextgpt_lite.model.modality import MODALITIES

_ROLES: dict[str, Role] = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "developer": "system",
    "assistant": "assistant",
}

Item = dict[str, Any]


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
        for span, load in items(path):
            try:
                item = load()
                clean = tidy.without_no_text(item)
                record = _read_clean(clean, path, root, span.number)
            except ValueError as error:
                if report is None:
                    raise
                report.skip(path, str(error))
                continue
            if report is not None:
                report.read += 1
                report.notes["with characters that are no text, left out"] += item != clean
                report.notes["longer than most contexts, to be cut"] += (
                    tidy.longest(record.messages) > tidy.LONG
                )
            yield span, record
    except (ValueError, OSError) as error:  # the whole file, or the rest of it
        if report is None:
            raise
        reason = f"{path}: cannot be read ({error})." if isinstance(error, OSError) else f"{error}"
        if reason not in report.reasons:
            report.skip(path, reason)


def read_item(item: Any, path: Path, root: Path, number: int) -> Record:
    """The record of item `number` of a file; raises ValueError as `read_file` does."""
    return _read_clean(tidy.without_no_text(item), path, root, number)


def _read_clean(item: Any, path: Path, root: Path, number: int) -> Record:
    where = f"{path}, item {number}"
    try:
        fallback = f"{path.stem}_{number:06d}"
        record = _read_item(item, Place(path, root), fallback)
        tidy.check_turns(record.messages)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise DataError(f"{where}: lacks or misuses {error}; see the data sheet.") from error
    except ValueError as error:
        raise type(error)(f"{where}: {error}") from error
    return record


@dataclass(frozen=True)
class Place:
    """The file that an item stands in, and the data folder."""

    path: Path
    root: Path

    def shown(self, modality: str, *named: Any) -> Part:
        """The part of a medium: a file by its possible names, or what an archive holds."""
        if hasattr(named[0], "open"):
            return {"type": modality, "source": named[0]}
        return {"type": modality, "path": find_medium(self.path, self.root, modality, named)}


def _read_item(item: Item, place: Place, fallback: str) -> Record:
    if not isinstance(item, dict):
        raise DataError(f"is a {type(item).__name__} and no object; see the data sheet.")
    item = foreign.with_turns(item)
    if (messages := foreign.read(item, place.shown)) is not None:
        kind = "pair" if "image_id" in item else _kind(messages, "")
        return Record(str(item.get("id", fallback)), messages, kind)
    if "conversations" not in item and "conversation" not in item:
        return _read_pair(item, place, fallback)
    turns = item["conversations" if "conversations" in item else "conversation"]
    identity = str(item.get("id", fallback))
    if any(f"{modality}_list" in item for modality in MODALITIES):
        messages = _read_inline(item, turns, place)
    else:
        messages = _read_placeholders(item, turns, place)
    stem = place.path.stem.removesuffix(HELD_OUT_SUFFIX)
    return Record(identity, messages, _kind(messages, stem))


def _read_pair(item: Item, place: Place, fallback: str) -> Record:
    found = foreign.pair(item)
    if found is None:
        _refuse_unknown(item, r"(\w+)_name")
        raise DataError("has neither a conversation nor a media name; see the data sheet.")
    modality, names, field = found
    said = tidy.caption(item.get(field), field)
    shown = place.shown(modality, *names)
    identity = item.get(MODALITIES[modality].pair_id, item.get("id", shown.get("path", fallback)))
    messages: list[Message] = [
        {"role": "user", "content": [shown]},
        {"role": "assistant", "content": [{"type": "text", "text": said}]},
    ]
    return Record(str(identity), messages, "pair")


def _read_placeholders(item: Item, turns: list[Item], place: Place) -> list[Message]:
    """Comprehension, generation, T2M, T+X-T and processed MosIT: media are counted off."""
    _refuse_unknown(item, r"(?:input|output)_(\w+)")
    placeholder = re.compile(rf"<({'|'.join(MODALITIES)})>")
    waiting = {
        "user": {m: iter(_shown(item, m, place)) for m in MODALITIES},
        "assistant": {m: iter(_made(item, m, place)) for m in MODALITIES},
    }
    messages: list[Message] = []
    for turn in turns:
        role = _role(turn["from"])
        content: list[Part] = []
        words = placeholder.split(
            tidy.words(turn["value"], "value")
        )  # text, modality, text, modality, text, ...
        for index, word in enumerate(words):
            if index % 2:
                content.append(next(waiting[role][word], Part(type=word)))
            elif text := word.strip():
                content.append({"type": "text", "text": text})
        if role == "assistant" and isinstance(turn.get("caption"), str):
            for part in content:
                if part["type"] != "text" and "caption" not in part:
                    part["caption"] = tidy.caption(turn["caption"])
        messages.append({"role": role, "content": content})
    unplaced = [part for parts in waiting["user"].values() for part in parts]
    for first in [m for m in messages if m["role"] == "user"][:1]:
        first["content"] = [*unplaced, *parts_of(first)]  # LLaVA may leave the placeholder out
    for message in messages:
        for part in parts_of(message):
            if part["type"] != "text" and not {"path", "caption", "source"} & part.keys():
                raise DataError(f"has a <{part['type']}> that no field names; name its file.")
    return messages


def _shown(item: Item, modality: str, place: Place) -> Iterator[Part]:
    for name in _list(
        item.get(f"input_{modality}", item.get(modality, item.get(f"{modality}s")))
    ):  # LLaVA: "image"
        yield place.shown(modality, foreign.bare(modality, name))


def _made(item: Item, modality: str, place: Place) -> Iterator[Part]:
    captions = _list(item.get(f"{modality}_captions"))
    names = _list(item.get(f"output_{modality}"))
    embeddings = _list(item.get(f"{modality}_caption_embeddings"))
    for index in range(max(len(captions), len(names))):
        part: Part = {"type": modality}
        if index < len(embeddings):
            name = str(embeddings[index])
            check_name(place.root, name)
            part["embedding"] = find_condition(place.path, place.root, name)
        if index < len(captions):
            part["caption"] = tidy.caption(captions[index], f"{modality}_captions")
        if index < len(names):
            part |= place.shown(modality, foreign.bare(modality, names[index]))
        yield part


def _read_inline(item: Item, turns: list[Item], place: Place) -> list[Message]:
    """Raw MosIT: a medium stands by name where it appears, its caption is looked up by name."""
    names = "|".join(MODALITIES)
    inline = re.compile(rf"<({names})>\s*([^<>]+?)\s*</\1>", re.IGNORECASE)
    captions = {
        (modality, entry[f"{modality}_name"]): tidy.caption(entry["caption"])
        for modality in MODALITIES
        for entry in item.get(f"{modality}_list", [])
    }
    messages: list[Message] = []
    for turn in turns:
        content: list[Part] = []
        pieces = inline.split(tidy.words(turn["value"], "value"))  # text, modality, name, text, ...
        for index in range(0, len(pieces), 3):
            if index:
                modality, name = pieces[index - 2].lower(), pieces[index - 1]
                part = place.shown(modality, foreign.bare(modality, name))
                if (modality, name) in captions:
                    part["caption"] = captions[modality, name]
                content.append(part)
            if text := pieces[index].strip():
                content.append({"type": "text", "text": text})
        messages.append({"role": _role(turn["from"]), "content": content})
    return messages


def _role(name: Any) -> Role:
    role = _ROLES.get(str(name).lower())
    if role is None:
        raise DataError(f"a turn is from {name!r}: write human, gpt or system.")
    return role


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
