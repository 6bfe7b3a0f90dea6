"""Damaged files are refused in one sentence that names file, field and remedy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from nextgpt_lite import reading
from nextgpt_lite.chat import NextGPT
from nextgpt_lite.errors import CheckpointError, ConfigError, DamagedError, DataError, MissingError
from nextgpt_lite.model.config import WEIGHTS, locate
from nextgpt_lite.reading import SUMS, check_sums, write_sums
from tests.fuzz import POINTER
from tests.tiny import tiny_model

LITE = WEIGHTS / "lite"


@dataclass
class Point:
    """A form to be filled."""

    x: int
    names: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b'{"x": ', "is no JSON"),
        (b"[" * 100_000, "is no JSON (maximum recursion"),
        (b'{"x": "\xff"}', "is no text in UTF-8"),
        (POINTER, "is a Git LFS pointer, not the file itself: run `git lfs pull`"),
        (b"[1]", "the whole is [1]"),
        (b'{"names": []}', "field 'x' is missing"),
        (b'{"x": "one"}', "field 'x' is 'one' (it should be a valid integer"),
        (b'{"x": 1, "names": ["a", null]}', "field 'names.1' is None"),
    ],
)
def test_json_that_cannot_be_used(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "point.json"
    path.write_bytes(content)
    with pytest.raises(DamagedError) as refused:
        reading.read_json(path, Point, "draw it again")
    sentence = str(refused.value)
    assert sentence.startswith(str(path)) and said in sentence and "\n" not in sentence
    assert "git lfs" in sentence or sentence.endswith(": draw it again.")


def test_json_as_other_programs_write_it(tmp_path: Path) -> None:
    path = tmp_path / "point.json"
    path.write_bytes(b'\xef\xbb\xbf{"x": 1, "names": ["\xc3\xa9"]}')
    assert reading.read_json(path, Point) == Point(1, ("é",))
    with pytest.raises(MissingError, match="is missing"):
        reading.read_json(tmp_path / "other.json")


@pytest.mark.parametrize("value", [10**9, -(2**63), float("nan"), 1e308])
def test_a_size_beyond_all_that_exist_is_refused_before_memory_is_taken(
    tmp_path: Path, value: float
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"text": {"hidden_size": value}}))
    with pytest.raises(DamagedError, match=r"config.json: field 'text.hidden_size'"):
        reading.read_sizes(path)
    for layers, said in ((10_000, "10000, too much"), (-1, "-1, too little")):
        path.write_text(json.dumps({"num_hidden_layers": layers}))
        with pytest.raises(DamagedError, match=f"'num_hidden_layers' is {said}"):
            reading.read_sizes(path)
    path.write_text(json.dumps({"rope_theta": 10**10, "max_position_embeddings": 10**7}))
    reading.read_sizes(path)


def test_of_a_file_of_lines_the_last_counts_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text('{"x": 1}\n\n{"x": 2}\n{"x": 3}')
    assert reading.read_lines(path, Point) == [Point(1), Point(2)]
    path.write_text('{"x": 1}\n{"x": \n{"x": 3}\n')
    with pytest.raises(DamagedError, match="line 2 is no JSON"):
        reading.read_lines(path)


def test_a_table_has_its_columns_and_whole_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('a,b\n1,"2\n3"\n4,5')
    assert reading.read_csv(path, ["a"], whole=True) == [{"a": "1", "b": "2\n3"}]
    assert len(reading.read_csv(path, ["a"])) == 2
    with pytest.raises(DamagedError, match="column 'c' is missing"):
        reading.read_csv(path, ["c"])
    path.write_text("a,b\n1\n")
    with pytest.raises(DamagedError, match="line 2 has not 2 cells"):
        reading.read_csv(path, ["a"])
    path.write_text('a,b\n1,"2"3\n')
    with pytest.raises(DamagedError, match="line 2 is no CSV"):
        reading.read_csv(path, ["a"], whole=True)


def test_yaml_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "grid.yaml"
    for content in (b"a: [", b"a: \x00", b"- " * 5000, b"[" * 5000, b"2026-99-99: x"):
        path.write_bytes(content)
        with pytest.raises(DamagedError, match=r"grid.yaml"):
            reading.read_yaml(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_are_numbers(tmp_path: Path, value: float) -> None:
    path = tmp_path / "model.safetensors"
    wrong = torch.ones(3, 4, dtype=torch.float16)
    wrong[1, 2] = value
    save_file({"fine": torch.full((70_000,), 6e4, dtype=torch.float16), "mask": wrong}, path)
    assert len(reading.read_tensors(path)) == 2, "a mask may hold infinity, and a sum is large"
    save_file({"fine": torch.ones(2), "wrong": wrong}, path)
    assert [*reading.read_tensors(path, lambda name: name == "fine")] == ["fine"]
    with pytest.raises(DamagedError, match=r"model.safetensors: tensor 'wrong' holds NaN"):
        reading.read_tensors(path)


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
@pytest.mark.parametrize("content", [b"", POINTER, b"\x00" * 100, b"PK\x03\x04 and more"])
def test_tensors_that_are_none(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DamagedError, match=name):
        reading.read_tensors(tmp_path / name)


def test_a_pickle_is_tensors_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    for zipped in (True, False):  # as before PyTorch 1.6, too
        torch.save({"a": torch.ones(2)}, path, _use_new_zipfile_serialization=zipped)
        assert reading.read_tensors(path)["a"].tolist() == [1, 1]
    for other in ({"a": 1}, [torch.ones(2)], {"a": Point}):
        torch.save(other, path)
        with pytest.raises(DamagedError, match=r"model\.pth"):
            reading.read_tensors(path)


@pytest.mark.parametrize("error", [KeyError("a"), RecursionError("a"), TypeError("a\na")])
def test_what_another_library_raises_is_told(tmp_path: Path, error: Exception) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(DamagedError) as refused, reading.reading(tmp_path, "*.json", remedy="copy"):
        raise error
    assert str(refused.value).startswith(f"{tmp_path}: config.json")
    assert reading.said(error) in str(refused.value)
    assert "\n" not in str(refused.value)
    with pytest.raises(KeyboardInterrupt), reading.reading(tmp_path):
        raise KeyboardInterrupt
    with pytest.raises(MissingError, match=r"^other/file"), reading.reading(tmp_path):
        raise MissingError("other/file is missing: bring it.")


@pytest.mark.parametrize("said", ["{}: lies here", "fields: ['.', '/', 'etc']", "'../..' of {}"])
def test_a_folder_above_names_no_file(tmp_path: Path, said: str) -> None:
    path = tmp_path / "config.json"
    with pytest.raises(DamagedError, match=r"config\.json cannot be used"), reading.reading(path):
        raise ConfigError(said.format(tmp_path))


def test_damage_is_what_each_reader_expects() -> None:
    for kind in (CheckpointError, ConfigError, DataError, ValueError):
        assert issubclass(DamagedError, kind)


# --- sums ---------------------------------------------------------------------------------------


def test_the_shipped_weights_are_what_their_sums_say() -> None:
    """After a change of shipped weights, `nextgpt-lite sums` writes them anew."""
    parts = [path for path in sorted(WEIGHTS.glob("*/*/")) if path.is_dir()]
    assert parts and all((path / SUMS).is_file() for path in parts)
    for part in parts:
        check_sums(part)
        listed = {part / name for name in reading.read_sums(part)}
        assert listed >= set(part.rglob("*.safetensors"))


def test_a_flipped_byte_in_a_trained_model_is_named(tmp_path: Path) -> None:
    model = tiny_model()
    model.save_pretrained(tmp_path)
    tiny_model().load_trained(tmp_path)
    for name in ("projections.safetensors", "adapter_model.safetensors", "config.json"):
        content = bytearray((tmp_path / name).read_bytes())
        content[-10] ^= 1
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DamagedError, match=rf"{name} is not what was written.*sums"):
            model.load_trained(tmp_path)
        (tmp_path / name).write_bytes(whole)
    (tmp_path / "adapter_model.safetensors").unlink()
    with pytest.raises(
        MissingError, match=r"adapter_model.safetensors is missing, though SHA256SUMS"
    ):
        model.load_trained(tmp_path)


@pytest.mark.parametrize("part", ["llm", "encoder", "image"])
def test_a_flipped_byte_in_a_part_is_named_and_a_nan_where_there_are_no_sums(
    tmp_path: Path, part: str
) -> None:
    folder = shutil.copytree(LITE / part, tmp_path / part)
    path = max(folder.rglob("*.safetensors"), key=lambda each: each.stat().st_size)
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    config = NextGPT.from_pretrained("lite").config
    load: dict[str, Callable[[], Any]] = {
        "llm": lambda: NextGPT.from_config(config, llm=f"{folder}", new=False),
        "encoder": lambda: NextGPT.from_pretrained("lite", encoder=f"{folder}").encoder,
        "image": lambda: NextGPT.from_pretrained("lite", decoders={"image": folder}).decoder(
            "image"
        ),
    }
    with pytest.raises(DamagedError, match=rf"{path.name} is not what was written"):
        load[part]()
    (folder / SUMS).unlink()
    path.write_bytes(content[:-8] + b"\xff" * 8)
    with pytest.raises(DamagedError, match=rf"{path.name}.*NaN"):
        load[part]()


def test_sums_that_are_cut_off_or_lead_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    for name in ("card.md", "nextgpt_lite.json"):  # may be changed by hand
        (tmp_path / name).write_text("{}")
    whole = write_sums(tmp_path).read_text()
    assert whole.endswith("  a.json\n") and whole.count("\n") == 1
    for cut in ("", whole[:40], whole[:-1]):
        (tmp_path / SUMS).write_text(cut)
        with pytest.raises(DamagedError, match=f"{SUMS} is cut off"):
            check_sums(tmp_path)
    (tmp_path / SUMS).write_text(whole.replace("a.json", "../a.json"))
    with pytest.raises(MissingError, match="is missing"):
        check_sums(tmp_path)


def test_a_part_s_name_stays_in_its_folder() -> None:
    for name in ("lite/..", "lite/../..", "lite/image/../../../model"):
        with pytest.raises(MissingError, match="is missing"):
            locate(name)
