"""The released formats: read in all their quirks, written back, mistakes named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nextgpt_lite.data.folder import index_folder
from nextgpt_lite.data.released import read_file, read_folder
from nextgpt_lite.data.report import Report
from nextgpt_lite.data.writing import write_file
from nextgpt_lite.media import MediaError
from tests.data.formats import FORMATS, written_file


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


def test_quirks_change_nothing(tmp_path: Path) -> None:
    """Text or number, single or list, a byte order mark, line ends, control characters."""
    plain = read_file(written_file(tmp_path, [FORMATS["generation"][1]], "a_generation"))[0]
    lists = {k: v if k == "conversations" else [v] for k, v in FORMATS["generation"][1].items()}
    lists["image_captions"] = ["a dog\r\n"]
    raw = json.dumps([lists]).replace("\\r\\n", "\r\n")
    (tmp_path / "b_generation.json").write_bytes(b"\xef\xbb\xbf" + raw.encode())
    assert read_file(tmp_path / "b_generation.json")[0].messages == plain.messages
    for identity in (7, "7"):
        path = written_file(tmp_path, [{"caption": "é", "id": identity, "image_name": "a.png"}])
        assert read_file(path)[0].id == "7"


def test_a_condition_computed_before_is_named_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "embed").mkdir()
    np.save(tmp_path / "embed" / "a.jpg.npy", np.zeros((77, 1024), np.float16))
    (tmp_path / "cc3m").mkdir()
    other = {**FORMATS["generation"][1], "image_caption_embeddings": "b.jpg.npy"}
    written_file(tmp_path / "cc3m", [FORMATS["generation"][1], other], "cc3m_generation")
    here, absent = (r.messages[1]["content"][1] for r in read_folder(tmp_path))
    assert here["embedding"] == "embed/a.jpg.npy" and here["path"] == "cc3m/images/a.jpg"
    assert absent["embedding"] == "b.jpg.npy"
    outside = {**FORMATS["generation"][1], "image_caption_embeddings": "../../a.npy"}
    with pytest.raises(MediaError, match="item 0"):
        read_file(written_file(tmp_path, [outside], "x_generation"))


def test_what_is_skipped_is_said_and_why(tmp_path: Path) -> None:
    good = FORMATS["cc3m"][1]
    written_file(tmp_path, [good, {"id": 3}, {**good, "image_name": "../a.jpg"}, 5, good], "pairs")
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
