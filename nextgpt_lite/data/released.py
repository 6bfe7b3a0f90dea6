"""The file formats that the authors released, read into records and written from them.

Knows: the fields of the pair, comprehension, generation, T2M, T+X-T and MosIT files, and their
quirks: a string or a list, an id as number or text, line ends in captions, `conversation` or
`conversations`, `<image>` placeholders or `<Image>name</Image>` inline.
Leaves to others: opening media (`media`), tokens (`conversation`), what the samples show.

A media file is named without its folder and lies in `images/`, `audios/` or `videos/` beside the
JSON file; a record's "path" is relative to the JSON file's folder and never leads out of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from nextgpt_lite.data.records import Kind, Record
from nextgpt_lite.media import safe_path
from nextgpt_lite.modality import MODALITIES

HELD_OUT_SUFFIX = "_held_out"
EMBEDDING_SUFFIX = ".npy"
_PAIR_ID = {"image": "id", "audio": "audio_id", "video": "id"}
_NAMES = "|".join(MODALITIES)
_PLACEHOLDER = re.compile(rf"<({_NAMES})>")
_INLINE = re.compile(rf"<({_NAMES})>\s*([^<>]+?)\s*</\1>", re.IGNORECASE)
_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant"}

Item = dict[str, Any]


def read_folder(folder: str | Path, held_out: bool = False) -> list[Record]:
    """Reads every JSON file right inside `folder`, in the order of names.

    Args:
        folder: such as `data_samples`.
        held_out: the files whose name ends in "_held_out" instead of all others.

    Raises:
        ValueError: the folder has no such file, or a file is in none of the formats.
    """
    files = [
        path
        for path in sorted(Path(folder).glob("*.json"))
        if path.stem.endswith(HELD_OUT_SUFFIX) == held_out
    ]
    if not files:
        raise ValueError(f"{folder}: no JSON data file lies there; give a folder of data files.")
    return [record for path in files for record in read_file(path)]


def read_file(path: str | Path) -> list[Record]:
    """Reads one file, each item in whichever of the formats its fields show.

    Raises:
        ValueError: naming the file, the item and the field that is missing or wrong.
        MediaError: a media name leads out of the folder.
    """
    path = Path(path)
    try:
        items = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not a JSON text ({error}); write the file again.") from error
    if not isinstance(items, list):
        raise ValueError(f"{path}: holds no list of items; wrap its content in [ ].")
    records = []
    for index, item in enumerate(items):
        where = f"{path}, item {index}"
        try:
            records.append(_read_item(item, path, f"{path.stem}_{index:06d}"))
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise ValueError(f"{where}: lacks or misuses {error}; see the data sheet.") from error
        except ValueError as error:
            raise type(error)(f"{where}: {error}") from error
    return records


def write_file(path: str | Path, items: Iterable[Item]) -> None:
    """Writes items as UTF-8 JSON with a line end at its end; the same items give the same bytes."""
    text = json.dumps(list(items), indent=1, ensure_ascii=False)
    Path(path).write_text(text + "\n", encoding="utf-8", newline="\n")


def pair_item(record: Record) -> Item:
    """A pair record as an item of `cc3m.json`, `webvid.json` or `audiocap.json`."""
    media, words = _parts(record, "user")[0], _text_of(record.messages[1])
    modality = media["type"]
    fields = {
        "caption": words,
        _PAIR_ID[modality]: record.id,
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
        embeddings = (name + EMBEDDING_SUFFIX for name in names)
        item[f"{modality}_caption_embeddings"] = _values(embeddings, lists)
    turns = []
    for message in record.messages:
        turn: Item = {"from": "human" if message["role"] == "user" else "gpt"}
        turn["value"] = _written(message, lambda part: f"<{part['type']}>")
        if record.kind == "t2m":
            side = "input" if message["role"] == "user" else "output"
            kinds = [p["type"] for p in message["content"] if p["type"] != "text"] or ["text"]
            if side == "output" and kinds != ["text"]:
                captions = [p["caption"] for p in message["content"] if p["type"] != "text"]
                turn["caption"] = captions[0] if len(captions) == 1 else captions
            turn[f"{side}_modality"] = kinds[0] if len(kinds) == 1 else kinds
        turns.append(turn)
    return {**item, "conversations": turns}


def mosit_item(record: Record, source: str) -> Item:
    """A record as an item of the raw `mosit.json`; every medium must have a path and a caption."""
    lists: dict[str, list[Item]] = {f"{modality}_list": [] for modality in MODALITIES}
    for message in record.messages:
        for part in message["content"]:
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
            lambda p: f"<{p['type'].title()}>{Path(p['path']).name}</{p['type'].title()}>",
        )
        turns.append({"from": "human" if message["role"] == "user" else "gpt", "value": value})
    return {**lists, "conversation": turns}


def _read_item(item: Item, path: Path, fallback: str) -> Record:
    if not isinstance(item, dict):
        raise ValueError(f"is a {type(item).__name__} and no object; see the data sheet.")
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
        raise ValueError("has neither a conversation nor a media name; see the data sheet.")
    words = _clean(item["caption"])
    media = {"type": modality, "path": _media_path(path, modality, item[f"{modality}_name"])}
    identity = item.get(_PAIR_ID[modality], item.get("id", media["path"]))
    messages = [
        {"role": "user", "content": [media]},
        {"role": "assistant", "content": [{"type": "text", "text": words}]},
    ]
    return Record(str(identity), messages, "pair")


def _read_placeholders(item: Item, turns: list[Item], path: Path) -> list[Item]:
    """Comprehension, generation, T2M, T+X-T and processed MosIT: media are counted off."""
    waiting = {
        "user": {m: iter(_shown(item, m, path)) for m in MODALITIES},
        "assistant": {m: iter(_made(item, m, path)) for m in MODALITIES},
    }
    messages: list[Item] = []
    for turn in turns:
        role = _ROLES[turn["from"]]
        content: list[Item] = []
        words = _PLACEHOLDER.split(turn["value"])  # text, modality, text, modality, text, ...
        for index, word in enumerate(words):
            if index % 2:
                content.append(next(waiting[role][word], {"type": word}))
            elif text := _clean(word):
                content.append({"type": "text", "text": text})
        if role == "assistant" and isinstance(turn.get("caption"), str):
            for part in content:
                if part["type"] != "text" and "caption" not in part:
                    part["caption"] = _clean(turn["caption"])
        messages.append({"role": role, "content": content})
    unplaced = [part for parts in waiting["user"].values() for part in parts]
    messages[0]["content"][:0] = unplaced  # LLaVA files may leave the placeholder out
    for message in messages:
        for part in message["content"]:
            if part["type"] != "text" and not {"path", "caption"} & part.keys():
                raise ValueError(f"has a <{part['type']}> that no field names; name its file.")
    return messages


def _shown(item: Item, modality: str, path: Path) -> Iterator[Item]:
    for name in _list(item.get(f"input_{modality}")):
        yield {"type": modality, "path": _media_path(path, modality, name)}


def _made(item: Item, modality: str, path: Path) -> Iterator[Item]:
    captions = _list(item.get(f"{modality}_captions"))
    names = _list(item.get(f"output_{modality}"))
    for index in range(max(len(captions), len(names))):
        part: Item = {"type": modality}
        if index < len(captions):
            part["caption"] = _clean(captions[index])
        if index < len(names):
            part["path"] = _media_path(path, modality, names[index])
        yield part


def _read_inline(item: Item, turns: list[Item], path: Path) -> list[Item]:
    """Raw MosIT: a medium stands by name where it appears, its caption is looked up by name."""
    captions = {
        (modality, entry[f"{modality}_name"]): _clean(entry["caption"])
        for modality in MODALITIES
        for entry in item.get(f"{modality}_list", [])
    }
    messages: list[Item] = []
    for turn in turns:
        content: list[Item] = []
        pieces = _INLINE.split(turn["value"])  # text, modality, name, text, ...
        for index in range(0, len(pieces), 3):
            if index:
                modality, name = pieces[index - 2].lower(), pieces[index - 1]
                part: Item = {"type": modality, "path": _media_path(path, modality, name)}
                if (modality, name) in captions:
                    part["caption"] = captions[modality, name]
                content.append(part)
            if text := _clean(pieces[index]):
                content.append({"type": "text", "text": text})
        messages.append({"role": _ROLES[turn["from"]], "content": content})
    return messages


def _kind(messages: list[Item], stem: str) -> Kind:
    """Captions asked for or given serve alignment (stages 1 and 2), all else instruction tuning."""
    if stem.endswith("_comprehension"):
        return "pair"
    if stem.endswith("_generation"):
        return "caption"
    sides = {
        message["role"]
        for message in messages
        for part in message["content"]
        if part["type"] != "text"
    }
    if stem.startswith("mosit") or len(sides) == 2:
        return "mosit"
    if not sides:
        return "text"
    return "t2m" if "assistant" in sides else "understand"


def _media_path(path: Path, modality: str, name: Any) -> str:
    name = str(name).removesuffix(EMBEDDING_SUFFIX)
    relative = f"{MODALITIES[modality].plural}/{name}"
    safe_path(path.parent / MODALITIES[modality].plural, name)
    return relative


def _parts(record: Record, role: str) -> list[Item]:
    """The media parts of one side, in order."""
    return [
        part
        for message in record.messages
        if message["role"] == role
        for part in message["content"]
        if part["type"] != "text"
    ]


def _text_of(message: Item) -> str:
    return " ".join(part["text"] for part in message["content"] if part["type"] == "text")


def _written(message: Item, mark: Any) -> str:
    """A turn's value: media first stand on lines of their own, later ones after a blank."""
    value = ""
    for part in message["content"]:
        media = part["type"] != "text"
        if value:
            value += "\n" if value.endswith(">") and not media else " "
        value += mark(part) if media else part["text"]
    return value


def _values(values: Iterable[str], lists: bool) -> list[str] | str:
    found = list(values)
    return found if lists else found[0]


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list) else [value]


def _clean(text: str) -> str:
    return str(text).strip()
