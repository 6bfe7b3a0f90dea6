"""Places of items in a long file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nextgpt_lite.data.stream import items


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
