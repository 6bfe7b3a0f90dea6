"""Every released format read and written, long files streamed, what is skipped reported."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nextgpt_lite.data import foreign
from nextgpt_lite.data.folder import index_folder
from nextgpt_lite.data.records import Record
from nextgpt_lite.data.released import Report, read_file, read_folder
from nextgpt_lite.data.stream import items
from nextgpt_lite.data.writing import conversation_item, mosit_item, pair_item, write_file
from nextgpt_lite.media import MediaError

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


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_and_written_back(name: str, tmp_path: Path) -> None:
    stem, item, written = FORMATS[name]
    path = tmp_path / f"{stem}.json"
    under = "annotations" if name == "MiniGPT-4" else None
    write_file(path, [item, item], under)
    parsed = json.loads(path.read_text())
    assert (parsed[under] if under else parsed) == [item, item]
    records = read_file(path)
    assert [written(record) for record in records] == [item, item]


KINDS = {"LLaVA": "understand", "MiniGPT-4": "pair", "VideoChat": "understand", "Alpaca": "text"}


@pytest.mark.parametrize("name", KINDS)
def test_foreign_files_serve_the_stage_they_are_for(name: str, tmp_path: Path) -> None:
    stem, item, _ = FORMATS[name]
    (tmp_path / f"{stem}.json").write_text(json.dumps([item]))
    assert read_file(tmp_path / f"{stem}.json")[0].kind == KINDS[name]


def test_quirks_change_nothing(tmp_path: Path) -> None:
    """Text or number, single or list, a byte order mark, line ends, control characters."""
    plain = read_file(_file(tmp_path, [FORMATS["generation"][1]], "a_generation"))[0]
    lists = {k: v if k == "conversations" else [v] for k, v in FORMATS["generation"][1].items()}
    lists["image_captions"] = ["a dog\r\n"]
    raw = json.dumps([lists]).replace("\\r\\n", "\r\n")
    (tmp_path / "b_generation.json").write_bytes(b"\xef\xbb\xbf" + raw.encode())
    assert read_file(tmp_path / "b_generation.json")[0].messages == plain.messages
    for identity in (7, "7"):
        path = _file(tmp_path, [{"caption": "é", "id": identity, "image_name": "a.png"}])
        assert read_file(path)[0].id == "7"


def test_a_condition_computed_before_is_named_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "embed").mkdir()
    np.save(tmp_path / "embed" / "a.jpg.npy", np.zeros((77, 1024), np.float16))
    (tmp_path / "cc3m").mkdir()
    other = {**FORMATS["generation"][1], "image_caption_embeddings": "b.jpg.npy"}
    _file(tmp_path / "cc3m", [FORMATS["generation"][1], other], "cc3m_generation")
    here, absent = (r.messages[1]["content"][1] for r in read_folder(tmp_path))
    assert here["embedding"] == "embed/a.jpg.npy" and here["path"] == "cc3m/images/a.jpg"
    assert absent["embedding"] == "b.jpg.npy"
    outside = {**FORMATS["generation"][1], "image_caption_embeddings": "../../a.npy"}
    with pytest.raises(MediaError, match="item 0"):
        read_file(_file(tmp_path, [outside], "x_generation"))


def test_what_is_skipped_is_said_and_why(tmp_path: Path) -> None:
    good = FORMATS["cc3m"][1]
    _file(tmp_path, [good, {"id": 3}, {**good, "image_name": "../a.jpg"}, 5, good], "pairs")
    (tmp_path / "broken.json").write_text('[{"caption": "a", "image_name": "a.jpg"}, {"capt')
    (tmp_path / "config.json").write_text("{}")
    report = Report()
    assert len(read_folder(tmp_path, report=report)) == 3
    text = str(report)
    assert text.startswith("3 items read, 5 skipped: 1 in ")
    for reason in ("item 1: has neither", "item 2: ", "item 3: is a int", "from item 1 on",
                   "config.json: holds no list"):  # fmt: skip
        assert reason in text
    many = Report()
    for index in range(30):
        many.skip(tmp_path, f"reason {index}")
    assert str(many).endswith("... and 20 more")


def test_items_without_their_media_are_skipped(tmp_path: Path) -> None:
    for stem in ("cc3m", "cc3m_generation"):
        _file(tmp_path, [FORMATS["cc3m" if stem == "cc3m" else "generation"][1]], stem)
    report = Report()
    found = index_folder(tmp_path, report=report)
    assert set(found) == {"caption"}  # what is to be made needs no file
    assert "a.jpg does not exist" in report.reasons[0] and report.read == 1
    with pytest.raises(ValueError, match="does not exist"):
        index_folder(tmp_path)


@pytest.mark.parametrize("block", [7, 64, 2**20])
def test_places_are_exact_whatever_the_block(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nextgpt_lite.data.stream.BLOCK", block)
    told = [{"a": "é]},{[" * i, "b": [i, {"c": "\U0001f600"}]} for i in range(20)] + [12345]
    path = tmp_path / "x.json"
    path.write_text(json.dumps(told, ensure_ascii=False, indent=2))
    spans = [span for span, _ in items(path)]
    assert [span.read(path) for span in spans] == told


def test_a_long_file_is_never_in_memory(tmp_path: Path) -> None:
    """16 MB of records, of which a few dozen bytes each are kept."""
    count, path = 20_000, tmp_path / "long_generation.json"
    words = "a very long caption " * 30
    write_file(
        path,
        ({"image_captions": f"{words}{i}", "conversations": ASKED} for i in range(count)),
    )
    assert path.stat().st_size > 14e6
    tracemalloc.start()
    records = index_folder(tmp_path)["caption"]
    drawn = records[count - 1]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(records) == count
    assert drawn.messages[1]["content"][1]["caption"].endswith(f" {count - 1}")
    assert peak < 5e6, f"{peak / 1e6:.1f} MB"


def _file(folder: Path, content: list[Any], stem: str = "items") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{stem}.json"
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_real_pictures_sounds_and_clips_flow_through_training(
    stage: int, official_samples: Path, tmp_path: Path
) -> None:
    """The shipped lite parts, a few steps of each stage on the authors' own samples."""
    from nextgpt_lite.training.run import train

    trainer = train(
        stage, tmp_path / "run", data=official_samples, steps=3, batch_size=6, warmup=1, log_every=1
    )
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    asked = "condition" if stage == 2 else "text"
    assert all(np.isfinite(line["total"]) and line[asked] > 0 for line in lines)
    drawn = [trainer.source(i) for i in range(18)]
    seen = {p["type"] for r in drawn for m in r.messages for p in m["content"]} - {"text"}
    assert seen == {"image", "audio", "video"}


def test_the_authors_samples_are_read_with_their_conditions(official_samples: Path) -> None:
    report = Report()
    found = index_folder(official_samples, report=report)
    assert {kind: len(records) for kind, records in found.items()} == {"pair": 36, "caption": 18}
    assert not report.skipped
    for record in found["caption"]:
        part = record.messages[1]["content"][-1]
        condition = np.load(official_samples / part["embedding"])
        assert condition.dtype == np.float16
        assert condition.shape == ((512,) if part["type"] == "audio" else (77, 1024))
