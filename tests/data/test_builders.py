"""Builders of T2M and MosIT: what is asked, what is refused, what comes out, a person's look."""

from __future__ import annotations

import itertools
import json
import re
import shlex
import shutil
import sys
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nextgpt_lite.cli import main
from nextgpt_lite.data.builders import Review, build_mosit, build_t2m, script, table_15
from nextgpt_lite.data.builders.filters import Refused, check_mosit, check_wish, check_words
from nextgpt_lite.data.builders.kept import ATTEMPTS, read_attempts, records_of
from nextgpt_lite.data.builders.plans import ask_dialogue, wordings
from nextgpt_lite.data.builders.shelf import Shelf, _index, _Product
from nextgpt_lite.data.builders.writers import open_writer
from nextgpt_lite.data.check import check
from nextgpt_lite.data.folder import index_folder
from nextgpt_lite.errors import ConfigError, DataError, MissingError, RunError
from nextgpt_lite.messages import parts_of, text_of
from nextgpt_lite.notebook import InspectionWidget
from tests.data.scripted import scripted, served
from tests.test_docs import my_llm

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "data_samples"
PAIRS = [SAMPLES / f"{name}_pairs.json" for name in ("image", "audio", "video")]
ENCODER = "lite/encoder"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEXTGPT_LITE_CACHE", str(tmp_path / "cache"))


def unasked(*_: Any) -> list[str]:
    raise AssertionError("asked again")


unasked.__name__ = scripted.__name__  # as which it goes on


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return Shelf(PAIRS, ENCODER)


def near(shelf: Shelf, modality: str, words: str) -> list[tuple[int, float]]:
    return shelf.near(modality, shelf.vectors([words])[0])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    build_mosit(PAIRS, scripted, folder / "mosit", 12)
    build_t2m(PAIRS, scripted, folder / "t2m", 20)
    return folder


@pytest.fixture
def mosit(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built / "mosit", tmp_path / "mosit"))


def test_built_dialogues_switch_modalities_and_are_read_back(built: Path) -> None:
    report = check(built / "mosit", media=True)
    assert (report.read, report.skipped.total()) == (12, 0)
    records = [*index_folder(built / "mosit")["mosit"]]
    made = {m: set() for m in ("user", "assistant")}
    for record in records:
        assert 3 <= len(record.messages) / 2 <= 7
        media = [p for m in record.messages for p in parts_of(m) if p["type"] != "text"]
        assert len(media) >= 2
        assert all((built / "mosit" / part["path"]).is_file() for part in media)
        for message in record.messages:
            made[message["role"]] |= {p["type"] for p in parts_of(message)}
    assert made["user"] == made["assistant"] == {"text", "image", "audio", "video"}


def test_captions_are_those_of_the_media_and_not_what_was_written(shelf: Shelf) -> None:
    ((number, alike),) = near(shelf, "image", "seven big pink trains in the street")
    assert shelf[number].caption == "seven large pink trains on the street"
    assert alike < 0.9999
    ((same, alike),) = near(shelf, "image", shelf[5].caption)
    assert (shelf[same].caption, round(alike, 4)) == (shelf[5].caption, 1.0)


def test_of_captions_the_encoder_cannot_tell_apart_the_words_decide(tmp_path: Path) -> None:
    captions = ["a large red zorb", "a large red quux", "a small car"]
    pairs = [{"image_name": "a.png", "caption": caption} for caption in captions]
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "pairs.json").write_text(json.dumps(pairs))
    shelf = Shelf([tmp_path / "pairs.json"], ENCODER)
    vectors = shelf.vectors([*captions, "a large red thing"])
    assert np.allclose(vectors[0], vectors[1])
    for number, caption in enumerate(captions):
        assert shelf.find("image", f"{caption.capitalize()}.", vectors[number])[0] == number
    assert shelf.find("image", "a large red thing", vectors[3])[0] in (0, 1)
    assert shelf.find("audio", captions[0], vectors[0]) == (0, -1.0)


def test_wishes_have_the_captions_of_their_pairs(built: Path) -> None:
    report = check(built / "t2m", media=True)
    assert (report.read, report.skipped.total()) == (20, 0)
    captions = {item["caption"] for path in PAIRS for item in json.loads(path.read_text())}
    records = [*index_folder(built / "t2m")["t2m"]]
    for record in records:
        (part,) = (p for p in parts_of(record.messages[1]) if p["type"] != "text")
        assert part["caption"] in captions
        assert text_of(record.messages[1])
    manners = {text_of(record.messages[0])[:12] for record in records}
    assert len(manners) > 2


def test_pairs_without_media_serve_wishes_but_no_dialogues(tmp_path: Path) -> None:
    table = tmp_path / "cc3m.tsv"
    table.write_text("a man rows a boat\thttp://x.org/1.jpg\na cat sleeps\thttp://x.org/2.jpg\n")
    built = build_t2m([table], lambda asked, _: [_wish(each) for each in asked], tmp_path / "t2m")
    assert (built.kept, check(built.file).read) == (2, 2)
    with pytest.raises(DataError, match="No medium of the pairs is there"):
        build_mosit([table], scripted, tmp_path / "mosit", 1)


def _wish(asked: Any) -> str:
    caption = re.search(r"\[image: ([^\]]*)\]\nThe", asked[-1]["content"])
    return f"Human: Please draw {caption[1]}.\nMachine: Here it is for you."


def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(built: Path, tmp_path: Path) -> None:
    calls = []

    def stops(asked: Any, seeds: Any) -> list[str]:
        calls.append(len(asked))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return scripted(asked, seeds)

    stops.__name__ = scripted.__name__
    output = tmp_path / "mosit"
    with pytest.raises(KeyboardInterrupt):
        build_mosit(PAIRS, stops, output, 12)
    lines = (output / ATTEMPTS).read_text().splitlines(True)
    assert len(lines) == 8
    (output / ATTEMPTS).write_text("".join(lines[:5]) + lines[5][:20])  # a kill in the middle
    build_mosit(PAIRS, scripted, output, 12)
    for name in (ATTEMPTS, "mosit.json"):
        assert (output / name).read_bytes() == (built / "mosit" / name).read_bytes()
    with pytest.raises(ConfigError, match="seed was 0 and is now 1"):
        build_mosit(PAIRS, scripted, output, 12, seed=1)
    assert build_mosit(PAIRS, unasked, output, 12).kept == 12  # nobody is asked again


def test_what_is_refused_is_counted_by_reason(built: Path, tmp_path: Path) -> None:
    refused = {each.refused for each in read_attempts(built / "mosit")}
    assert "is not in the form that was asked for" in refused
    with pytest.raises(RunError, match="speaks as a program"):
        ai = "Human: Hi.\nMachine: As an AI language model, I have no eyes."
        build_t2m(PAIRS, lambda asked, _: [ai] * len(asked), tmp_path / "t2m", 3)


GOOD = """Human: [image: a cat] What is it doing?
Machine: It lies on the table and seems to sleep.
Human: I miss how it sounds.
Machine: Then listen to this one for a while. [audio: a cat meows]
Human: What should I feed it?
Machine: Fish twice a week, and water at all times."""


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t, None),
        (lambda t: t.replace("Machine:", "**Machine:** "), None),
        (lambda t: t.replace("Human:", "Turn 1. Human:"), None),
        (lambda t: "\n".join(t.splitlines()[:4]), "has not 3 to 7 turns"),
        (lambda t: "\n".join([t] + [f"Human: And {n}?\nMachine: Just {n} more of them."
                                    for n in range(5)]), "has not 3 to 7 turns"),
        (lambda t: t.replace("[image: a cat]", ""), "shows fewer than two media"),
        (lambda t: t.replace("audio:", "image:"), "keeps to one modality"),
        (lambda t: t + "\nHuman: And now?", "speakers do not take turns"),
        (lambda t: t.replace("Fish twice a week, and", "Fish, [smell: fish], and"),
         "holds marks of no medium"),
        (lambda t: t.replace("It lies on the table and seems to sleep.", "It sleeps."),
         "has a reply of hardly a word"),
        (lambda t: t.replace("Fish", "As an AI, I say fish"), "speaks as a program"),
        (lambda t: t.replace("Fish", "Naked fish"), "is not fit for everybody"),
        (lambda t: t.replace("What should I feed it?", "I miss how it sounds."), "repeats itself"),
        (lambda t: t.replace("What should I feed it?", "I have never changed a wheel."),
         "copies an example"),
        (lambda t: t.replace("Fish", "Fish " * 2000), "is too long or no text"),
    ],
)  # fmt: skip
def test_dialogues_are_refused_for_a_reason(change: Any, reason: str | None) -> None:
    turns = script.read(change(GOOD))
    templates = [each["dialogue"] for each in wordings()["templates"]]
    try:
        check_words(turns, wordings()["refused"])
        check_mosit(turns, True, templates)
    except Refused as error:
        assert str(error) == reason
    else:
        assert reason is None


def test_a_wish_says_what_is_to_be_made() -> None:
    wish = "Human: Show me {}.\nMachine: Here it is for you."
    check_wish(script.read(wish.format("an old man on a bench")), "an old man sits on a bench")
    for text, reason in (
        (wish.format("something"), "does not say what"),
        (wish.format("[image: an old man on a bench]"), "shows what it should wish for"),
        (wish.format("an old man") + "\nHuman: Yes.\nMachine: Fine.", "one wish and one reply"),
    ):
        with pytest.raises(Refused, match=reason):
            check_wish(script.read(text), "an old man sits on a bench")


def test_the_examples_are_what_is_asked_for() -> None:
    words = wordings()
    assert len({*words["topics"]}) >= 100
    acts, wishes = set(), set()
    for each in words["templates"]:
        turns = script.read(each["dialogue"])
        check_words(turns, words["refused"])
        check_mosit(turns, True, [])
        assert script.written(turns) == each["dialogue"]
        for said in each["plan"]:
            wishes.add(said.split()[0])
            acts.add(said.split()[1])
    assert (acts, wishes) == ({*words["acts"]}, {*words["wishes"]})


def test_requests_hold_a_topic_media_at_hand_and_a_plan(shelf: Shelf) -> None:
    seen = set()
    for seed in range(12):
        *_, asked = ask_dialogue(Random(seed), shelf, ["a walk in the park"])
        assert "Topic: a walk in the park" in asked["content"]
        plan = re.findall(r"^Turn \d.*$", asked["content"], re.M)
        assert 3 <= len(plan) <= 7
        media = re.findall(r"(?:shows|makes) an? (\w+)", "\n".join(plan))
        assert len(media) >= 2
        assert all(a != b for a, b in itertools.pairwise(media))
        seen |= {*re.findall("guessed|plainly|describes|explains|proposes|lays out", str(plan))}
        for kind, caption in re.findall(r"^\[(\w+): (.*)\]$", asked["content"], re.M):
            assert shelf[near(shelf, kind, caption)[0][0]].caption == caption
    assert len(seen) == 6


def test_faiss_is_asked_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    scores, places = _index(vectors).search(vectors[7:8], 5)
    assert places[0, 0] == np.argmax(vectors @ vectors[7])
    assert np.all(np.diff(scores[0]) <= 0)
    asked = []

    class Flat:
        def __init__(self, width: int) -> None:
            asked.append(width)

        def add(self, vectors: np.ndarray) -> None:
            asked.append(len(vectors))

    monkeypatch.setitem(sys.modules, "faiss", SimpleNamespace(IndexFlatIP=Flat))
    assert isinstance(_index(vectors), Flat)
    assert asked == [8, 50]


def test_faiss_finds_what_exact_search_finds() -> None:
    pytest.importorskip("faiss", reason="faiss is not here: pip install faiss-cpu")
    vectors = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32)
    for asked in vectors[:5]:
        found = [index.search(asked[None], 7) for index in (_index(vectors), _Product(vectors))]
        assert found[0][1].tolist() == found[1][1].tolist()
        assert np.allclose(found[0][0], found[1][0], atol=1e-5)


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/v1", "http://127.0.0.1@example.org/v1", "https://127.0.0.1/v1",
        "http://127.0.0.1.example.org/v1", "http://[::1]:8000/v1", "http://0.0.0.0:8000/v1",
    ],
)  # fmt: skip
def test_data_are_sent_to_no_other_machine(address: str) -> None:
    with pytest.raises(ConfigError, match="data are sent to no other machine"):
        open_writer(address)


def test_a_server_on_this_machine_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # would be asked in the server's place
    request = "[image: a car]\nTurn 1: the human says plainly; the machine explains."
    asked = [[{"role": "user", "content": request}]] * 3
    with served() as address:
        assert open_writer(address)(asked, [1, 2, 3]) == scripted(asked, [1, 2, 3])
    with pytest.raises(RunError, match="start the server there"):
        open_writer(address)


def test_a_folder_of_transformers_writes_the_same_for_a_seed(tmp_path: Path) -> None:
    my_llm(tmp_path / "llm")
    monkey = [[{"role": "user", "content": "Draw a red car."}], [{"role": "user", "content": "7"}]]
    writer: Any = open_writer(str(tmp_path / "llm"))
    writer.sampling = type(writer.sampling)(12, temperature=1.0)
    first, other = writer(monkey, [1, 2]), writer(monkey, [3, 4])
    assert first == writer(monkey, [1, 2]) != other
    assert all(isinstance(text, str) for text in first)
    with pytest.raises(MissingError, match="No folder 'nowhere'"):
        open_writer("nowhere")


def test_a_person_accepts_rejects_edits_and_takes_back(mosit: Path) -> None:
    widget = InspectionWidget(mosit)
    first, _, third = (record.id for record in records_of(mosit)[:3])
    assert first in widget.static().data["text/html"]
    assert "data:" in widget._shown.value  # its media
    widget._keys.value = "x"
    widget._keys.value = "xa"
    widget._keys.value = "xar"
    assert widget.review.record.id == third
    assert len(records_of(mosit)) == 12
    assert check(mosit).read == 11
    widget.press("e")
    text = widget._text.value
    widget._text.value = text.replace("Human: ", "Human: Well, ", 1) + "\nHuman: Bye."
    widget.save()
    assert "ends with the user's turn" in widget._status.value
    widget._text.value = text.replace("]", " and nobody owns it]", 1)
    widget.save()
    assert "is none of this dialogue's media" in widget._status.value
    widget._text.value = text.replace("Human: ", "Human: Well, ", 1)
    widget.save()
    assert widget._status.value == "3 of 12 decided"
    assert "Well, " in (mosit / "mosit.json").read_text()
    again = InspectionWidget(mosit)  # goes on
    assert again.review.done == 3
    assert "Auto+Manu." in table_15(mosit)
    for _ in range(3):
        again._buttons[3].click()
    assert (again.review.done, check(mosit).read) == (0, 12)
    assert "Well, " not in (mosit / "mosit.json").read_text()
    assert build_mosit(PAIRS, unasked, mosit, 12).kept == 12
    with pytest.raises(MissingError, match="data build"):
        Review(mosit.parent)


def test_statistics_have_the_form_of_table_15(built: Path) -> None:
    head, _, row = table_15(built / "mosit").splitlines()
    cells = dict(zip(head.split(" | "), row.split(" | "), strict=True))
    assert cells["In→Out Modality"] == "T+I+A+V→T+I+A+V"
    assert cells["Approach"] == "Auto"
    assert cells["Data Source"] == "image_pairs, audio_pairs, video_pairs"
    records = records_of(built / "mosit")
    turns = sum(len(record.messages) // 2 for record in records) / len(records)
    assert float(cells["#Dialog Turn"]) == pytest.approx(turns, abs=0.05)
    images = {
        p["path"] for r in records for m in r.messages for p in parts_of(m) if p["type"] == "image"
    }
    assert cells["#Img/Vid/Aud"].split("/")[0] == str(len(images))
    assert table_15(built / "t2m").splitlines()[2].split(" | ")[2] == "T→T+I+A+V"


def test_the_commands_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("images", "audios", "videos"):
        shutil.copytree(SAMPLES / name, Path("my_data", name))
    for path in PAIRS:
        shutil.copy(path, "my_data")
    page = (ROOT / "docs" / "build_a_data_set.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    with served() as address:
        for language, block in blocks:
            if language == "python":
                exec(compile(block, "page", "exec"), {})
                continue
            for line in block.replace("http://127.0.0.1:8000/v1", address).splitlines():
                short = ["--steps", "1", "--batch-size", "1", "--cache", "none"]
                words = shlex.split(line)[1:] + (short if " train " in line else [])
                assert main(words) == 0, line
    assert "| mosit | my_data | T+I+A+V→T+I+A+V | Auto |" in capsys.readouterr().out
    assert Path("runs/s3").is_dir()
