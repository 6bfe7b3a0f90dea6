"""MME, MMBench and SEED-Bench, written as published and read."""

from __future__ import annotations

import base64
import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nextgpt_lite.errors import DamagedError
from nextgpt_lite.evaluation.benchmarks.choices import (
    read_mmbench,
    read_mme,
    read_seed_bench,
)
from nextgpt_lite.evaluation.tables import choosing
from nextgpt_lite.media import MediaError, Video, save_image, save_video


def picture(path: Path, grey: int = 90) -> Path:
    save_image(Image.new("RGB", (8, 6), (grey,) * 3), path)
    return path


def test_mme_in_both_of_its_layouts(tmp_path: Path) -> None:
    picture(tmp_path / "existence" / "0001.jpg")
    (tmp_path / "existence" / "0001.txt").write_text(
        "\ufeffIs there a dog in this image? Please answer yes or no.\tYes\n"
        "Is there a cat in this image? Please answer yes or no.\tNo\n\n", encoding="utf-8"
    )  # fmt: skip
    picture(tmp_path / "posters" / "images" / "tt01.png")
    (tmp_path / "posters" / "questions_answers_YN").mkdir()
    (tmp_path / "posters" / "questions_answers_YN" / "tt01.txt").write_text("Is it?\tno\n")
    first, second, third = read_mme(tmp_path)
    assert (first.question, first.answer) == (
        "Is there a dog in this image? Please answer yes or no.", 0
    )  # fmt: skip
    assert (second.answer, third.answer, third.category) == (1, 1, "posters")
    assert first.item == second.item != third.item
    assert first.media().size == (8, 6)

    (tmp_path / "existence" / "0001.txt").write_text("no tab here")
    with pytest.raises(ValueError, match=r"0001\.txt, line 1: write it as question<tab>Yes or No"):
        read_mme(tmp_path)
    (tmp_path / "existence" / "0001.jpg").unlink()
    with pytest.raises(ValueError, match="has no picture of its name"):
        read_mme(tmp_path)
    with pytest.raises(ValueError, match="holds no subtask of MME"):
        read_mme(tmp_path / "existence")


def write_tsv(path: Path, rows: list[dict[str, str]]) -> Path:
    columns = ["index", "question", "hint", "A", "B", "C", "D", "answer", "l2-category", "image"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, delimiter="\t", restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_mmbench_with_its_quirks(tmp_path: Path) -> None:
    coded = io.BytesIO()
    Image.new("RGB", (5, 4), "red").save(coded, "JPEG")
    image = base64.b64encode(coded.getvalue()).decode()
    full = {"A": "one", "B": "two", "C": "three", "D": "four", "answer": "C"}
    rows = [
        {"index": "7", "question": "How many\nare there?", "hint": "Look.", "image": image, **full,
         "l2-category": "coarse_perception"},
        # the picture of row 7 again, two options, no hint and, as in the test set, no answer
        {"index": "1000007", "question": "Is it?", "hint": "nan", "A": "yes", "B": "no", "C": "nan",
         "image": "7"},
    ]  # fmt: skip
    first, second = read_mmbench(write_tsv(tmp_path / "a.tsv", rows))
    assert first.question == "Look. How many\nare there?"
    assert (first.options, first.answer) == (("one", "two", "three", "four"), 2)
    assert (second.options, second.answer, second.question) == (("yes", "no"), None, "Is it?")
    assert first.media().size == second.media().size == (5, 4)
    assert choosing.accuracy([choosing.Answered(second, 0)]) is None

    with pytest.raises(ValueError, match=r"index 7: image is no base64"):
        read_mmbench(write_tsv(tmp_path / "b.tsv", [{**rows[0], "image": "?"}]))
    broken = base64.b64encode(b"no picture").decode()
    (choice,) = read_mmbench(write_tsv(tmp_path / "c.tsv", [{**rows[0], "image": broken}]))
    with pytest.raises(MediaError, match="Question 7: its picture is damaged"):
        choice.media()
    (tmp_path / "d.tsv").write_text("index\tquestion\n1\twhat\n")
    with pytest.raises(ValueError, match="column 'A' is missing"):
        read_mmbench(tmp_path / "d.tsv")


def test_seed_bench_pictures_and_segments_of_clips(tmp_path: Path) -> None:
    picture(tmp_path / "1454426_2591111986.jpg")
    frames = np.zeros((16, 8, 8, 3), np.uint8)
    frames[8:] = 200
    save_video(Video(frames, 8.0), tmp_path / "P01_11.mp4")
    shared = {f"choice_{letter}": letter for letter in "abcd"} | {"question": "What?"}
    questions = [
        {**shared, "question_id": "1", "answer": "B", "data_type": "image",
         "data_id": "1454426_2591111986", "question_type_id": 1},
        {**shared, "question_id": "2", "answer": "D", "data_type": "video",
         "data_id": "P01_11.mp4", "question_type_id": 10, "segment": [1.0, 2.0]},
        {**shared, "question_id": "3", "answer": "A", "data_type": "image",
         "data_id": "not here", "question_type_id": 1},
        {**shared, "question_id": "4", "answer": "D", "data_type": "video",
         "data_id": "P01_11", "question_type_id": 12, "segment": [6, 10]},
        {**shared, "question_id": "5", "answer": "D", "data_type": "video",
         "data_id": "P01_11", "question_type_id": 10, "segment": [7.5, 9.0]},
    ]  # fmt: skip
    path = tmp_path / "SEED-Bench.json"
    types = {"Scene Understanding": 1, "Action Recognition": 10, "Procedure Understanding": 12}
    path.write_text(json.dumps({"questions": questions, "question_type": types}))
    first, second, counted, late = read_seed_bench(path)
    found = first.answer, first.category, second.category, counted.category
    assert found == (1, *types)
    assert second.options == tuple("abcd")
    clip = second.media()
    assert len(clip.frames) == 8 and clip.frames.mean() > 150  # the second second, the bright one
    frames = counted.media().frames  # whole numbers count frames, two dark and two bright ones
    assert [frame.mean() > 150 for frame in frames] == [False, False, True, True]
    assert len(late.media().frames) == 1, "the last one, where a segment lies behind the end"
    del questions[0]["choice_c"]
    path.write_text(json.dumps({"questions": questions, "question_type": types}))
    with pytest.raises(ValueError, match="field 'choice_c' is missing"):
        read_seed_bench(path)
    questions[1]["data_id"] = "../../secret.mp4"
    path.write_text(json.dumps({"questions": questions[1:], "question_type": types}))
    with pytest.raises(DamagedError, match=r"SEED-Bench\.json.*outside its data folder"):
        read_seed_bench(path)
