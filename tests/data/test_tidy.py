"""What is no text, no caption or no conversation is left out, counted and named."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nextgpt_lite.data.folder import index_folder
from nextgpt_lite.data.indexed import FolderSource
from nextgpt_lite.data.report import Report
from nextgpt_lite.data.tidy import LONG
from nextgpt_lite.errors import DataError
from nextgpt_lite.training.stages import STAGES

HUMAN, GPT = {"from": "human", "value": "What?"}, {"from": "gpt", "value": "A dog."}


def read(folder: Path, content: Any) -> tuple[list[str], Report]:
    """The last words of each record that is read, and the report."""
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / "x.json").write_text(text)
    report = Report()
    found = index_folder(folder, report=report)
    records = [record for records in found.values() for record in records]
    return [r.messages[-1]["content"][-1]["text"] for r in records], report


@pytest.mark.parametrize(
    ("caption", "told"),
    [
        ("null", "is null, where words"),
        ("NaN", "is nan, a float"),
        ("7", "is 7, a int"),
        ('["a"]', r"is \['a'\], a list"),
        ('{"en": "a"}', r"is \{'en': 'a'\}, a dict"),
        ('""', "is ''"),
        ('" \\n"', "is ''"),
        ('"nan"', "is 'nan'"),
        ('"\\ud83d"', "is ''"),
        ('"\\u200b\\u2060"', "is ''"),
        ('"\\ufeff\\ufffe"', "is ''"),
        ('"\\ufffd\\ufffd"', "is ''"),
        ('"..."', r"is '\.\.\.'"),
        ('"<NA>"', "is '<NA>'"),
        ('"n/a"', "is 'n/a'"),
        ("true", "is True, a bool"),
        ("Infinity", "is inf, a float"),
    ],
)
def test_a_caption_that_says_nothing_is_skipped(caption: str, told: str, tmp_path: Path) -> None:
    good = '{"caption": "good", "id": "2", "image_name": "a.png"}'
    bad = f'{{"caption": {caption}, "id": "1", "image_name": "a.png"}}'
    words, report = read(tmp_path, f"[{bad}, {good}]")
    assert words == ["good"]
    assert report.skipped.total() == 1
    with pytest.raises(ValueError, match=f"item 0: field 'caption' {told}"):
        index_folder(tmp_path)


def test_a_table_and_lines_skip_the_same(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "x.csv").write_text("file,caption\na.png,good\na.png,\na.png,nan\na.png,a,b\n")
    (tmp_path / "y.jsonl").write_text('{"file": "a.png", "caption": "fine"}\n{"file": 1\n[]\n')
    (tmp_path / "z.csv").write_text("a,b\n1,2\n")
    report = Report()
    found = index_folder(tmp_path, report=report)["pair"]
    assert [r.messages[1]["content"][0]["text"] for r in found] == ["good", "fine"]
    assert [*report.skipped.values()] == [3, 2, 1]


@pytest.mark.parametrize(
    ("turns", "told"),
    [
        ([], "is empty"),
        ([HUMAN], "ends with the user's turn"),
        ([HUMAN, GPT, HUMAN], "ends with the user's turn"),
        ([GPT, HUMAN, GPT], "turn 0 is the assistant's"),
        ([HUMAN, HUMAN, GPT], "turn 1 is the user's"),
        ([HUMAN, {"from": "gpt", "value": " "}], "turn 1 is an empty reply"),
        ([{"from": "human", "value": "\u200b"}, GPT], "turn 0 is an empty user turn"),
        ([HUMAN, {"from": "gpt", "value": None}], "is null"),
        ([{"role": "user", "content": None}, {"role": "assistant", "content": "x"}], "is null"),
        ([{"role": "tool", "content": "x"}, {"role": "assistant", "content": "x"}], "from 'tool'"),
        ([HUMAN, {"from": "gpt"}], "value"),
        ([HUMAN, {"from": "narrator", "value": "x"}], "narrator"),
        ([HUMAN, "A dog."], "string"),
        ("What?", "string"),
        (None, "misuses"),
        ([HUMAN, GPT, {"from": "system", "value": "x"}, GPT], "turn 2 is the system's"),
    ],
)
def test_a_conversation_without_an_answer_is_skipped(turns: Any, told: str, tmp_path: Path) -> None:
    words, report = read(tmp_path, [{"conversations": turns}, {"conversations": [HUMAN, GPT]}])
    assert words == ["A dog."]
    assert told in report.reasons[0]


def test_what_is_no_text_is_taken_out_and_counted(tmp_path: Path) -> None:
    odd = "a car \ud83d\ue002\uf8ff\x07 icon \U0001f600"
    words, report = read(tmp_path, [{"caption": odd, "image_name": "a.png"}])
    assert words == ["a car  icon \U0001f600"]
    assert "1 with characters that are no text" in str(report)
    _, report = read(tmp_path, [{"caption": "word " * LONG, "image_name": "a.png"}])
    assert "1 longer than most contexts" in str(report)
    assert "0 " not in str(read(tmp_path, [{"caption": "a", "image_name": "a.png"}])[1])


def test_one_odd_item_costs_no_other(tmp_path: Path) -> None:
    good = '{"caption": "good", "image_name": "a.png"}'
    for odd in (
        '"x", "id": ' + "9" * 5000,
        '"x", "image_name": "' + "y" * 5000 + '"',
        "[" * 50 + "]" * 50,
    ):
        words, report = read(tmp_path, f'[{{"caption": {odd}}}, {good}]')
        assert words[-1:] == ["good"]
        assert report.skipped.total() == 1
    (tmp_path / "nowhere.json").symlink_to("gone.json")
    (tmp_path / "round.json").symlink_to("round.json")
    os.mkfifo(tmp_path / "endless.json")
    words, report = read(tmp_path, "[]")
    assert not words
    assert {Path(name).name for name in report.skipped} == {"nowhere.json", "round.json", "x.json"}
    assert "its list is empty" in str(report)
    assert FolderSource(STAGES[2], tmp_path / "x.json") if read(tmp_path, f"[{good}]")[0] else None


def test_a_quote_that_nothing_closes_costs_its_own_row(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    rows = [
        'a.png,"open',
        'a.png,"a 5"" nail,\nand more"',
        'a.png,5" and 6"',
        "a.png,",
        'a.png,"shut"',
    ]
    before = csv.field_size_limit()
    for end in ("\n", "\r\n"):
        (tmp_path / "x.csv").write_text(end.join(["file,caption", *rows]), newline="")
        report = Report()
        found = index_folder(tmp_path, report=report)["pair"]
        texts = [r.messages[1]["content"][0]["text"].replace("\r", "") for r in found]
        assert texts == ['a 5" nail,\nand more', '5" and 6"', "shut"]
        assert "item 0: is no row in UTF-8 (a quote that opens a cell" in str(report)
    assert csv.field_size_limit() == before == 131072
    (tmp_path / "x.csv").write_text("file,caption\ra.png,x\r", newline="")
    with pytest.raises(DataError, match="its first line is no row"):
        index_folder(tmp_path)


def test_known_odd_inputs_are_read_or_skipped(odd_inputs: Path, tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.png").write_bytes((odd_inputs / "a.png").read_bytes())
    expected = {"null_caption": 0, "empty_caption": 0, "lone_surrogate": 1, "pua_e002": 1,
                "long_caption": 1, "mosit": 0, "user_last": 0, "two_lists": 2}  # fmt: skip
    for name, count in expected.items():
        path = tmp_path / "data.json"
        path.write_bytes((odd_inputs / f"{name}.json").read_bytes())
        report = Report()
        found = index_folder(tmp_path, report=report)
        assert sum(map(len, found.values())) == count, name
        assert report.skipped.total() == (0 if count else 1), name


def test_the_index_is_kept_by_size_and_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(tmp_path, [{"caption": f"{n}", "image_name": "a.png"} for n in range(3)] + [{}])
    with pytest.warns(UserWarning, match="3 items read, 1 skipped"):
        first = FolderSource(STAGES[1], tmp_path)
    (tmp_path / "a.png").unlink()
    (tmp_path / "a.png").symlink_to("b.png")
    with monkeypatch.context() as patched, pytest.warns(UserWarning, match="item 3: has neither"):
        patched.setattr("nextgpt_lite.data.folder.read_items", None)
        again = FolderSource(STAGES[1], tmp_path)
    assert again.identity() == first.identity(), "media that go or come make no other data"
    assert [again(n).id for n in range(9)] == [first(n).id for n in range(9)]
    (tmp_path / "x.json").write_text('[{"caption": "x", "image_name": "c.png"}]')
    Image.new("RGB", (8, 8)).save(tmp_path / "c.png")
    assert FolderSource(STAGES[1], tmp_path)(0).messages[1]["content"][0]["text"] == "x"
