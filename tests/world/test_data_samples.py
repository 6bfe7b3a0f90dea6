"""The shipped samples are what the command makes, and every released format is read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nextgpt_lite.data.records import Record
from nextgpt_lite.data.released import read_file, read_folder
from nextgpt_lite.data.writing import conversation_item, mosit_item, pair_item
from nextgpt_lite.media import MediaError
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.world.describe import parse
from nextgpt_lite.world.scene import Sound, is_held_out

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "data_samples"
NAMES = sorted(path.stem for path in SAMPLES.glob("*.json"))


def test_samples_are_made_byte_for_byte(tmp_path: Path) -> None:
    from nextgpt_lite.world.samples import write_samples

    written = {p.relative_to(tmp_path): p for p in write_samples(tmp_path, seed=0)}
    shipped = {p.relative_to(SAMPLES) for p in SAMPLES.rglob("*") if p.is_file()}
    assert set(written) == shipped
    different = [
        str(name)
        for name, path in written.items()
        if path.read_bytes() != (SAMPLES / name).read_bytes()
    ]
    assert different == []


def test_another_seed_makes_other_samples(tmp_path: Path) -> None:
    from nextgpt_lite.world.samples import write_samples

    write_samples(tmp_path, seed=1, size=2)
    ours, theirs = (read_file(f / "image_pairs.json")[0] for f in (tmp_path, SAMPLES))
    assert ours.messages != theirs.messages


@pytest.mark.parametrize("name", NAMES)
def test_records_hold_all_that_a_file_says(name: str) -> None:
    path = SAMPLES / f"{name}.json"
    assert [_item(record, name) for record in read_file(path)] == json.loads(path.read_text())


def _item(record: Record, name: str) -> dict[str, object]:
    if "_pairs" in name:
        return pair_item(record)
    if name.startswith("mosit"):
        return mosit_item(record, "nextgpt_lite.world")
    single = "_comprehension" in name or "_generation" in name
    return conversation_item(record, lists=not single)


def test_training_files_hold_nothing_held_out() -> None:
    for held_out in (False, True):
        records = read_folder(SAMPLES, held_out)
        captions = [
            part["caption"]
            for record in records
            for message in record.messages
            for part in message["content"]
            if "caption" in part
        ]
        scenes = [parse(caption) for caption in captions]
        assert scenes and None not in scenes
        found = [is_held_out(s) for s in scenes if s is not None and not isinstance(s, Sound)]
        assert any(found) == held_out


def test_every_medium_opens() -> None:
    paths = {
        (part["type"], part["path"])
        for held_out in (False, True)
        for record in read_folder(SAMPLES, held_out)
        for message in record.messages
        for part in message["content"]
        if "path" in part
    }
    assert len(paths) == len([p for p in SAMPLES.glob("*/*") if p.is_file()])
    for modality, path in paths:
        MODALITIES[modality].load(SAMPLES / path)


def test_official_samples_are_read(official_samples: Path) -> None:
    files = sorted(official_samples.glob("*/*.json"))
    assert len(files) == 9
    kinds = {"comprehension": "pair", "generation": "caption"}
    for path in files:
        records = read_file(path)
        assert len(records) == 6
        assert {r.kind for r in records} == {kinds.get(path.stem.split("_")[-1], "pair")}
        for record in records:
            media = [p for m in record.messages for p in m["content"] if p["type"] != "text"]
            assert media and all((path.parent / part["path"]).is_file() for part in media)
            assert isinstance(record.id, str)


def _read(tmp_path: Path, item: object, name: str = "items") -> Record:
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps([item]))
    return read_file(path)[0]


def test_quirks_of_released_files(tmp_path: Path) -> None:
    """Line ends in captions, number ids, a name that `.strip('.npy')` would spoil."""
    record = _read(tmp_path, {"id": 7, "image_name": "penguin.png", "caption": "a dog\r\n"})
    assert record.id == "7"
    assert record.messages[0]["content"] == [{"type": "image", "path": "images/penguin.png"}]
    assert record.messages[1]["content"] == [{"type": "text", "text": "a dog"}]


@pytest.mark.parametrize("value", ["a.jpg", ["a.jpg"]])
def test_a_string_and_a_list_say_the_same(tmp_path: Path, value: object) -> None:
    turns = [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "It."}]
    record = _read(tmp_path, {"input_image": value, "conversations": turns})
    assert record.kind == "understand"
    assert record.messages[0]["content"] == [
        {"type": "image", "path": "images/a.jpg"},
        {"type": "text", "text": "What?"},
    ]


def test_mosit_captions_follow_names_not_the_list(tmp_path: Path) -> None:
    item = {
        "image_list": [
            {"image_name": "b.jpg", "caption": "second"},
            {"image_name": "a.jpg", "caption": "first"},
        ],
        "conversation": [
            {"from": "human", "value": "<Image>a.jpg</Image> And now?"},
            {"from": "gpt", "value": "See: <Image>b.jpg</Image>"},
        ],
    }
    record = _read(tmp_path, item)
    shown = [p for m in record.messages for p in m["content"] if p["type"] == "image"]
    assert [(p["path"], p["caption"]) for p in shown] == [
        ("images/a.jpg", "first"),
        ("images/b.jpg", "second"),
    ]
    assert record.kind == "mosit"


def test_media_of_the_user_are_kept_without_placeholder(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "It."}]
    record = _read(tmp_path, {"input_image": "a.jpg", "conversations": turns})
    assert record.messages[0]["content"][0] == {"type": "image", "path": "images/a.jpg"}


@pytest.mark.parametrize("name", ["../a.jpg", "/etc/passwd", "x/../../a.jpg"])
def test_media_outside_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(MediaError, match="item 0"):
        _read(tmp_path, {"id": 1, "image_name": name, "caption": "a"})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "no list"),
        ('[{"caption": "a"', "not a JSON text from item 0 on"),
        ("{}", "no list"),
        ("[3]", "item 0"),
        ('[{"caption": "a"}]', "neither a conversation nor a media name"),
        ('[{"image_name": "a.png"}]', "'caption'"),
        ('[{"conversations": [{"from": "gpt", "value": "<audio>"}]}]', "names"),
        ('[{"conversations": [{"from": "someone", "value": "a"}]}]', "someone"),
    ],
)
def test_a_wrong_file_is_named_in_one_sentence(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=said) as caught:
        read_file(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
