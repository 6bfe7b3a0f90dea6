"""A data folder is looked through by a command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from nextgpt_lite.cli import main


def test_the_command_says_what_is_there_and_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    (data / "images").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(data / "images" / "a.png")
    (data / "images" / "b.png").write_bytes(b"no image")
    pairs = [{"caption": f"<i>{n}", "image_name": f"{n}.png"} for n in "abc"]
    (data / "pairs.json").write_text(json.dumps([*pairs, {"caption": None, "image_name": "a.png"}]))
    assert main(["data", "check", str(data), "--media", "--output", str(tmp_path / "out")]) == 0
    told = capsys.readouterr().out
    assert told.startswith("1 items read, 3 skipped: 3 in ")
    for reason in ("item 3: field 'caption' is null", "c.png does not exist", "b.png"):
        assert reason in told
    page = (tmp_path / "out" / "data_check.html").read_text()
    assert "&lt;i&gt;a" in page and "<i>a" not in page
    assert "a.png" in page and "field &#x27;caption&#x27; is null" in page
    assert main(["data", "check", str(data)]) == 0
    assert capsys.readouterr().out.startswith("2 items read, 2 skipped")
