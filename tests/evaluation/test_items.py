"""Caption files of COCO, Flickr 30K, MSR-VTT and AudioCaps, written as published and read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nextgpt_lite.evaluation.benchmarks.items import read_items
from nextgpt_lite.media import Video, save_video
from tests.evaluation.test_choices import picture


def test_caption_files_as_published(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "val2014/c.jpg"):
        picture(tmp_path / name)
    files: dict[str, Any] = {
        "captions_val.json": {
            "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "gone.jpg"}],
            "annotations": [{"image_id": 1, "id": 5, "caption": "A dog. "},
                            {"image_id": 1, "id": 6, "caption": "One dog"},
                            {"image_id": 2, "id": 7, "caption": "A cat"}],
        },
        "dataset_flickr30k.json": {
            "images": [{"filename": "b.jpg", "split": "test", "sentences": [{"raw": "A man."}]},
                       {"filename": "a.jpg", "split": "train", "sentences": [{"raw": "No."}]}],
            "dataset": "flickr30k",
        },
        "dataset_coco.json": {
            "images": [{"filename": "c.jpg", "filepath": "val2014", "split": "test", "imgid": 9,
                        "sentences": [{"raw": "A bird."}]}],
        },
        "test_videodatainfo.json": {
            "videos": [{"video_id": "video1", "split": "test"}],
            "sentences": [{"video_id": "video1", "caption": "a car drives"}],
        },
    }  # fmt: skip
    for name, values in files.items():
        (tmp_path / name).write_text(json.dumps(values))
    save_video(Video(np.zeros((4, 8, 8, 3), np.uint8), 4.0), tmp_path / "video1.mp4")
    (tmp_path / "test.csv").write_text(
        "audiocap_id,youtube_id,start_time,caption\n11,xyz,30,A dog barks\n12,xyz,30,Barking\n"
    )
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "Yxyz.wav").write_bytes(b"")
    found = [read_items(tmp_path / name) for name in files]
    found.append(read_items(tmp_path / "test.csv", tmp_path / "sounds"))
    assert [[(i.modality, i.captions) for i in items] for items in found] == [
        [("image", ("A dog.", "One dog"))], [("image", ("A man.",))], [("image", ("A bird.",))],
        [("video", ("a car drives",))], [("audio", ("A dog barks", "Barking"))],
    ]  # fmt: skip
    assert found[0][0].media().size == (8, 6)

    (tmp_path / "other.json").write_text('{"answers": []}')
    with pytest.raises(ValueError, match=r"has the fields \['answers'\]"):
        read_items(tmp_path / "other.json")
    with pytest.raises(ValueError, match="none of its 1 media lies in"):
        read_items(tmp_path / "test.csv")
    with pytest.raises(ValueError, match="is no file"):
        read_items(tmp_path / "nowhere.json")


def test_a_readers_own_pairs_are_items(tmp_path: Path) -> None:
    for name in ("images/a.jpg", "images/b.jpg"):
        picture(tmp_path / name)
    rows = "A dog\thttp://x.org/a.jpg\nOne dog\thttp://x.org/a.jpg\nGone\thttp://x.org/c.jpg\n"
    (tmp_path / "cc3m.tsv").write_text(rows + "A cat\thttp://x.org/b.jpg\n")
    (tmp_path / "audios").mkdir()
    (tmp_path / "audios" / "x.wav").write_bytes(b"0")
    sounds = [{"audio_name": "x.wav", "caption": "Rain"}]
    (tmp_path / "sounds.json").write_text(json.dumps(sounds))
    found = read_items(tmp_path, modality="image")
    assert [(i.modality, i.captions) for i in found] == [
        ("image", ("A dog", "One dog")), ("image", ("A cat",)),
    ]  # fmt: skip
    assert found[0].media().size == (8, 6)
    assert [i.captions for i in read_items(tmp_path / "cc3m.tsv", most=1)] == [("A dog", "One dog")]
    assert [i.captions for i in read_items(tmp_path / "sounds.json")] == [("Rain",)]
    with pytest.raises(ValueError, match="holds no video with a caption"):
        read_items(tmp_path, modality="video")
