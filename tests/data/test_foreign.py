"""Formats of other projects serve the stage that they are for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nextgpt_lite.data.released import read_file
from tests.data.formats import FORMATS

KINDS = {"LLaVA": "understand", "MiniGPT-4": "pair", "VideoChat": "understand", "Alpaca": "text"}


@pytest.mark.parametrize("name", KINDS)
def test_foreign_files_serve_the_stage_they_are_for(name: str, tmp_path: Path) -> None:
    stem, item, _ = FORMATS[name]
    (tmp_path / f"{stem}.json").write_text(json.dumps([item]))
    assert read_file(tmp_path / f"{stem}.json")[0].kind == KINDS[name]
