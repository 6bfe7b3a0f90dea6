"""A reader's own instructions: read, asked, judged without a world, in comparisons and grids."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.errors import DataError, NextGPTError
from nextgpt_lite.evaluation.ablation.grid import ScoreSettings
from nextgpt_lite.evaluation.comparison import run as run_comparison
from nextgpt_lite.evaluation.comparison.own import Likeness, read_instructions
from nextgpt_lite.evaluation.comparison.rows import read_rows
from nextgpt_lite.evaluation.protocols import Answer
from nextgpt_lite.reply import Reply
from tests.tiny import tiny_model

RED = {"type": "image", "caption": "a red car"}
LINES: list[dict[str, Any]] = [
    {"id": "a", "prompt": "Draw a red car.", "truth": [{"text": "Here it is."}, RED]},
    {"id": "b", "prompt": "Draw a blue dog.", "truth": [{**RED, "path": "dog.png"}], "level": "x"},
    {"id": "c", "truth": [{"text": "Six."}], "messages": [
        {"role": "user", "content": [{"type": "image", "path": "dog.png"},
                                     {"type": "text", "text": "How many are left?"}]}]},
]  # fmt: skip


def written(folder: Path, lines: list[dict[str, Any]]) -> Path:
    Image.new("RGB", (8, 8), "red").save(folder / "dog.png")
    path = folder / "asked.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_file_gives_instructions(tmp_path: Path) -> None:
    first, second, third = read_instructions(written(tmp_path, LINES))
    assert (first.prompt, first.group, first.level) == ("Draw a red car.", "image", "all")
    assert (first.words, first.wanted) == ("Here it is.", [RED])
    assert second.wanted[0]["path"] == str(tmp_path / "dog.png") and second.level == "x"
    assert (third.prompt, third.group) == ("How many are left?", "none")
    assert third.opened().messages[0]["content"][0]["data"].size == (8, 8)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": "b"}, "comes twice"),
        ({"prompt": ""}, "give a prompt"),
        ({"truth": [{"type": "image"}]}, "neither text nor a caption"),
        ({"truth": [{**RED, "path": "../dog.png"}]}, "dog.png"),
        ({"truth": "a car"}, "'truth'"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    with pytest.raises(NextGPTError, match=said):
        read_instructions(written(tmp_path, [LINES[1], {**LINES[0], **change}]))
    with pytest.raises(DataError, match="no whole line"):
        read_instructions(written(tmp_path, []))


def test_likeness_needs_no_world(lite: NextGPT, tmp_path: Path) -> None:
    """The right medium of the right kind is nearer its caption than another one."""
    asked = read_instructions(written(tmp_path, LINES))
    judge = Likeness(lite)

    def worth(number: int, *parts: dict[str, Any]) -> dict[str, float]:
        return judge.worth(asked[number], Answer(Reply([*parts])))  # type: ignore[list-item]

    red = lite.chat("Show me a large red car.", seed=0, num_inference_steps=4).images[0]
    said, drawn = {"type": "text", "text": "Here it is."}, {"type": "image", "data": red}
    grey = {"type": "image", "data": Image.new("RGB", (64, 64), "grey")}
    good, other, silent = worth(0, said, drawn), worth(0, said, grey), worth(0, said)
    assert good["modality"] == 100 and good["words"] == pytest.approx(100)
    assert good["likeness"] > other["likeness"] + 5
    assert (silent["modality"], silent["likeness"]) == (0, 0)
    words = worth(2, {"type": "text", "text": "Seven."})
    assert words["words"] == 0 and math.isnan(words["likeness"])


def test_own_instructions_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, LINES)
    model = tiny_model()
    monkeypatch.setattr(run_comparison.NextGPT, "from_pretrained", lambda *_, **__: model)
    monkeypatch.setattr(run_comparison, "model_identity", str)
    monkeypatch.setattr(Likeness, "__init__", lambda *_: None)
    monkeypatch.setattr(
        Likeness, "worth", lambda *_: {"modality": 1.0, "likeness": math.nan, "words": 5.0}
    )
    told = run_comparison.compare_models(
        ["a"], [], tmp_path / "out", instructions=path, systems=("ground truth", "gold caption"),
        num_inference_steps=1,
    )  # fmt: skip
    rows = read_rows(tmp_path / "out/rows.csv")
    assert [row["id"] for row in rows] == ["a", "b", "c"] * 2
    assert {row["system"] for row in rows} == {"end-to-end", "gold caption"}, "no true medium of a"
    assert "## image" in told


def test_a_grid_is_scored_by_own_instructions(tmp_path: Path) -> None:
    path = str(written(tmp_path, [*LINES, {**LINES[0], "id": "d"}]))
    own = ScoreSettings(instructions=path, prompts=1)
    assert [one.id for one in own.asked()] == ["a", "b", "c"], "one of each group and level"
    assert own.judging == "likeness" and ScoreSettings().judging == "lite"
    assert ScoreSettings(instructions=path, judge="lite").judging == "lite"
    with pytest.raises(NextGPTError, match="groups"):
        ScoreSettings(instructions=path, groups=["smell"]).asked()
