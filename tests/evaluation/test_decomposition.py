"""Words, channel and decoder: shares of answers that were made up so that each is known."""

from __future__ import annotations

from typing import Any

import pytest

from nextgpt_lite.errors import DataError
from nextgpt_lite.evaluation.comparison.decomposition import (
    both_told,
    decomposition,
    factors,
    factors_figure,
)

Right = tuple[bool, bool]  # words, medium


def answers(name: str, *by_seed: list[Right], level: str = "simple") -> list[dict[str, Any]]:
    return [
        {"system": name, "seed": seed, "id": f"{index}", "group": "image", "level": level,
         "rationality": 100.0 * shown, "told_right": 100.0 * told}
        for seed, answers in enumerate(by_seed)
        for index, (told, shown) in enumerate(answers)
    ]  # fmt: skip


GOLD = answers("gold caption", [(True, True), (True, True), (True, False), (True, True)])
MINE = answers(
    "mine",
    [(True, True), (True, False), (True, True), (False, True)],
    [(True, True), (True, True), (False, False), (False, False)],
)


def test_three_factors_are_what_was_put_in() -> None:
    found = factors([*MINE, *GOLD], "mine")
    assert (found.told, found.answers) == (5, 8)
    assert found.words.mean == pytest.approx(100 * 5 / 8)
    assert found.decoder.mean == pytest.approx(100 * 4 / 5)  # gold's, where the words are right
    assert found.channel.mean == pytest.approx(100 * 4 / 4)  # 4 shown of told ones, gold shows 4
    product = found.words.mean * found.channel.mean * found.decoder.mean / 1e4
    assert product == pytest.approx(100 * 4 / 8)  # right by luck of wrong words does not count
    for one in (found.words, found.channel, found.decoder):
        assert one.low <= one.mean <= one.high


def test_a_reference_of_the_cell_goes_before_the_common_one() -> None:
    own = answers("mine, gold caption", [(True, True)] * 4, [(True, True)] * 4)
    assert factors([*MINE, *GOLD, *own], "mine").decoder.mean == 100


def test_two_systems_are_compared_where_both_were_right_in_words() -> None:
    other = answers("other", [(True, True), (True, True), (False, False), (True, False)] * 1)
    found = both_told([*MINE, *other], "mine", "other")
    assert found.answers == 4  # two prompts that both told, of two seeds
    assert (found.first.mean, found.second.mean) == (75, 100)
    assert found.difference.interval.mean == -25


def test_a_table_and_a_figure_of_every_level() -> None:
    rows = [*MINE, *GOLD, *({**row, "level": "complex"} for row in [*MINE, *GOLD])]
    lines = decomposition(rows).splitlines()
    assert len(lines) == 2 + 2
    assert lines[2].startswith("| 5, 8 | simple | mine | 62.5 [")
    assert lines[2].endswith("| 50.0 |")
    assert len(factors_figure(rows).axes) == 2
    assert decomposition([{**row, "group": "audio"} for row in rows]) == ""
    assert decomposition(MINE) == "", "there is no reference"


def test_rows_of_judges_that_hear_no_words_cannot_be_taken_apart() -> None:
    bare = [{k: v for k, v in row.items() if k != "told_right"} for row in [*MINE, *GOLD]]
    assert decomposition(bare) == ""
    with pytest.raises(DataError, match="told_right"):
        factors(bare, "mine")
