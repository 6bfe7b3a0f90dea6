"""Answers as rows: written, gone on with, and the numbers made of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nextgpt_lite.encoders import Encoder
from nextgpt_lite.evaluation.baselines import GroundTruth
from nextgpt_lite.evaluation.comparison import rows as comparison
from nextgpt_lite.evaluation.metrics.features import Features
from nextgpt_lite.model.config import locate
from nextgpt_lite.world.comparison.aspects import Judge
from nextgpt_lite.world.comparison.instructions import instructions
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge(Features(Encoder.from_pretrained(locate("lite/encoder")), "lite"))


def rows(scores: dict[str, list[list[float]]], group: str = "image", level: str = "complex"):
    return [
        {
            "system": name, "seed": seed, "id": f"{index:03d}", "group": group, "level": level,
            "skill": "named", "split": "train", "pairs": "seen", "length": "short",
            "wanted": "image", "given": "image", "following": value, "rationality": value,
            "quality": "" if value < 0 else value, "text": "Here, \"it\" is.\n",
        }
        for name, by_seed in scores.items()
        for seed, values in enumerate(by_seed)
        for index, value in enumerate(values)
    ]  # fmt: skip


def test_rows_are_written_read_and_added_to(tmp_path: Path) -> None:
    first, second = rows({"a": [[1.0, 2.0]]}), rows({"b": [[3.0]]})
    comparison.write_rows(tmp_path / "r" / "rows.csv", first)
    comparison.write_rows(tmp_path / "r" / "rows.csv", second)
    again = comparison.read_rows(tmp_path / "r" / "rows.csv")
    assert [(r["system"], r["seed"], r["id"], float(r["following"])) for r in again] == [
        ("a", 0, "000", 1.0), ("a", 0, "001", 2.0), ("b", 0, "000", 3.0),
    ]  # fmt: skip
    assert again[0]["text"] == first[0]["text"]
    (tmp_path / "bad.csv").write_text("system,seed\n")
    with pytest.raises(ValueError, match="column 'id' is missing"):
        comparison.read_rows(tmp_path / "bad.csv")


def test_a_run_goes_on_where_it_stopped(tmp_path: Path, judge) -> None:
    made = instructions(3, groups=("image",))
    path, system = tmp_path / "rows.csv", GroundTruth(tiny_model())
    comparison.run([(0, system)], made[:2], judge, path)
    said: list[str] = []
    found = comparison.run([(0, system)], made, judge, path, watch=said.append)
    assert said == ["ground truth, seed 0: 4 of 4"]
    assert [row["id"] for row in found] == [one.id for one in made]
    assert comparison.mean(found, "rationality") == (100, 100, 100)


def test_a_system_of_one_seed_is_compared_with_all_seeds_of_another() -> None:
    many = rows({"end-to-end": [[3.0, 5.0], [5.0, 7.0]], "tool pipeline": [[1.0, 3.0]]})
    found = comparison.difference(many, "end-to-end", "tool pipeline", "following")
    assert found.interval.mean == 3.0 and found.p == 0.5
    missing = [row for row in many if not (row["system"] == "tool pipeline" and row["id"] == "001")]
    found = comparison.difference(missing, "end-to-end", "tool pipeline", "following")
    assert found.interval.mean == 3.0  # (3 + 5) / 2 - 1, on the prompt that both have


def test_decisions_are_counted_over_rows() -> None:
    many = rows({"a": [[0.0] * 4]})
    for row, (wanted, given) in zip(
        many, [("image", "image"), ("image+audio", "image"), ("", "audio"), ("video", "")],
        strict=True,
    ):  # fmt: skip
        row.update(wanted=wanted, given=given)
    assert comparison.decided(many, "image").f1.mean == 100
    assert comparison.decided(many, "audio").precision.mean == 0
    assert comparison.decided(many, "video").recall.mean == 0
