"""Files of other projects that the authors train on, read and written: LLaVA aside (see below).

    MiniGPT-4   {"annotations": [{"image_id": "2", "caption": "..."}]}, images named by their id
    VideoChat   [{"video": "a.mp4", "QA": [{"i": "...", "q": "...", "a": "..."}]}]
    Alpaca      [{"instruction": "...", "input": "...", "output": "..."}]
    LLaVA       [{"id": "7", "image": "a.jpg", "conversations": [{"from": "human", ...}, ...]}]

Knows: these fields. Leaves to others: LLaVA's conversations, which the authors' own files have
taken over (`released`), and where a medium may lie.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from nextgpt_lite.data.records import Record
from nextgpt_lite.messages import Message, Part, Role, parts_of

MINIGPT4_SUFFIX = ".jpg"

Item = dict[str, Any]


def read(item: Item, place: Callable[[str, Any], str]) -> list[Message] | None:
    """The messages of a MiniGPT-4, VideoChat or Alpaca item; None where it is none of them.

    Args:
        item: as in the file.
        place: modality and name -> path of a medium.
    """
    if "image_id" in item:
        name = str(item["image_id"])
        name += "" if Path(name).suffix else MINIGPT4_SUFFIX
        shown = {"type": "image", "path": place("image", name)}
        return [_message("user", shown), _message("assistant", item["caption"])]
    if "QA" in item:
        modality = "video" if "video" in item else "image"
        shown = {"type": modality, "path": place(modality, item[modality])}
        messages: list[Message] = []
        for turn in item["QA"]:
            question = [turn["i"], turn["q"]] if turn.get("i") else [turn["q"]]
            messages += [
                _message("user", *([] if messages else [shown]), *question),
                _message("assistant", turn["a"]),
            ]
        return messages
    if "instruction" in item:
        asked = [item["instruction"], *([item["input"]] if item.get("input") else [])]
        return [_message("user", *asked), _message("assistant", item["output"])]
    return None


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
        cast("Part", c) if isinstance(c, dict) else {"type": "text", "text": str(c).strip()}
        for c in content
    ]
    return {"role": role, "content": parts}


def _words(message: Message) -> list[str]:
    return [part["text"] for part in parts_of(message) if part["type"] == "text"]
