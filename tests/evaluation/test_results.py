"""The shipped results: whole, with their settings, and what the note says is what they say."""

from __future__ import annotations

import csv
import itertools
import json
from pathlib import Path

import pytest

from nextgpt_lite.evaluation.ablation.cells import fingerprints
from nextgpt_lite.evaluation.ablation.table import SETTINGS, outdated
from nextgpt_lite.evaluation.comparison.decomposition import factors
from nextgpt_lite.evaluation.comparison.rows import aspects_of, read_rows, where
from nextgpt_lite.evaluation.comparison.table14 import decision_table, differences, table14
from nextgpt_lite.model.config import NextGPTConfig
from nextgpt_lite.model.modality import MODALITIES

RESULTS = Path(__file__).resolve().parents[2] / "results"
TABLES = sorted(RESULTS.glob("lite_messenger/*.csv"))  # of `ablate`


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.parent.name)
def test_a_shipped_table_is_whole(path: Path) -> None:
    with path.open(encoding="utf-8") as file:
        columns = next(csv.reader(file))
    assert columns[:17] == [
        "system", "seed", "id", "group", "level", "skill", "split", "pairs", "length", "wanted",
        "given", "following", "rationality", "quality", "text", "told", "told_right",
    ]  # fmt: skip
    assert {*columns[17:]} <= {*SETTINGS, "key"}
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


def test_the_decomposition_comes_out_by_other_code() -> None:
    """Sums over the file itself: words x channel x decoder is what is told and shown rightly."""
    rows: list[dict[str, str]] = []
    for path in ("lite_messenger/messenger.csv", "lite_baselines/baselines.csv"):
        with (RESULTS / path).open(encoding="utf-8") as file:
            rows += csv.DictReader(file)
    note = (RESULTS / "README.md").read_text()
    for level, system in itertools.product(
        ("simple", "complex"), ("end-to-end", "caption messenger")
    ):
        told = shown = gold = count = 0.0
        best = {
            row["id"]: float(row["rationality"]) / 100
            for row in rows
            if row["system"] == "gold caption"
        }
        for row in rows:
            if (row["system"], row["group"], row["level"]) == (system, "image", level):
                count += 1
                if row["told_right"] == "100.0":
                    told += 1
                    shown += row["rationality"] == "100.0"
                    gold += best[row["id"]]
        mine = [row for row in rows if (row["group"], row["level"]) == ("image", level)]
        found = factors([{**row, "seed": int(row["seed"])} for row in mine], system)
        assert found.words.mean == pytest.approx(100 * told / count)
        assert found.channel.mean == pytest.approx(100 * shown / gold)
        assert found.decoder.mean == pytest.approx(100 * gold / told)
        assert (found.told, found.answers) == (told, count)
        for one in (found.words, found.channel, found.decoder):
            assert one.low <= one.mean <= one.high and str(one) in note


def test_tables_of_former_weights_say_so(tmp_path: Path) -> None:
    """The hash of one part of today's is another one in a copy: that part alone is named."""
    made = json.loads((RESULTS / "lite_messenger" / "messenger.json").read_text())[:1]
    config = NextGPTConfig.from_dict(made[0]["config"])
    path = tmp_path / "grid.json"
    made[0]["frozen"] = fingerprints(config, tmp_path)
    path.write_text(json.dumps(made))
    assert outdated(path.with_suffix(".csv")) == ""
    made[0]["frozen"]["llm"] = "0" * 64
    path.write_text(json.dumps(made))
    assert "OLD" in outdated(path) and "(llm)" in outdated(path)
