"""An item of every format, as its authors write it, and how a record is written back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nextgpt_lite.data import foreign
from nextgpt_lite.data.records import Record
from nextgpt_lite.data.writing import conversation_item, mosit_item, pair_item

Item = dict[str, Any]


TURNS = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A dog."}]


ASKED = [{"from": "human", "value": "Draw a dog."}, {"from": "gpt", "value": "Sure thing! <image>"}]


# name of the file, an item as its authors write it, how a record is written back
FORMATS: dict[str, tuple[str, Item, Callable[[Record], Item]]] = {
    "cc3m": ("cc3m", {"caption": "a dog", "id": "7", "image_name": "a.jpg"}, pair_item),
    "webvid": ("webvid", {"caption": "a dog", "id": "7", "video_name": "a.mp4"}, pair_item),
    "audiocap": (
        "audiocap", {"audio_id": "7", "audio_name": "a.wav", "caption": "a dog"}, pair_item,
    ),
    "comprehension": (
        "cc3m_comprehension", {"input_image": "a.jpg", "conversations": TURNS},
        lambda r: conversation_item(r, lists=False),
    ),
    "generation": (
        "cc3m_generation",
        {"output_image": "a.jpg", "image_captions": "a dog",
         "image_caption_embeddings": "a.jpg.npy", "conversations": ASKED},
        lambda r: conversation_item(r, lists=False),
    ),
    "t2m": (
        "t2m",
        {"audio_captions": ["a dog barks"], "audio_caption_embeddings": ["34706.wav.npy"],
         "conversations": [
             {"from": "human", "value": "Let me hear it.", "input_modality": "text"},
             {"from": "gpt", "value": "Here. <audio>", "caption": "a dog barks",
              "output_modality": "audio"}]},
        lambda r: conversation_item(r, lists=True),
    ),
    "t+x-t": (
        "llava", {"input_image": ["a.jpg"], "conversations": TURNS},
        lambda r: conversation_item(r, lists=True),
    ),
    "mosit raw": (
        "mosit",
        {"image_list": [
            {"image_name": "mosit_i_1.jpg", "data_source": "x", "caption": "a dog"},
            {"image_name": "mosit_i_0.jpg", "data_source": "x", "caption": "a cat"}],
         "audio_list": [], "video_list": [],
         "conversation": [
             {"from": "human", "value": "<Image>mosit_i_1.jpg</Image>\nAnd now a cat."},
             {"from": "gpt", "value": "Here. <Image>mosit_i_0.jpg</Image>"}]},
        lambda r: mosit_item(r, "x"),
    ),
    "mosit processed": (
        "mosit",
        {"image_captions": ["a cat"], "image_caption_embeddings": ["mosit_i_0.jpg.npy"],
         "conversations": ASKED},
        lambda r: conversation_item(r, lists=True),
    ),
    "LLaVA": ("llava_instruct", {"id": "7", "image": "a.jpg", "conversations": TURNS},
              foreign.llava_item),
    "MiniGPT-4": ("filter_cap", {"image_id": "2", "caption": "a dog"}, foreign.minigpt4_item),
    "VideoChat": (
        "videochat",
        {"video": "a.mp4", "QA": [{"i": "Look.", "q": "What is it?", "a": "A dog."},
                                  {"i": "", "q": "Which colour?", "a": "Brown."}]},
        foreign.videochat_item,
    ),
    "Alpaca": (
        "alpaca", {"instruction": "Add.", "input": "2 and 3", "output": "5"}, foreign.alpaca_item,
    ),
}  # fmt: skip


def written_file(folder: Path, content: list[Any], stem: str = "items") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{stem}.json"
    path.write_text(json.dumps(content))
    return path
