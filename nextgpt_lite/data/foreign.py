"""Files of other projects that the authors train on, read and written: LLaVA aside (see below).

    MiniGPT-4   {"annotations": [{"image_id": "2", "caption": "..."}]}, images named by their id
    VideoChat   [{"video": "a.mp4", "QA": [{"i": "...", "q": "...", "a": "..."}]}]
    Alpaca      [{"instruction": "...", "input": "...", "output": "..."}]
    LLaVA       [{"id": "7", "image": "a.jpg", "conversations": [{"from": "human", ...}, ...]}]
    messages    {"images": ["a.jpg"], "messages": [{"role": "user", "content": "<image> ..."}, ...]}
    captions    of COCO, CC3M, WebVid, AudioCaps, `metadata.csv` and archives, see `pair`

Knows: these fields. Leaves to others: LLaVA's conversations, which the authors' own files have
taken over (`released`), and where a medium may lie.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from nextgpt_lite.data.records import Record
from nextgpt_lite.data.tables import CAPTIONS
from nextgpt_lite.data.tidy import caption, is_absent, words
from nextgpt_lite.errors import DataError
from nextgpt_lite.messages import Message, Part, Role, in_our_form, parts_of
from nextgpt_lite.model.modality import MODALITIES

MINIGPT4_SUFFIX = ".jpg"
EMBEDDING_SUFFIX = ".npy"
FILES = ("filepath", "file_name", "filename", "file", "path", "url", "image_url", "contenturl")

TURNS = ("messages", "conversations", "conversation")

Item = dict[str, Any]


def read(item: Item, shown: Callable[..., Part]) -> list[Message] | None:
    """The messages of a MiniGPT-4, VideoChat or Alpaca item; None where it is none of them.

    Args:
        item: as in the file.
        shown: modality and names that it may have -> the part of a medium.
    """
    if "image_id" in item and "image_name" not in item:
        name = str(item["image_id"])
        name += "" if Path(name).suffix else MINIGPT4_SUFFIX
        said = caption(item["caption"])
        return [_message("user", shown("image", name)), _message("assistant", said)]
    if "QA" in item:
        modality = "video" if "video" in item else "image"
        medium = shown(modality, item[modality])
        messages: list[Message] = []
        for turn in item["QA"]:
            question = [turn["i"], turn["q"]] if turn.get("i") else [turn["q"]]
            messages += [
                _message("user", *([] if messages else [medium]), *question),
                _message("assistant", turn["a"]),
            ]
        return messages
    if "instruction" in item:
        more = item.get("input")
        asked = [item["instruction"], *([more] if more and not is_absent(f"{more}") else [])]
        return [_message("user", *asked), _message("assistant", item["output"])]
    return None


def with_turns(item: Item) -> Item:
    """An item of role and content, in `messages` or elsewhere, as one of `conversations`.

    Media stand as `<image>` in the words, and in lists beside them, or as parts of a content.
    """
    field = next((key for key in TURNS if _by_role(key, item.get(key))), None)
    if field is None:
        return item
    made: Item = {key: value for key, value in item.items() if key not in TURNS}
    turns = []
    for message in map(in_our_form, item[field]):
        if not isinstance(message["content"], list):
            words(message["content"], "content")
        side = {"assistant": "output"}.get(message["role"], "input")
        pieces = []
        for part in parts_of(message):
            if part["type"] == "text":
                pieces.append(words(part.get("text"), "text"))
                continue
            pieces.append(f"<{part['type']}>")
            name = part.get("path", part.get("data"))
            if name is not None:
                if str(name).startswith(("http:", "https:", "data:")):
                    raise DataError(f"shows {name!r:.40}: fetch it, and name the file.")
                name = str(name).removeprefix("file://")
                made.setdefault(f"{side}_{part['type']}", []).append(name)
            if "caption" in part:
                made.setdefault(f"{part['type']}_captions", []).append(part["caption"])
        turns.append({"from": message["role"], "value": "\n".join(pieces)})
    return {**made, "conversations": turns}


def _by_role(key: str, turns: Any) -> bool:
    first = turns[:1] if isinstance(turns, list) else [""]
    return all("role" in each for each in first) if key != TURNS[0] else first != [""]


def pair(item: Item) -> tuple[str, tuple[Any, ...], str] | None:
    """(modality, what its medium may be called, field of the caption) of a captioned medium.

    Covers the authors' pairs, COCO, tables with a column for the file, CC3M (url), WebVid
    (videoid, page_dir), AudioCaps (youtube_id), and samples of archives.
    """
    field = next((name for name in CAPTIONS if name in item), "caption")
    for modality in MODALITIES:
        for key in (f"{modality}_name", f"{modality}_path", modality, f"{modality}_file"):
            if isinstance(item.get(key), str | int) or hasattr(item.get(key), "open"):
                held = item[key]
                return modality, (bare(modality, held),), field
    if "videoid" in item:
        name = f"{item['videoid']}.mp4"
        folder = [f"{item['page_dir']}/{name}"] if item.get("page_dir") else []
        return "video", (name, *folder), field
    if "youtube_id" in item:
        stems = [item["youtube_id"], f"Y{item['youtube_id']}", item.get("audiocap_id", "")]
        stems += [f"{item['youtube_id']}_{item.get('start_time', 0)}"]
        return "audio", tuple(f"{s}.{e}" for s in stems if s for e in ("wav", "flac", "mp3")), field
    for key in FILES:
        if isinstance(item.get(key), str) and item[key].strip():
            place = item[key].strip()
            if "://" in place:
                place = Path(unquote(urlsplit(place).path)).name or "unnamed"
            suffix = Path(place).suffix.lower()
            kinds = (m for m, row in MODALITIES.items() if suffix in row.extensions)
            return next(kinds, "image"), (place,), field
    return None


def bare(modality: str, name: Any) -> Any:
    """A media name; the authors' files sometimes give that of its condition, `a.jpg.npy`."""
    if hasattr(name, "open"):  # the medium itself
        return name
    whole = str(name).removesuffix(EMBEDDING_SUFFIX)
    of_numbers = EMBEDDING_SUFFIX in MODALITIES[modality].extensions
    return str(name) if of_numbers and not whole.endswith(EMBEDDING_SUFFIX) else whole


def llava_item(record: Record) -> Item:
    """A record of images asked about, as an item of LLaVA's files; one image at most."""
    pictures = [p for m in record.messages for p in parts_of(m) if p["type"] == "image"]
    item: Item = {"id": record.id}
    if pictures:
        item["image"] = Path(pictures[0]["path"]).name
    turns = []
    for message in record.messages:
        words = ["<image>" if p["type"] == "image" else p["text"] for p in parts_of(message)]
        side = "human" if message["role"] == "user" else "gpt"
        turns.append({"from": side, "value": "\n".join(words)})
    return {**item, "conversations": turns}


def minigpt4_item(record: Record) -> Item:
    """A pair of image and caption as an item under "annotations" of MiniGPT-4's files."""
    shown = parts_of(record.messages[0])[0]
    return {"image_id": Path(shown["path"]).stem, "caption": _words(record.messages[1])[0]}


def videochat_item(record: Record) -> Item:
    """A record of questions about one video as an item of VideoChat's files."""
    shown = next(p for p in parts_of(record.messages[0]) if p["type"] != "text")
    turns = []
    for asked, said in zip(record.messages[::2], record.messages[1::2], strict=True):
        *instruction, question = _words(asked)
        turns.append({"i": " ".join(instruction), "q": question, "a": " ".join(_words(said))})
    return {shown["type"]: Path(shown["path"]).name, "QA": turns}


def alpaca_item(record: Record) -> Item:
    """A question in words and its answer as an item of Alpaca's files."""
    instruction, *rest = _words(record.messages[0])
    answer = " ".join(_words(record.messages[1]))
    return {"instruction": instruction, "input": " ".join(rest), "output": answer}


def _message(role: Role, *content: Any) -> Message:
    parts: list[Part] = [
        cast("Part", c) if isinstance(c, dict) else {"type": "text", "text": words(c, role)}
        for c in content
    ]
    return {"role": role, "content": [p for p in parts if p["type"] != "text" or p["text"]]}


def _words(message: Message) -> list[str]:
    return [part["text"] for part in parts_of(message) if part["type"] == "text"]
