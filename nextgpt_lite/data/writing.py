"""Records written as items of the authors' files.

Knows: which fields each format has and in what form. Leaves to others: reading (`released`), other
projects' formats (`foreign`), where media files come from.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nextgpt_lite.data.foreign import EMBEDDING_SUFFIX
from nextgpt_lite.data.records import Record
from nextgpt_lite.messages import Message, Part, parts_of, text_of
from nextgpt_lite.model.modality import MODALITIES

Item = dict[str, Any]


def write_file(path: str | Path, items: Iterable[Item], under: str | None = None) -> None:
    """Writes items one by one, as UTF-8 JSON; the same items give the same bytes.

    Args:
        path: the file.
        items: need not be in memory together.
        under: wraps the list in an object with this key, as MiniGPT-4 has "annotations".
    """
    with Path(path).open("w", encoding="utf-8", newline="\n") as file:
        file.write("[" if under is None else f"{{{json.dumps(under)}: [")
        mark = "\n"
        for item in items:
            text = json.dumps(item, indent=1, ensure_ascii=False)
            file.write(mark + "\n".join(f" {line}" for line in text.split("\n")))
            mark = ",\n"
        file.write("]\n" if mark == "\n" else "\n]\n" if under is None else "\n]}\n")


def pair_item(record: Record) -> Item:
    """A pair record as an item of `cc3m.json`, `webvid.json` or `audiocap.json`."""
    media, words = _parts(record, "user")[0], text_of(record.messages[1])
    modality = media["type"]
    fields = {
        "caption": words,
        MODALITIES[modality].pair_id: record.id,
        f"{modality}_name": Path(media["path"]).name,
    }
    return dict(sorted(fields.items()))


def conversation_item(record: Record, lists: bool) -> Item:
    """A record as an item of a comprehension, generation, T2M or T+X-T file.

    Args:
        record: media of the user have a path, those of the assistant a caption and maybe a path.
        lists: media fields hold lists (T2M, T+X-T), else single values (comprehension,
            generation), for which a record must hold one item a side.
    """
    item: Item = {}
    for modality in MODALITIES:
        shown = [p for p in _parts(record, "user") if p["type"] == modality]
        made = [p for p in _parts(record, "assistant") if p["type"] == modality]
        if shown:
            item[f"input_{modality}"] = _values((Path(p["path"]).name for p in shown), lists)
        if not made:
            continue
        names = [Path(p["path"]).name for p in made if "path" in p]
        if names:
            item[f"output_{modality}"] = _values(names, lists)
        else:
            names = [f"{record.id}_{i:02d}{MODALITIES[modality].suffix}" for i in range(len(made))]
        item[f"{modality}_captions"] = _values((p["caption"] for p in made), lists)
        embeddings = (
            Path(part.get("embedding") or name + EMBEDDING_SUFFIX).name
            for part, name in zip(made, names, strict=True)
        )
        item[f"{modality}_caption_embeddings"] = _values(embeddings, lists)
    turns = []
    for message in record.messages:
        turn: Item = {"from": "human" if message["role"] == "user" else "gpt"}
        turn["value"] = _written(message, lambda part: f"<{part['type']}>")
        if record.kind == "t2m":
            side = "input" if message["role"] == "user" else "output"
            kinds = [p["type"] for p in parts_of(message) if p["type"] != "text"] or ["text"]
            if side == "output" and kinds != ["text"]:
                captions = [p["caption"] for p in parts_of(message) if p["type"] != "text"]
                turn["caption"] = captions[0] if len(captions) == 1 else captions
            turn[f"{side}_modality"] = kinds[0] if len(kinds) == 1 else kinds
        turns.append(turn)
    return {**item, "conversations": turns}


def mosit_item(record: Record, source: str) -> Item:
    """A record as an item of the raw `mosit.json`; every medium must have a path and a caption."""
    lists: dict[str, list[Item]] = {f"{modality}_list": [] for modality in MODALITIES}
    for message in record.messages:
        for part in parts_of(message):
            if part["type"] != "text":
                entry = {
                    f"{part['type']}_name": Path(part["path"]).name,
                    "data_source": source,
                    "caption": part["caption"],
                }
                if entry not in lists[f"{part['type']}_list"]:
                    lists[f"{part['type']}_list"].append(entry)
    turns = []
    for message in record.messages:
        value = _written(
            message,
            lambda part: Path(part["path"]).name.join(MODALITIES[part["type"]].caption_marks()),
        )
        turns.append({"from": "human" if message["role"] == "user" else "gpt", "value": value})
    return {**lists, "conversation": turns}


def _parts(record: Record, role: str) -> list[Part]:
    """The media parts of one side, in order."""
    return [
        part
        for message in record.messages
        if message["role"] == role
        for part in parts_of(message)
        if part["type"] != "text"
    ]


def _written(message: Message, mark: Any) -> str:
    """A turn's value: media first stand on lines of their own, later ones after a blank."""
    value = ""
    for part in parts_of(message):
        media = part["type"] != "text"
        if value:
            value += "\n" if value.endswith(">") and not media else " "
        value += mark(part) if media else part["text"]
    return value


def _values(values: Iterable[str], lists: bool) -> list[str] | str:
    found = list(values)
    return found if lists else found[0]
