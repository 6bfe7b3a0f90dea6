"""The paper's tables on the shipped model, small."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.cli import main
from nextgpt_lite.evaluation.tables import generating
from nextgpt_lite.evaluation.tables.sheet import TABLES, Setting, run_table
from nextgpt_lite.media import Audio
from nextgpt_lite.model.modality import get_modality
from tests.evaluation.test_edits import write_davis, write_vctk

SMALL = Setting(count=2, steps=1)


@pytest.mark.parametrize("number", range(2, 12))
def test_a_table_has_the_papers_columns_and_numbers(lite: NextGPT, number: int) -> None:
    sheet = run_table(number, lite, SMALL)
    for row in sheet.rows.values():
        assert len(row) == len(TABLES[number].columns)
        assert all(value is not None and math.isfinite(value) for value in row)
    text = sheet.markdown()
    assert f"Table {number}." in text and "N = 2" in text
    if number == 8:
        assert sheet.rows["nothing changed"][1::2] == pytest.approx((0, 0), abs=1e-6)
        assert sheet.rows["caption of the result, masked"][1::2] == pytest.approx((0, 0), abs=1e-6)
        assert sheet.rows["made anew from the caption"][1] > 0.01
    if number in (2, 3, 4):
        floor = sheet.rows[generating.FLOOR][0]
        assert floor is not None and floor < sheet.rows["NExT-GPT, signal tokens"][0]  # type: ignore[operator]


def test_clips_and_recordings_are_edited_from_published_files(
    lite: NextGPT, tmp_path: Path
) -> None:
    davis = write_davis(tmp_path / "davis", {"bear": 3, "dogs-jump": 2})
    vctk = write_vctk(tmp_path / "vctk", {"p225_001": "Please call Stella."})
    for number, folder, count in ((9, davis, 2), (10, vctk, 1)):
        sheet = run_table(number, lite, Setting(count=5, steps=1, data=(folder,)))
        assert len(sheet.rows) == 5 and "caption of the result, masked" in sheet.rows
        for row in sheet.rows.values():
            assert len(row) == len(TABLES[number].columns)
            assert all(value is not None and math.isfinite(value) for value in row)
        assert f"N = {count}" in sheet.protocol and f"{folder}" in sheet.protocol
        assert "not the paper's" in sheet.protocol
        assert not sheet.notes, "no verifier of the lite world reads these"
    assert sheet.rows["nothing changed"][0] > 1, "a third of the sentence is missing"  # type: ignore[operator]


def test_the_papers_own_numbers_were_copied_right() -> None:
    assert set(TABLES) == set(range(2, 15))
    for table in TABLES.values():
        assert {len(row) for row in table.rows.values()} == {len(table.columns)}
        assert any(name.startswith("NExT-GPT") for name in table.rows)
    assert TABLES[2].rows["NExT-GPT"] == [11.28]
    assert TABLES[7].rows["NExT-GPT"] == [58.4, 38.5]


def test_the_command_prints_and_keeps_a_table(
    lite: NextGPT,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(NextGPT, "from_pretrained", lambda *_, **__: lite)
    ask = ["evaluate", "--count", "2", "--table"]
    assert main([*ask, "7", "--output", str(tmp_path)]) == 0
    assert "Table 7. Video-to-text" in capsys.readouterr().out
    assert (tmp_path / "table_7.md").is_file() and (tmp_path / "table_7.json").is_file()
    (tmp_path / "edits.json").touch()
    assert main([*ask, "8", "--data", str(tmp_path / "edits.json")]) == 2
    assert "leave out --data" in capsys.readouterr().err
    assert main([*ask, "6", "--data", "nowhere.json"]) == 2
    assert "'nowhere.json' does not exist" in capsys.readouterr().err


def test_real_sounds_get_no_inception_score_of_a_worlds_classes(
    lite: NextGPT, tmp_path: Path
) -> None:
    """By classes of another world, any sound would get 1."""
    lines = ["audiocap_id,youtube_id,start_time,caption"]
    for index, seed in enumerate((0, 1)):
        noise = np.random.default_rng(seed).standard_normal((1, 16000)).astype(np.float32)
        get_modality("audio").save(Audio(noise / 9, 16000), tmp_path / f"s{index}.wav")
        lines.append(f"{index},s{index},0,water runs over stones")
    (tmp_path / "test.csv").write_text("\n".join(lines) + "\n")
    sheet = run_table(4, lite, Setting(count=2, steps=1, data=(tmp_path / "test.csv",)))
    for row in sheet.rows.values():
        assert [value is None for value in row] == [c == "IS" for c in TABLES[4].columns]
    assert sheet.notes == ["IS: the Inception Score needs the classes of these sounds, which no "
                           "plugin names; it is not measured."]  # fmt: skip
