"""The shipped results: whole, with their settings, and what the note says is what they say."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from nextgpt_lite.evaluation.ablation.table import SETTINGS
from nextgpt_lite.evaluation.comparison.rows import aspects_of, read_rows, where
from nextgpt_lite.evaluation.comparison.table14 import decision_table, differences, table14
from nextgpt_lite.model.modality import MODALITIES

RESULTS = Path(__file__).resolve().parents[2] / "results"
TABLES = sorted(RESULTS.glob("lite_messenger/*.csv"))  # of `ablate`


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.parent.name)
def test_a_shipped_table_is_whole(path: Path) -> None:
    with path.open(encoding="utf-8") as file:
        assert next(csv.reader(file)) == [
            "system", "seed", "id", "group", "level", "skill", "split", "pairs", "length",
            "wanted", "given", "following", "rationality", "quality", "text", *SETTINGS, "key",
        ]  # fmt: skip
    rows = read_rows(path)
    assert aspects_of(rows) == ["following", "rationality", "quality"]
    made_by = json.loads(path.with_suffix(".json").read_text())
    assert {(made["cell"], made["seed"]) for made in made_by} == {
        (row["system"], row["seed"]) for row in rows
    }
    asked = {row["id"] for row in rows}
    assert len(asked) >= 200
    for made in made_by:
        mine = where(rows, system=made["cell"], seed=made["seed"])
        assert {row["id"] for row in mine} == asked, "answers pair up"
        assert {row["key"] for row in mine} == {made["key"][:12]}
        assert "-dirty" not in made["commit"], "the code that made it is known"
    budgets = {
        made["seed"]: [(run["data"], run["schedule"], run["batch"]) for run in made["stages"]]
        for made in made_by
        if made["cell"] == "end-to-end"
    }
    for made in where(made_by, cell="caption messenger"):
        mine = [(run["data"], run["schedule"], run["batch"]) for run in made["stages"]]
        assert mine == budgets[made["seed"]], "both messengers learn from the same dialogues"
    same = [json.dumps([m["frozen"], m["score"], m["versions"]]) for m in made_by]
    assert len(set(same)) == 1, "cells that are compared stand on the same parts"


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.parent.name)
def test_the_note_says_what_the_table_says(path: Path) -> None:
    note, rows = (RESULTS / "README.md").read_text(), read_rows(path)
    assert {row["group"] for row in rows} == {*MODALITIES, "none"}
    for group in MODALITIES:
        assert table14(rows, group) in note, group
        assert differences(rows, group) in note, group
    assert decision_table(rows) in note
