"""How an answer is chosen by its loss, and what choices score."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.evaluation.benchmarks.choices import (
    YES_NO,
    Choice,
)
from nextgpt_lite.evaluation.tables import choosing
from nextgpt_lite.evaluation.tables.sheet import Setting, run_table
from nextgpt_lite.reading import read_csv
from nextgpt_lite.turn import prompt_embeddings
from nextgpt_lite.world.benchmarks import choices as lite_choices
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def model() -> NextGPT:
    return tiny_model()


def test_mme_score_by_hand(tmp_path: Path) -> None:
    def answered(item: str, right: bool) -> choosing.Answered:
        choice = Choice("q", "Is it?", YES_NO, 0, "count", "image", Path(f"{item}.jpg"), item=item)
        return choosing.Answered(choice, 0 if right else 1)

    # three of four questions, one of two pictures with both
    found = [answered("a", True), answered("a", True), answered("b", True), answered("b", False)]
    assert choosing.mme_score(found) == pytest.approx(75 + 50)


def test_losses_are_those_of_the_reply_token_by_token(model: NextGPT) -> None:
    content = [
        {"type": "image", "data": Image.new("RGB", (32, 32), "red")},
        {"type": "text", "text": "What do you hear?"},
    ]
    whole = choosing.answer_losses(model, content, ["A dog barks.", "Six apples are left."])
    start = choosing.answer_losses(model, content, ["A dog barks", "Six apples"], whole=False)
    answer = model.llm.tokenizer(" A dog barks.", add_special_tokens=False).input_ids
    asked = model.conversation.encode([{"role": "user", "content": content}], reply_follows=True)
    (prompt,), _ = prompt_embeddings(model, [asked])
    losses = []
    for index, token in enumerate([*answer, model.llm.eos_id]):
        said = model.llm.embed(torch.tensor([answer[:index]], dtype=torch.long))
        hidden = model.llm.hidden(torch.cat([prompt[None], said], 1))[:, -1]
        losses.append(float(-torch.log_softmax(model.llm.logits(hidden)[0], -1)[token].detach()))
    assert whole[0] == pytest.approx(np.mean(losses), abs=1e-4)
    assert start[0] == pytest.approx(np.mean(losses[:3]), abs=1e-4), "neither mark nor end"
    assert whole[0] != whole[1]


def test_questions_that_are_read_together_have_the_losses_they_have_alone(
    model: NextGPT, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choosing, "ROWS", 7)
    asked = []
    for number, answers in enumerate(
        (YES_NO, ["A dog.", "Six apples are left.", "A car."], YES_NO)
    ):
        picture = Image.new("RGB", (32, 32), (80 * number, 0, 0))
        content = [{"type": "image", "data": picture}, {"type": "text", "text": "Is it?" * number}]
        asked.append((content, answers, answers != YES_NO))
    alone = [choosing.answer_losses(model, c, a, whole=whole) for c, a, whole in asked]
    reads, read = [], model.llm.hidden
    monkeypatch.setattr(
        model.llm, "hidden", lambda *given: reads.append(len(given[0])) or read(*given)
    )
    together = choosing.losses_of(model, asked)
    assert reads == [5 + 2] and [len(each) for each in together] == [2, 3, 2]
    for ours, theirs in zip(together, alone, strict=True):
        assert ours == pytest.approx(theirs, abs=1e-5)
    choosing.losses_of(model, asked * 2)
    assert reads[1:] == [7, 7]


def test_tables_12_and_13_have_the_papers_columns(model: NextGPT, tmp_path: Path) -> None:
    sheet = run_table(12, model, Setting(count=1))
    (row,) = sheet.rows.values()
    assert [value is None for value in row] == [c not in lite_choices.MME_TASKS
                                               for c in choosing.MME_COLUMNS]  # fmt: skip
    sheet = run_table(13, model, Setting(count=1))
    text = sheet.markdown()
    assert "| NExT-GPT (7B) | 48 | 22.1 |" in text and "| ours | Overall ↑ | LR ↑ |" in text
    sheet.write(tmp_path)
    assert json.loads((tmp_path / "table_13.json").read_text())["number"] == 13
    with pytest.raises(ValueError, match="There is no table '1': use one of 2, 3, 4"):
        run_table(1, model)


def test_answers_are_written_for_the_benchmarks_own_evaluation(
    model: NextGPT, tmp_path: Path
) -> None:
    """Several files in one run; MME's result files and MMBench's submission hold each answer."""
    files = tuple(
        lite_choices.write_questions(name, tmp_path, 1) for name in ("mmbench", "seed_bench")
    )
    sheet = run_table(13, model, Setting(count=2, data=files, media=tmp_path))
    assert "N = 2 questions in MMBench's file and 2 in SEED-Bench's" in sheet.protocol
    sheet.write(tmp_path / "out")
    rows = read_csv(tmp_path / "out/mmbench_submission.tsv", ("index", "A", "prediction"),
                    delimiter="\t")  # fmt: skip
    assert len(rows) == 2 and all(row["prediction"] in "ABCD" for row in rows)
    (tmp_path / "mme").mkdir()
    mme = lite_choices.write_questions("mme", tmp_path / "mme", 2)
    run_table(12, model, Setting(count=6, data=(mme,))).write(tmp_path / "out")
    lines = [
        line.split("\t")
        for path in (tmp_path / "out/mme_results").glob("*.txt")
        for line in path.read_text().splitlines()
    ]
    assert len(lines) == 6
    for image, _, truth, answer in lines:
        assert image.endswith(".png") and {truth, answer} <= {"Yes", "No"}
    with pytest.raises(ValueError, match="takes one --data"):
        run_table(12, model, Setting(data=(mme, mme)))
