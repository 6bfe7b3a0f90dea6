"""The table of the lite suite: rows, what is kept of an earlier run, and floors under a slice."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from random import Random

import pytest
import torch
from PIL import Image

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.evaluation.statistics import Score
from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import (
    HELD_OUT_COLOURS,
    HELD_OUT_COUNTS,
    Clip,
    Group,
    Picture,
    Sound,
    is_held_out,
)
from nextgpt_lite.world.suite import run as suite
from nextgpt_lite.world.suite.contact import RIGHT, WRONG, Tile, write_sheets
from nextgpt_lite.world.suite.dialogues import macro_f1
from nextgpt_lite.world.suite.examination import Examination, Found, make
from nextgpt_lite.world.suite.frozen import PROBES
from nextgpt_lite.world.suite.prompts import counted, related, unseen_colour, unseen_count
from nextgpt_lite.world.suite.rows import Row, markdown, mean, resampled, share, weakest

ROOT = Path(__file__).resolve().parents[2]
SLICE = ("audio decoder", "text encoders", "requests")


def test_a_row_says_whether_its_bar_is_met() -> None:
    rows = [
        share("a", "b", Score(490, 500), 98),
        share("a", "b", Score(489, 500), 98),
        Row("speed", "picture", 1.2, 1.1, 1.3, 5, 1.0, "s", at_most=True),
        share("a", "b", Score(1, 2)),
    ]
    assert [row.met for row in rows] == [True, False, False, None]
    assert [Row.from_dict(json.loads(json.dumps(row.to_dict()))).met for row in rows] == [
        True, False, False, None
    ]  # fmt: skip
    lines = markdown(rows).splitlines()
    assert lines[2] == "| a | b | 98.0 % | 96.4-98.9 | 500 | ≥ 98 % | yes |"
    assert lines[4].endswith("| 1.20 s | 1.10-1.30 | 5 | ≤ 1 s | no |")


def test_intervals_hold_the_value_and_narrow_with_the_count() -> None:
    few, many = (mean("a", "b", [0.2, 0.4] * n) for n in (5, 500))
    assert few.value == pytest.approx(0.3)
    assert few.high - few.low > 5 * (many.high - many.low)
    drawn = resampled("a", "b", [True] * 30 + [False] * 70, lambda xs: sum(xs) / len(xs))
    assert drawn.low < drawn.value == 0.3 < drawn.high
    assert (drawn.low, drawn.high) == pytest.approx((0.21, 0.39), abs=0.03)


def test_f1_counts_none_as_a_choice() -> None:
    right = [(("image",), ("image",)), ((), ()), (("audio", "video"), ("audio", "video"))]
    assert macro_f1(right) == 1.0
    # image: 1 of 1 found, but 1 of 2 given is right; none: 1 of 2 found.
    assert macro_f1([*right[:2], (("image",), ())]) == pytest.approx(2 / 3)
    assert weakest([("a", True), ("b", False), ("b", True)]) == "least: b, 50.0 % of 2"


def test_prompts_ask_for_what_their_row_says() -> None:
    rng = Random(0)
    counts = [counted(rng).groups[0].count for _ in range(350)]
    assert {*counts} == {*range(1, 8)}
    assert max(counts.count(n) for n in range(1, 8)) < 85
    for _ in range(50):
        pair, colour, count = related(rng), unseen_colour(rng), unseen_count(rng)
        assert len(pair.groups) == 2
        assert pair.relation
        assert not is_held_out(pair)
        assert (colour.groups[0].kind, colour.groups[0].colour) in HELD_OUT_COLOURS
        assert (count.groups[0].kind, count.groups[0].count) in HELD_OUT_COUNTS
        assert (count.groups[0].kind, count.groups[0].colour) not in HELD_OUT_COLOURS
    assert [name for _, _, asked in PROBES for name in asked].count("count") == 2


def test_a_medium_does_not_depend_on_its_batch(lite: NextGPT) -> None:
    decoder = lite.decoder("audio")
    conditions = [*decoder.encode_text(["a dog barks twice in a low pitch", "a bell rings once"])]
    both = make(decoder, conditions, [5, 6], steps=2)
    alone = make(decoder, conditions[1:], [6], steps=2)
    assert abs(both[1].samples - alone[0].samples).max() < 0.05 * abs(alone[0].samples).max()


def test_what_was_measured_is_kept_until_files_or_numbers_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lite: NextGPT
) -> None:
    runs = []

    def examine(examiner: object) -> Found:
        runs.append(examiner)
        return Found([share("part", "measure", Score(1, 1), 50)])

    monkeypatch.setattr(suite.NextGPT, "from_pretrained", lambda *_, **__: lite)
    monkeypatch.setattr(suite, "EXAMINATIONS", {"one": Examination(("llm",), examine)})
    for count in (4, 4, 5):
        rows = suite.run_suite("lite", tmp_path, count=count, names=["one"])
        assert len(rows) == 1
    assert len(runs) == 2
    monkeypatch.setattr(suite, "_fingerprint", lambda _: "other weights")
    suite.run_suite("lite", tmp_path, count=5, names=["one"])
    assert len(runs) == 3
    assert "| part | measure | 100.0 % |" in (tmp_path / "scores.md").read_text()


def test_every_examination_is_shared_out_once() -> None:
    assert sorted([*chain(*suite.SHARES), *suite.ALONE]) == sorted(suite.EXAMINATIONS)


@pytest.mark.parametrize(
    ("threads", "card", "workers"),
    [(2, None, 2), (16, None, 4), (2, 80, 2), (16, 80, 4), (16, 15, 3), (16, 2, 1)],
)
def test_workers_are_as_many_as_threads_and_as_the_card_holds(
    monkeypatch: pytest.MonkeyPatch, threads: int, card: int | None, workers: int
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: card is not None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: ((card or 0) * 2**30, 0))
    assert suite.default_workers() == workers
    assert suite.default_workers("cpu") == min(threads, 4)


def test_processes_find_what_one_finds_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lite: NextGPT
) -> None:
    names = ("audio decoder", "retrieval", "size")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    together = suite.run_suite("lite", tmp_path / "two", 3, 2, names, workers=2)
    assert not multiprocessing.active_children()
    monkeypatch.setattr(suite.NextGPT, "from_pretrained", lambda *_, **__: lite)
    alone = suite.run_suite("lite", tmp_path / "one", 3, 2, names)
    assert len(alone) == 3 + 3 + 1
    assert together == alone
    assert (tmp_path / "two" / "sheets" / "audio.png").is_file()
    monkeypatch.setattr(suite, "_start", os._exit)  # any process would end at once
    assert suite.run_suite("lite", tmp_path / "two", 3, 2, names, workers=2) == alone
    with pytest.raises(RuntimeError, match=r"ended early.*fewer workers; what is done stays done"):
        suite.run_suite("lite", tmp_path / "two", 4, 2, names, workers=2)
    assert suite.read_rows(tmp_path / "two" / "scores.json") == alone


def test_scores_of_processes_that_end_together_are_all_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def saved(path: Path) -> object:  # as slow as a disk may be
        found = read(path)
        time.sleep(0.02)
        return found

    read, names = suite._saved, [*suite.EXAMINATIONS][:6]
    nothing = Examination((), lambda _: Found([]))
    monkeypatch.setattr(suite, "EXAMINATIONS", dict.fromkeys(names, nothing))
    monkeypatch.setattr(suite, "_saved", saved)
    with ThreadPoolExecutor(len(names)) as pool:
        [*pool.map(lambda name: suite._hold(name, None, tmp_path, {}), names)]
    assert [*json.loads((tmp_path / "scores.json").read_text())] == names


def test_a_mistake_in_a_process_ends_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lite: NextGPT
) -> None:
    monkeypatch.setattr(suite.NextGPT, "from_pretrained", lambda *_, **__: lite)
    names = ("stage 1", "audio decoder")  # stage 1 samples nothing: it would end well in a minute
    with pytest.raises(ValueError, match="2000"):  # a scheduler refuses more steps than it has
        suite.run_suite("lite", tmp_path, 500, 2000, names, workers=2)
    assert not multiprocessing.active_children()
    assert not (tmp_path / "scores.json").exists()


def test_a_slice_of_the_table_stays_above_its_floors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lite: NextGPT
) -> None:
    """Wide room below the shipped scores: it is there to notice a part that broke."""
    monkeypatch.setattr(suite.NextGPT, "from_pretrained", lambda *_, **__: lite)
    rows = suite.run_suite("lite", tmp_path, count=8, steps=8, names=SLICE)
    values = {f"{row.part}: {row.measure}": row.value for row in rows}
    assert len(rows) == 3 + 9 + 2
    assert min(values[f"audio decoder: {name}"] for name in ("kind", "how many times")) >= 70
    assert values["image text encoder: one word changed: count"] >= 0.2
    assert values["after stage 3: requests for media"] >= 10
    assert all(row.low <= row.value <= row.high for row in rows if math.isfinite(row.low))
    sheets = {path.stem for path in (tmp_path / "sheets").iterdir()}
    assert "audio" in sheets
    assert any(sheet.startswith("requests_train") for sheet in sheets)


def test_a_sheet_shows_each_modality_apart_and_its_verdict(tmp_path: Path) -> None:
    scenes = [Clip("car", "red", "left"), Sound("dog", 2, "low"), Picture((Group("cat", "red"),))]
    tiles = [Tile(caption(s), render(s), index == 2) for index, s in enumerate(scenes)]
    write_sheets(tiles, tmp_path, "all")
    frames = {p.stem: Image.open(p).getpixel((0, 0)) for p in tmp_path.iterdir()}
    assert frames == {"all_clips": WRONG, "all_sounds": WRONG, "all_pictures": RIGHT}
    assert Image.open(tmp_path / "all_clips.png").width > 8 * 64


def test_the_shipped_table_is_of_the_shipped_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = ROOT / "results" / "lite_suite"
    shutil.copy(shipped / "scores.json", tmp_path)

    def again(each: str) -> Examination:
        def run(_: object) -> Found:
            pytest.fail(f"{each} was measured with other weights: run the suite again")

        return Examination(suite.EXAMINATIONS[each].parts, run)

    monkeypatch.setattr(suite, "EXAMINATIONS", {each: again(each) for each in suite.EXAMINATIONS})
    rows = suite.run_suite("lite", tmp_path)
    assert markdown(rows) == (shipped / "scores.md").read_text()
    quoted = (ROOT / "README.md").read_text().split("### What the shipped model can do")[1]
    quoted = [line for line in quoted.split("**What does not work")[0].splitlines() if "|" in line]
    assert len(quoted) > 30 and set(quoted) <= set(markdown(rows).splitlines())
