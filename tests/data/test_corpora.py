"""Corpora in the layout that they are distributed in: found, read, kept apart by kind."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nextgpt_lite.data.folder import index_folder
from nextgpt_lite.data.indexed import HubSource
from nextgpt_lite.data.opening import open_source
from nextgpt_lite.data.records import Record
from nextgpt_lite.data.report import Report
from nextgpt_lite.data.sources import medium
from nextgpt_lite.errors import DataError
from nextgpt_lite.training.feed import Feed
from nextgpt_lite.training.schedule import Schedule
from nextgpt_lite.training.stages import STAGES

TURNS = [{"from": "human", "value": "<image>\nWhat is it?"}, {"from": "gpt", "value": "A dog."}]


def png(colour: str = "red") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(file, "png")
    return file.getvalue()


def laid_out(root: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, list | dict):
            content = json.dumps(content)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return root


def shown(record: Record) -> str:
    return str(record.messages[0]["content"][0]["path"])


CORPORA: dict[str, tuple[dict[str, Any], list[tuple[str, str]]]] = {
    "CC3M": (
        {
            "Train_GCC-training.tsv": 'a "dog"\thttp://x.org/1/a.jpg?w=3\na cat\thttp://x.org/b.jpg\n',
            "images/a.jpg": png(),
            "images/b.jpg": png(),
        },
        [('a "dog"', "images/a.jpg"), ("a cat", "images/b.jpg")],
    ),
    "a table with a head": (
        {"train.csv": 'filepath,title\nimg/a.png,"a dog,\nand a cat"\n', "img/a.png": png()},
        [("a dog,\nand a cat", "img/a.png")],
    ),
    "imagefolder": (
        {"train/metadata.jsonl": '{"file_name": "a.png", "text": "a dog"}\n', "train/a.png": png()},
        [("a dog", "train/a.png")],
    ),
    "WebVid": (
        {
            "results_2M_train.csv": "videoid,contentUrl,duration,page_dir,name\n"
            "7,https://x.org/7.mp4,PT00H05S,001_050,A dog runs\n8,https://x,PT1S,001_050,A cat\n",
            "videos/001_050/7.mp4": b"0",
            "videos/8.mp4": b"0",
        },
        [("A dog runs", "videos/001_050/7.mp4"), ("A cat", "videos/8.mp4")],
    ),
    "AudioCaps": (
        {
            "train.csv": "audiocap_id,youtube_id,start_time,caption\n"
            "91139,r1nicOVtvkQ,130,A woman talks\n58146,-d,0,Rain\n",
            "audios/r1nicOVtvkQ.wav": b"0",
            "audios/58146.wav": b"0",
        },
        [("A woman talks", "audios/r1nicOVtvkQ.wav"), ("Rain", "audios/58146.wav")],
    ),
    "COCO": (
        {
            "annotations/captions_train2017.json": {
                "info": {"year": 2017, "about": []},
                "licenses": [{"id": 1}],
                "images": [{"id": 9, "file_name": "000000000009.jpg"}],
                "annotations": [
                    {"image_id": 9, "id": 661611, "caption": "A dog. "},
                    {"image_id": 9, "id": 661977, "caption": "It sits."},
                ],
            },
            "train2017/000000000009.jpg": png(),
        },
        [("A dog.", "train2017/000000000009.jpg"), ("It sits.", "train2017/000000000009.jpg")],
    ),
    "MiniGPT-4": (
        {
            "filter_cap.json": {"annotations": [{"image_id": "2", "caption": "A dog."}]},
            "image/2.jpg": png(),
        },
        [("A dog.", "image/2.jpg")],
    ),
    "LLaVA": (
        {
            "llava_v1_5_mix665k.json": [
                {"id": "1", "image": "coco/train2017/1.jpg", "conversations": TURNS}
            ],
            "coco/train2017/1.jpg": png(),
        },
        [("A dog.", "coco/train2017/1.jpg")],
    ),
    "VideoChat": (
        {
            "videochat.json": [{"video": "a/7.mp4", "QA": [{"q": "What is it?", "a": "A dog."}]}],
            "videos/a/7.mp4": b"0",
        },
        [("A dog.", "videos/a/7.mp4")],
    ),
    "messages": (
        {
            "chat.jsonl": json.dumps(
                {
                    "images": ["a.png"],
                    "messages": [
                        {"role": "user", "content": "<image>What is it?"},
                        {"role": "assistant", "content": "A dog."},
                    ],
                }
            )
            + "\n"
            + json.dumps(
                {
                    "messages": [
                        {"role": "user", "content": [{"type": "image", "image": "file://a.png"}]},
                        {"role": "assistant", "content": [{"type": "text", "text": "A cat."}]},
                    ]
                }
            ),
            "images/a.png": png(),
        },
        [("A dog.", "images/a.png"), ("A cat.", "images/a.png")],
    ),
    "lines in a .json": (
        {
            "x.json": '{"image_name": "a.png", "caption": "a dog"}\n'
            '{"image_name": "a.png", "caption": "a cat"}',
            "images/a.png": png(),
        },
        [("a dog", "images/a.png"), ("a cat", "images/a.png")],
    ),
    "two lists": (
        {
            "x.json": '[{"image_name": "a.png", "caption": "a dog"}]\n'
            '[{"image_name": "a.png", "caption": "a cat"}]',
            "images/a.png": png(),
        },
        [("a dog", "images/a.png"), ("a cat", "images/a.png")],
    ),
}


@pytest.mark.parametrize("block", [11, 2**18])
@pytest.mark.parametrize("name", CORPORA)
def test_a_corpus_is_read_as_it_is_laid_out(
    name: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nextgpt_lite.data.stream.BLOCK", block)
    files, expected = CORPORA[name]
    (records,) = index_folder(laid_out(tmp_path, files)).values()
    found = [(r.messages[1]["content"][-1]["text"], shown(r)) for r in records]
    assert found == expected


def test_system_turns_come_along(tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "2 and 3?"},
        {"role": "assistant", "content": "5"},
    ]
    (records,) = index_folder(laid_out(tmp_path, {"a.json": [{"messages": turns}]})).values()
    assert [m["role"] for m in records[0].messages] == ["system", "user", "assistant"]


def test_the_authors_whole_tree_is_read(tmp_path: Path) -> None:
    asked = [{"from": "human", "value": "Draw it."}, {"from": "gpt", "value": "Here. <image>"}]
    t2x = {
        "image_captions": ["a dog"],
        "image_caption_embeddings": ["1.jpg.npy"],
        "conversations": asked,
    }
    file = io.BytesIO()
    np.save(file, np.zeros((77, 768), np.float16))
    laid_out(
        tmp_path,
        {
            "T-X_pair_data/cc3m/cc3m.json": [{"caption": "a", "id": "1", "image_name": "1.jpg"}],
            "T-X_pair_data/cc3m/images/1.jpg": png(),
            "IT_data/T+X-T_data/llava/llava.json": [
                {"id": "1", "input_image": ["1.jpg"], "conversations": TURNS}
            ],
            "IT_data/T+X-T_data/llava/images/1.jpg": png(),
            "IT_data/T+X-T_data/alpaca/alpaca.json": [
                {"instruction": "Add.", "input": "2 3", "output": "5"}
            ],
            "IT_data/T-T+X/image_t2x.json": [t2x],
            "IT_data/MosIT/mosit.json": [
                {
                    "image_list": [{"image_name": "m.jpg", "data_source": "", "caption": "a cat"}],
                    "audio_list": [],
                    "video_list": [],
                    "conversation": [
                        {"from": "human", "value": "Draw a cat."},
                        {"from": "gpt", "value": "Here <Image>m.jpg</Image>"},
                    ],
                }
            ],
            "embed/1.jpg.npy": file.getvalue(),
        },
    )
    report = Report()
    found = index_folder(tmp_path, report=report)
    assert {kind: len(records) for kind, records in found.items()} == {
        "pair": 1, "text": 1, "understand": 1, "t2m": 1, "mosit": 1,
    }  # fmt: skip
    assert not report.skipped
    assert found["t2m"][0].messages[1]["content"][1]["embedding"] == "embed/1.jpg.npy"


def shard(path: Path, samples: list[dict[str, bytes]]) -> None:
    with tarfile.open(path, "w") as archive:
        for number, sample in enumerate(samples):
            for suffix, content in sample.items():
                member = tarfile.TarInfo(f"{path.stem}{number:04d}.{suffix}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def test_shards_are_records_by_number_read_a_few_at_a_time(tmp_path: Path) -> None:
    for number in range(20):
        samples = [
            {"png": png("blue"), "txt": f"{number} {n}".encode(), "json": b'{"width": 8}'}
            for n in range(5)
        ]
        shard(tmp_path / f"{number:05d}.tar", [*samples, {"png": png()}])
    with pytest.warns(UserWarning, match="100 items read, 20 skipped"):
        source = open_source(tmp_path, STAGES[1])
    drawn = [source(index) for index in range(100)]
    captions = [record.messages[1]["content"][0]["text"] for record in drawn]
    assert len({*captions}) == 100, "every sample, once"
    assert len({caption.split()[0] for caption in captions[:40]}) == 8, "of eight at a time"
    assert [int(c.split()[0]) for c in captions] != sorted(int(c.split()[0]) for c in captions)
    schedule = Schedule.of(STAGES[1], batch_size=5)  # four processes, of one node or of several
    frozen: Any = SimpleNamespace(model=None, features=None)
    feeds = [Feed(frozen, schedule, process, 4) for process in range(4)]
    shared = [source(i).id for step in range(5) for feed in feeds for i in feed.share(step)]
    assert sorted(shared) == sorted(record.id for record in drawn)
    opened = medium(drawn[0].messages[0]["content"][0])
    assert opened.getpixel((0, 0)) == (0, 0, 255)
    assert drawn[0].to_dict()["messages"][0]["content"][0]["source"]
    whole = (tmp_path / "00000.tar").read_bytes()
    (tmp_path / "00000.tar").write_bytes(whole[:1800])
    with pytest.raises(DataError, match=r"00000\.tar: cannot be read"):
        index_folder(tmp_path)


def test_shards_that_are_joined_or_damaged_lose_nothing_silently(tmp_path: Path) -> None:
    path = tmp_path / "0.tar"
    shard(path, [{"png": png(), "txt": f"{n}".encode()} for n in range(5)])
    whole = path.read_bytes()

    def read(content: bytes) -> tuple[int, Report]:
        path.write_bytes(content)
        report = Report()
        return sum(map(len, index_folder(tmp_path, report=report).values())), report

    assert read(whole + whole)[0] == 10
    count, report = read(whole[:4096] + b"\xff" * 512 + whole[4608:])  # the header of a picture
    assert count == 4
    assert "is damaged at byte 4,096, samples are lost" in str(report)


def test_data_sets_of_hugging_face(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = {
        "image": [{"bytes": png("blue"), "path": None} for _ in range(3)],
        "caption": ["a dog", "", "a cat"],
    }
    features = datasets.Features({"image": datasets.Image(), "caption": datasets.Value("string")})
    made = datasets.Dataset.from_dict(rows, features=features)
    made.save_to_disk(tmp_path / "saved")
    (tmp_path / "parquet").mkdir()
    made.to_parquet(tmp_path / "parquet" / "train.parquet")
    for data in (made, datasets.DatasetDict(train=made), tmp_path / "saved", tmp_path / "parquet"):
        with pytest.warns(UserWarning, match=r"2 items read, 1 skipped"):
            source = open_source(data, STAGES[1])
        drawn = [source(index) for index in range(2)]
        assert {r.messages[1]["content"][0]["text"] for r in drawn} == {"a dog", "a cat"}
        assert medium(drawn[0].messages[0]["content"][0]).getpixel((0, 0)) == (0, 0, 255)
    turns = [{"role": "user", "content": "<image>?"}, {"role": "assistant", "content": "A dog."}]
    held = [[rows["image"][0]], [], None]  # a list of images a row, as chats with media have it
    text = datasets.Value("string")
    kinds = {
        "images": datasets.Sequence(datasets.Image()),
        "messages": [{"role": text, "content": text}],
    }
    chats = datasets.Dataset.from_dict(
        {"images": held, "messages": [turns] * 3}, features=datasets.Features(kinds)
    )
    with pytest.warns(UserWarning, match=r"1 items read, 2 skipped"):
        (record,) = HubSource(STAGES[3], chats).records["understand"]
    assert medium(record.messages[0]["content"][0]).getpixel((0, 0)) == (0, 0, 255)
    with pytest.raises(DataError, match="load it without streaming"):
        open_source(made.to_iterable_dataset(), STAGES[1])
    with pytest.warns(UserWarning, match="first read"):
        assert source.identity() == open_source(data, STAGES[1]).identity()
