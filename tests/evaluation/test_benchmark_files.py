"""The benchmarks' own files, written as published and read; how an answer is chosen and scored."""

from __future__ import annotations

import base64
import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from nextgpt_lite.chat import prompt_embeddings
from nextgpt_lite.evaluation.benchmarks.choices import (
    YES_NO,
    Choice,
    read_mmbench,
    read_mme,
    read_seed_bench,
)
from nextgpt_lite.evaluation.benchmarks.edit_files import read_davis, read_vctk
from nextgpt_lite.evaluation.benchmarks.items import read_items
from nextgpt_lite.evaluation.tables import choosing
from nextgpt_lite.evaluation.tables.ranking import answer_losses
from nextgpt_lite.evaluation.tables.run import Setting, run_table
from nextgpt_lite.media import MediaError, Video, save_image, save_video
from nextgpt_lite.model.nextgpt import NextGPT
from nextgpt_lite.world.benchmarks import choices as lite_choices
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def model() -> NextGPT:
    return tiny_model()


def picture(path: Path, grey: int = 90) -> Path:
    save_image(Image.new("RGB", (8, 6), (grey,) * 3), path)
    return path


# ---- MME


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


def test_mme_score_by_hand(tmp_path: Path) -> None:
    def answered(item: str, right: bool) -> choosing.Answered:
        choice = Choice("q", "Is it?", YES_NO, 0, "count", "image", Path(f"{item}.jpg"), item=item)
        return choosing.Answered(choice, 0 if right else 1)

    # three of four questions, one of two pictures with both
    found = [answered("a", True), answered("a", True), answered("b", True), answered("b", False)]
    assert choosing.mme_score(found) == pytest.approx(75 + 50)
    choosing.mme_results(found, tmp_path)
    lines = (tmp_path / "count.txt").read_text().splitlines()
    assert lines[3].split("\t") == ["b.jpg", "Is it?", "Yes", "No"]


# ---- MMBench


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
    with pytest.raises(ValueError, match="the column 'A' is missing"):
        read_mmbench(tmp_path / "d.tsv")


# ---- SEED-Bench


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
    with pytest.raises(ValueError, match="a question lacks 'choice_c'"):
        read_seed_bench(path)
    questions[1]["data_id"] = "../../secret.mp4"
    path.write_text(json.dumps({"questions": questions[1:], "question_type": types}))
    with pytest.raises(MediaError, match="outside its data folder"):
        read_seed_bench(path)


# ---- choosing


def test_losses_are_those_of_the_reply_token_by_token(model: NextGPT) -> None:
    content = [
        {"type": "image", "data": Image.new("RGB", (32, 32), "red")},
        {"type": "text", "text": "What do you hear?"},
    ]
    whole = answer_losses(model, content, ["A dog barks.", "Six apples are left."])
    start = answer_losses(model, content, ["A dog barks", "Six apples"], whole=False)
    answer = model.llm.tokenizer(" A dog barks.", add_special_tokens=False).input_ids
    asked = model.conversation.encode([{"role": "user", "content": content}], reply_follows=True)
    (prompt,) = prompt_embeddings(model, [asked])
    losses = []
    for index, token in enumerate([*answer, model.llm.eos_id]):
        said = model.llm.embed(torch.tensor([answer[:index]], dtype=torch.long))
        hidden = model.llm.hidden(torch.cat([prompt[None], said], 1))[:, -1]
        losses.append(float(-torch.log_softmax(model.llm.logits(hidden)[0], -1)[token].detach()))
    assert whole[0] == pytest.approx(np.mean(losses), abs=1e-4)
    assert start[0] == pytest.approx(np.mean(losses[:3]), abs=1e-4), "neither mark nor end"
    assert whole[0] != whole[1]


def test_lite_questions_go_through_the_real_formats(tmp_path: Path) -> None:
    mme = read_mme(lite_choices.write_mme(tmp_path / "mme", 2))
    assert len(mme) == 16 and {c.category for c in mme} == set(lite_choices.MME_TASKS)
    assert [c.answer for c in mme[:2]] == [0, 1] and mme[0].question != mme[1].question
    mmbench = read_mmbench(lite_choices.write_mmbench(tmp_path / "m.tsv", 3))
    assert len(mmbench) == 12 and {c.category for c in mmbench} == set(lite_choices.ABILITIES)
    seed_bench = read_seed_bench(lite_choices.write_seed_bench(tmp_path / "s.json", 2))
    assert {c.category for c in seed_bench} == set(lite_choices.TYPES)
    assert {c.modality for c in seed_bench} == {"image", "video"}
    for choice in (*mmbench, *seed_bench):
        assert len(set(choice.options)) == 4
    assert len({c.answer for c in mmbench}) > 1, "the right answer must not keep its letter"


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
    with pytest.raises(ValueError, match="Table 1 is none of section 6"):
        run_table(1, model)


# ---- captions


def test_caption_files_as_published(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.jpg", "val2014/c.jpg"):
        picture(tmp_path / name)
    files: dict[str, Any] = {
        "captions_val.json": {
            "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "gone.jpg"}],
            "annotations": [{"image_id": 1, "id": 5, "caption": "A dog. "},
                            {"image_id": 1, "id": 6, "caption": "One dog"},
                            {"image_id": 2, "id": 7, "caption": "A cat"}],
        },
        "dataset_flickr30k.json": {
            "images": [{"filename": "b.jpg", "split": "test", "sentences": [{"raw": "A man."}]},
                       {"filename": "a.jpg", "split": "train", "sentences": [{"raw": "No."}]}],
            "dataset": "flickr30k",
        },
        "dataset_coco.json": {
            "images": [{"filename": "c.jpg", "filepath": "val2014", "split": "test", "imgid": 9,
                        "sentences": [{"raw": "A bird."}]}],
        },
        "test_videodatainfo.json": {
            "videos": [{"video_id": "video1", "split": "test"}],
            "sentences": [{"video_id": "video1", "caption": "a car drives"}],
        },
    }  # fmt: skip
    for name, values in files.items():
        (tmp_path / name).write_text(json.dumps(values))
    save_video(Video(np.zeros((4, 8, 8, 3), np.uint8), 4.0), tmp_path / "video1.mp4")
    (tmp_path / "test.csv").write_text(
        "audiocap_id,youtube_id,start_time,caption\n11,xyz,30,A dog barks\n12,xyz,30,Barking\n"
    )
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "Yxyz.wav").write_bytes(b"")
    found = [read_items(tmp_path / name) for name in files]
    found.append(read_items(tmp_path / "test.csv", tmp_path / "sounds"))
    assert [[(i.modality, i.captions) for i in items] for items in found] == [
        [("image", ("A dog.", "One dog"))], [("image", ("A man.",))], [("image", ("A bird.",))],
        [("video", ("a car drives",))], [("audio", ("A dog barks", "Barking"))],
    ]  # fmt: skip
    assert found[0][0].media().size == (8, 6)

    (tmp_path / "other.json").write_text('{"answers": []}')
    with pytest.raises(ValueError, match=r"has the fields \['answers'\]"):
        read_items(tmp_path / "other.json")
    with pytest.raises(ValueError, match="none of its 1 media lies in"):
        read_items(tmp_path / "test.csv")
    with pytest.raises(ValueError, match="is no file"):
        read_items(tmp_path / "nowhere.json")


# ---- edits


def write_davis(folder: Path, lengths: dict[str, int]) -> Path:
    """DAVIS 2017 with sequences of so many frames: JPEGs, and palette PNGs of two things each."""
    (folder / "ImageSets" / "2017").mkdir(parents=True)
    (folder / "ImageSets" / "2017" / "val.txt").write_text("\n".join([*lengths, "gone"]) + "\n")
    numbers = np.zeros((6, 8), np.uint8)
    numbers[1:3, 2:5], numbers[4, 6] = 1, 2
    mask = Image.new("P", (8, 6))
    mask.putdata(numbers.flatten().tolist())
    mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    for name, length in lengths.items():
        for kind in ("JPEGImages", "Annotations"):
            (folder / kind / "480p" / name).mkdir(parents=True)
        for index in range(length):
            frame = Image.new("RGB", (8, 6), (40 * index,) * 3)
            frame.save(folder / "JPEGImages" / "480p" / name / f"{index:05}.jpg")
            mask.save(folder / "Annotations" / "480p" / name / f"{index:05}.png")
    return folder


def test_davis_as_published(tmp_path: Path) -> None:
    folder = write_davis(tmp_path / "DAVIS", {"bear": 5, "dogs-jump": 2})
    bear, dogs = read_davis(folder, frames=3)
    assert (bear.words, bear.caption) == (
        "Make the bear look like a golden statue.", "a golden statue, bear"
    )  # fmt: skip
    assert "dogs jump" in dogs.words
    clip = bear.medium
    assert clip.frames.shape == (3, 6, 8, 3)
    assert clip.frames[:, 0, 0, 0].tolist() == pytest.approx([0, 80, 160], abs=2), "evenly"
    assert clip.duration == pytest.approx(5 / 24)
    expected = np.zeros((6, 8), bool)
    expected[1:3, 2:5] = expected[4, 6] = True
    assert np.array_equal(bear.mask, np.stack([expected] * 3)), "things of every number"
    assert len(dogs.medium.frames) == len(dogs.mask) == 2, "a short sequence is taken whole"

    (folder / "Annotations" / "480p" / "bear" / "00002.png").unlink()
    with pytest.raises(MediaError, match=r"bear.00002\.png does not exist"):
        _ = bear.mask
    Image.new("RGB", (4, 4)).save(folder / "JPEGImages" / "480p" / "dogs-jump" / "00001.jpg")
    with pytest.raises(MediaError, match=r"00001\.jpg is 4 x 4, others of its clip are 8 x 6"):
        _ = dogs.medium
    listed = folder / "ImageSets" / "2017" / "val.txt"
    listed.write_text("gone\n")
    with pytest.raises(ValueError, match="none of the 1 sequences"):
        read_davis(folder, 3)
    listed.write_text("../../secret\n")
    with pytest.raises(MediaError, match="outside its data folder"):
        read_davis(folder, 3)
    with pytest.raises(ValueError, match="give the folder of DAVIS 2017"):
        read_davis(tmp_path, 3)


def write_vctk(folder: Path, sentences: dict[str, str], seconds: float = 0.6) -> Path:
    """VCTK 0.92 with these sentences by "SPEAKER_NUMBER": FLAC at 48 kHz, a tone each."""
    times = np.arange(int(48000 * seconds)) / 48000
    for name, sentence in sentences.items():
        speaker = name.split("_")[0]
        for place in ("txt", "wav48_silence_trimmed"):
            (folder / place / speaker).mkdir(parents=True, exist_ok=True)
        (folder / "txt" / speaker / f"{name}.txt").write_text(sentence + "\n")
        for microphone in ("mic1", "mic2"):
            soundfile.write(
                folder / "wav48_silence_trimmed" / speaker / f"{name}_{microphone}.flac",
                0.5 * np.sin(2 * np.pi * 440 * times), 48000,
            )  # fmt: skip
    return folder


def test_vctk_as_published(tmp_path: Path) -> None:
    sentences = {"p225_001": "Please call Stella.", "p226_001": "Please call Stella.",
                 "s5_003": "Six spoons of fresh snow peas."}  # fmt: skip
    folder = write_vctk(tmp_path / "VCTK", sentences)
    found = {wish.path.name: wish for wish in read_vctk(folder, 9, seconds=0.3)}
    assert {*found} == {f"{name}_mic1.flac" for name in sentences}
    wish = found["s5_003_mic1.flac"]
    assert (
        wish.text == sentences["s5_003"] and wish.text in wish.words and wish.text in wish.caption
    )
    assert (wish.truth.rate, wish.truth.duration) == (48000, 0.3), "no longer than asked for"
    assert wish.mask == pytest.approx((0.1, 0.2))
    gap = slice(round(0.1 * 48000), round(0.2 * 48000))
    assert not wish.medium.samples[:, gap].any() and wish.truth.samples[:, gap].any()
    kept = np.delete(wish.truth.samples, gap, axis=1)
    assert np.array_equal(np.delete(wish.medium.samples, gap, axis=1), kept)
    assert found["p225_001_mic1.flac"].text == "Please call Stella."

    orders = {tuple(w.path.name for w in read_vctk(folder, 2, 1.0, seed)) for seed in range(9)}
    assert len(orders) > 1 and {len(order) for order in orders} == {2}, "drawn by the seed"
    for path in folder.rglob("*_mic1.flac"):
        path.unlink()
    with pytest.raises(ValueError, match=r"no recording of the 3 sentences.*_mic1\.flac"):
        read_vctk(folder, 1, 1.0)
    with pytest.raises(ValueError, match="give the folder of VCTK"):
        read_vctk(tmp_path / "nowhere", 1, 1.0)
