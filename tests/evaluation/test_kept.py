"""What was made for a table is found again, bit for bit, by a run that goes on."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.cli import main
from nextgpt_lite.errors import DamagedError
from nextgpt_lite.evaluation.tables import describing
from nextgpt_lite.evaluation.tables.kept import in_parts
from nextgpt_lite.media import Audio, Video

RNG = np.random.default_rng(0)
MADE: list[Any] = [
    "Zwölf\nwords", "", 3, Image.fromarray(RNG.integers(0, 255, (4, 5, 3), np.uint8)),
    Audio(RNG.random((1, 9), np.float32), 16000),
    Video(RNG.integers(0, 255, (2, 4, 4, 3), np.uint8), 7.5),
]  # fmt: skip


def test_parts_come_back_as_they_were_made(tmp_path: Path) -> None:
    asked = []

    def make(part: range) -> list[Any]:
        asked.append(part)
        if part.start == 4 and len(asked) < 4:
            raise KeyboardInterrupt
        return [MADE[i] for i in part]

    with pytest.raises(KeyboardInterrupt):
        in_parts(tmp_path, "signal tokens", 6, 2, make)
    again = in_parts(tmp_path, "signal tokens", 6, 2, make)
    assert asked == [range(2), range(2, 4), range(4, 6), range(4, 6)], "two parts were there"
    assert again[:3] == MADE[:3] and isinstance(again[2], int)
    again = in_parts(tmp_path, "signal tokens", 6, 2, make)
    assert len(asked) == 4
    assert np.array_equal(again[3], MADE[3]) and again[3].mode == "RGB"
    assert np.array_equal(again[4].samples, MADE[4].samples) and again[4].rate == 16000
    assert np.array_equal(again[5].frames, MADE[5].frames) and again[5].fps == 7.5
    part = next(tmp_path.glob("*/0000002.npz"))
    part.write_bytes(part.read_bytes()[:-40])
    with pytest.raises(DamagedError, match="remove it"):
        in_parts(tmp_path, "signal tokens", 6, 2, make)


def test_runs_at_one_folder_share_its_parts(tmp_path: Path) -> None:
    asked, results = [], []
    others_done = Event()

    def quick(part: range) -> list[Any]:
        asked.append(part)
        if part.start == 4:
            others_done.set()
        return [MADE[i] for i in part]

    second = Thread(target=lambda: results.append(in_parts(tmp_path, "words", 6, 2, quick)))

    def slow(part: range) -> list[Any]:
        asked.append(part)
        second.start()
        assert others_done.wait(20)
        return [MADE[i] for i in part]

    results.append(in_parts(tmp_path, "words", 6, 2, slow))
    second.join(20)
    assert sorted(part.start for part in asked) == [0, 2, 4], "each part once"
    assert results[0][:3] == results[1][:3] == MADE[:3]


def test_the_command_goes_on_and_refuses_another_run(
    lite: NextGPT,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(NextGPT, "from_pretrained", lambda *_, **__: lite)
    monkeypatch.setattr(describing, "GROUP", 1)
    ask = ["evaluate", "--table", "6", "--output", str(tmp_path), "--limit"]
    assert main([*ask, "2"]) == 0
    whole = (tmp_path / "table_6.json").read_bytes()
    parts = sorted(tmp_path.glob("table_6/words/*.npz"))
    assert len(parts) == 2
    parts[1].unlink()
    answered = []
    original = NextGPT.chat_batch
    monkeypatch.setattr(
        NextGPT, "chat_batch",
        lambda self, asked, **how: answered.append(len(asked)) or original(self, asked, **how),
    )  # fmt: skip
    assert main([*ask, "2"]) == 0
    assert answered == [1], "the other one was kept"
    assert (tmp_path / "table_6.json").read_bytes() == whole
    assert main([*ask, "3"]) == 2
    assert "count was 2 and is now 3" in capsys.readouterr().err
