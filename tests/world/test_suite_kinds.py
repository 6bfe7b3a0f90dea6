"""Rows by number of kinds, and of poor recordings."""

from __future__ import annotations

from random import Random

import pytest

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.world.suite import kinds
from nextgpt_lite.world.suite.examination import Examiner


def test_each_sort_draws_what_it_says() -> None:
    for name, (draw, *_) in kinds.SORTS.items():
        pictures = [draw(Random(seed)) for seed in range(50)]
        number = {"one": 1, "two": 2, "three": 3}[name.split()[0]]
        assert {len(picture.groups) for picture in pictures} == {number}
        if "numbers" in name:
            assert all(max(g.count for g in picture.groups) > 1 for picture in pictures)


def test_every_sort_has_a_row_for_making_and_one_for_describing(lite: NextGPT) -> None:
    found = kinds.number_of_kinds(Examiner(lite, count=8, steps=4))
    names = [row.measure for row in found.rows]
    assert names == [*(f"{sort}, made" for sort in kinds.SORTS),
                     *(f"{sort}, described" for sort in kinds.SORTS),
                     "about two given pictures, asked"]  # fmt: skip
    assert [row.count for row in found.rows] == [2] * 4 + [8] * 5
    assert [row.bar for row in found.rows if row.bar] == [85, 75, 80]
    values = {row.measure: row.value for row in found.rows}
    assert values["one kind, described"] >= 75
    assert "kinds_three_kinds" in found.sheets


@pytest.mark.parametrize("recording", kinds.RECORDINGS)
def test_a_sound_in_a_poor_recording_is_heard_as_what_it_is(
    lite, recording: str, monkeypatch
) -> None:
    monkeypatch.setattr(kinds, "RECORDINGS", {recording: kinds.RECORDINGS[recording]})
    (row,) = kinds.poor_recordings(Examiner(lite, count=16)).rows
    assert row.value >= 75
