"""Table 14 beside the paper's, from rows alone; the whole comparison from folders of models."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import pytest

from nextgpt_lite.errors import RunError
from nextgpt_lite.evaluation.comparison import rows as comparison, run as run_comparison
from nextgpt_lite.evaluation.comparison.table14 import report, systems_of, table14
from nextgpt_lite.evaluation.tables.sheet import TABLES
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.world.comparison.instructions import LEVELS, instructions
from nextgpt_lite.writing import owned
from tests.evaluation.test_rows import rows
from tests.tiny import tiny_model


def test_table_14_has_the_papers_numbers_beside_ours() -> None:
    scores = {name: [[50.0, 60.0]] for name in ("end-to-end", "caption messenger", "gold caption")}
    many = rows(scores, level="simple") + rows(scores)
    many = [{**row, "id": f"{row['level']}/{row['id']}"} for row in many]
    text = table14(many)
    lines = text.splitlines()
    assert [line.split("|")[1].strip().split(" (")[0] for line in lines[2:]] == [
        "caption messenger", "end-to-end", "gold caption",
    ]  # fmt: skip
    assert lines[3].count("55.0") == 6 and lines[3].rstrip(" |").endswith("(80)")
    assert "(76)" in lines[2] and "(" not in lines[4]
    variant = rows({"end-to-end, shipped": [[1.0]], "a": [[1.0]]}, level="simple")
    assert systems_of(many + variant) == [
        "caption messenger", "end-to-end", "end-to-end, shipped", "gold caption", "a",
    ]  # fmt: skip
    told = report(many)
    assert "0.0 [0.0, 0.0], p = 1" in told and "F1" in told
    assert "12 tests, not corrected" in told and "together is 0.0042." in told
    assert TABLES[14].rows["NExT-GPT"] == [95, 92, 89, 84, 83, 80]


def test_shipped_answers_are_to_the_instructions_of_today() -> None:
    path = Path(__file__).parents[2] / "results" / "lite_baselines" / "baselines.csv"
    shipped = comparison.read_rows(path)
    asked = {one.id: one for one in instructions(100, groups=tuple(MODALITIES))}
    everything = ("tool pipeline", "gold caption", "ground truth", "end-to-end, shipped")
    pictures = sum(one.group == "image" for one in asked.values())
    assert Counter(row["system"] for row in shipped) == {
        **dict.fromkeys(everything, len(asked)),
        "image tools only": pictures,
    }
    for row in shipped:
        one = asked[row["id"]]
        assert (row["skill"], row["split"], row["pairs"], row["length"]) == (
            one.about["skill"], one.about["split"], one.about["pairs"], one.about["length"],
        )  # fmt: skip
        if row["system"] == "ground truth":
            assert row["rationality"] == "100.0" and row["text"] == one.words
    note = (path.parent / "README.md").read_text()
    for system in ("tool pipeline", "end-to-end, shipped", "gold caption"):
        for group, level in itertools.product(MODALITIES, LEVELS):
            mine = comparison.where(shipped, system=system, group=group, level=level)
            assert str(comparison.mean(mine, "following")) in note


def test_rows_of_a_model_are_not_mixed_with_those_of_another_in_its_place(tmp_path: Path) -> None:
    made, part, path = (tmp_path / name for name in ("model", "part", "settings.json"))
    tiny_model().encoder.save_pretrained(part)

    def compared(seed: int) -> None:
        model = tiny_model(seed)
        model.config.encoder = f"{part}"
        model.save_pretrained(made)
        found = {"files of the models": [run_comparison.model_identity(made)]}
        run_comparison.same_settings(path, found)

    compared(0)
    compared(0)
    with pytest.raises(ValueError, match="files of the models was"):
        compared(1)
    (part / "config.json").write_text((part / "config.json").read_text() + " ")  # trained anew
    with pytest.raises(ValueError, match="files of the models was"):
        compared(0)


def test_answers_about_data_that_have_gone_on_are_not_gone_on_with(tmp_path: Path) -> None:
    file, folder = tmp_path / "data.json", tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    medium = folder / "images" / "a.png"
    file.write_text("[]")
    medium.write_bytes(b"one")
    found = [run_comparison.data_identity([file, folder])]
    assert run_comparison.data_identity([folder, file]) == found[0]
    medium.write_bytes(b"another")
    found.append(run_comparison.data_identity([file, folder]))
    file.write_text("[ ]")
    found.append(run_comparison.data_identity([file, folder]))
    assert len({*found}) == 3


def test_a_whole_comparison_is_gone_on_with_and_not_mixed(tmp_path: Path, monkeypatch) -> None:
    made = {"a": tiny_model(), "b": tiny_model(1), "c": tiny_model(messenger="caption")}
    monkeypatch.setattr(run_comparison.NextGPT, "from_pretrained", lambda name, **_: made[name])

    monkeypatch.setattr(run_comparison, "model_identity", str)

    def compared(models, captions, **options) -> list[tuple[str, int]]:
        options = {"prompts": 2, "groups": ["image"], "num_inference_steps": 1, **options}
        run_comparison.compare_models(models, captions, tmp_path, **options)
        found = comparison.read_rows(tmp_path / "rows.csv")
        return [(row["system"], row["seed"]) for row in found]

    found = compared(["a", "b"], ["c"])
    assert Counter(found) == dict.fromkeys(
        (("end-to-end", 0), ("end-to-end", 1), ("caption messenger", 0), ("ground truth", 0),
         ("gold caption", 0), ("tool pipeline", 0), ("image tools only", 0)), 2,
    )  # fmt: skip
    assert compared(["a", "b"], ["c"]) == found
    assert len(compared(["a", "b"], ["c"], prompts=4)) == 2 * len(found)
    assert "NExT-GPT-caption" in (tmp_path / "report.md").read_text()
    assert len((tmp_path / "instructions.jsonl").read_text().splitlines()) == 4
    with pytest.raises(ValueError, match="models was"):
        compared(["a"], ["c"])
    with owned(tmp_path), pytest.raises(RunError, match="is being written by process"):
        compared(["a", "b"], ["c"])
    monkeypatch.setattr(run_comparison, "model_identity", "another {}".format)
    with pytest.raises(ValueError, match="files of the models was"):
        compared(["a", "b"], ["c"])
    with pytest.raises(ValueError, match="'smell' is unknown"):
        compared(["a", "b"], ["c"], groups=["smell"])
    (tmp_path / "settings.json").unlink()
    with pytest.raises(ValueError, match="has the messenger 'caption'"):
        compared(["a", "c"], [])
