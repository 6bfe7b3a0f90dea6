"""A folder's records: found by kind, kept in their files."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from nextgpt_lite.data.folder import index_folder
from nextgpt_lite.data.report import Report
from nextgpt_lite.data.writing import write_file
from tests.data.formats import ASKED, FORMATS, written_file


def test_items_without_their_media_are_skipped(tmp_path: Path) -> None:
    for stem in ("cc3m", "cc3m_generation"):
        written_file(tmp_path, [FORMATS["cc3m" if stem == "cc3m" else "generation"][1]], stem)
    report = Report()
    found = index_folder(tmp_path, report=report)
    assert found["caption"].present == 1, "what is to be made needs no file"
    assert (len(found["pair"]), found["pair"].present) == (1, 0), "it keeps its number"
    assert "a.jpg does not exist" in report.reasons[0] and report.read == 1
    with pytest.raises(ValueError, match="does not exist"):
        index_folder(tmp_path)


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
    assert records.places.itemsize <= 32
    drawn = records[count - 1]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(records) == count
    assert drawn.messages[1]["content"][1]["caption"].endswith(f" {count - 1}")
    assert peak < 5e6, f"{peak / 1e6:.1f} MB"
