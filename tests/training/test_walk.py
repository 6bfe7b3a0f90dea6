"""From corpora as distributed to trained stages, tables and a grid, by the README's commands."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from nextgpt_lite.cli import main
from nextgpt_lite.evaluation.comparison.rows import read_rows
from nextgpt_lite.media import Audio, Video
from nextgpt_lite.media.audios import save_audio
from nextgpt_lite.media.videos import save_video
from nextgpt_lite.reading import read_csv
from nextgpt_lite.training.loop import Trainer

NUMBERS = range(6)


@pytest.fixture
def corpora(tmp_path: Path) -> dict[str, str]:
    """CC3M's TSV, WebVid's and AudioCaps' CSV, LLaVA's JSON, each with media where they belong."""
    places = {name: tmp_path / name for name in ("cc3m", "webvid", "audiocaps", "llava")}
    for folder in ("cc3m/images", "webvid/videos/001_050", "audiocaps/audios", "llava/train2017"):
        (tmp_path / folder).mkdir(parents=True)
    tables = {"cc3m": "", "webvid": "videoid,contentUrl,duration,page_dir,name\n",
              "audiocaps": "audiocap_id,youtube_id,start_time,caption\n"}  # fmt: skip
    talks = []
    for n in NUMBERS:
        picture = Image.new("RGB", (32, 24), (40 * n, 0, 0))
        picture.save(tmp_path / f"cc3m/images/{n}.jpg")
        picture.save(tmp_path / f"llava/train2017/{n:012}.jpg")
        video = Video(np.full((8, 16, 16, 3), 40 * n, np.uint8), 4.0)
        save_video(video, tmp_path / f"webvid/videos/001_050/{n}.mp4")
        audio = Audio(np.full((1, 16000), n / 10, np.float32), 16000)
        save_audio(audio, tmp_path / f"audiocaps/audios/yt{n}.wav")
        tables["cc3m"] += f"{n} red cars\thttp://x.org/{n}.jpg\n"
        tables["webvid"] += f"{n},https://x.org/{n}.mp4,PT00H00M02S,001_050,{n} birds fly\n"
        tables["audiocaps"] += f"{n},yt{n},30,{n} dogs bark\n"
        turns = [{"from": "human", "value": "<image>\nWhat is it?"},
                 {"from": "gpt", "value": f"{n} cars."}]  # fmt: skip
        talks.append({"id": f"{n}", "image": f"train2017/{n:012}.jpg", "conversations": turns})
    (places["cc3m"] / "Train_GCC-training.tsv").write_text(tables["cc3m"])
    (places["webvid"] / "results_2M_train.csv").write_text(tables["webvid"])
    (places["audiocaps"] / "train.csv").write_text(tables["audiocaps"])
    (places["llava"] / "llava_instruct_150k.json").write_text(json.dumps(talks))
    return {name: str(place) for name, place in places.items()}


def killed_in_step_3(command: list[str]) -> int:
    """Runs a command in a process of its own that dies there; the signal that it died of."""
    step = Trainer.take_step

    def dies(self: Trainer) -> Any:
        if self.step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(self)

    if not (child := os.fork()):
        try:
            torch.set_num_threads(1)  # those of the parent are not here
            Trainer.take_step = dies  # type: ignore[method-assign, assignment]
            main(command)
        finally:
            os._exit(0)
    return os.WTERMSIG(os.waitpid(child, 0)[1])


def test_raw_corpora_go_through_stages_a_kill_a_resume_tables_and_a_grid(
    corpora: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXTGPT_LITE_CACHE", str(tmp_path / "cache"))
    data = [word for name in corpora for word in ("--data", corpora[name])]
    pairs, numbers = data[:6], ["--steps", "2", "--batch-size", "4", "log_every=1"]
    runs = {n: str(tmp_path / f"s{n}") for n in (1, 2, 3)}
    first = ["train", "--stage", "1", *pairs, "--output", runs[1], "--steps", "3", *numbers[2:]]
    assert killed_in_step_3([*first, "checkpoint_every=1"]) == signal.SIGKILL
    assert main([*first, "checkpoint_every=1", "--resume"]) == 0
    for stage, read in ((2, pairs), (3, data)):
        command = ["--init", runs[stage - 1], "--output", runs[stage], *numbers]
        assert main(["train", "--stage", str(stage), *read, *command]) == 0
    for stage, output in runs.items():
        told = Path(output, "metrics.jsonl").read_text().splitlines()
        lines = [json.loads(line) for line in told]
        assert [line["step"] for line in lines] == [*range(1, 4 if stage == 1 else 3)]
        assert all(np.isfinite(line["total"]) for line in lines)

    out = tmp_path / "tables"
    for table, name in (("6", "cc3m"), ("5", "audiocaps")):
        ask = ["evaluate", "--table", table, "--data", corpora[name], "--model", runs[3]]
        assert main([*ask, "--limit", "2", "--output", str(out)]) == 0
        sheet = json.loads((out / f"table_{table}.json").read_text())
        assert sheet["protocol"].startswith(f"N = 2 items of {corpora[name]}")
        assert any(value is not None for value in sheet["rows"]["NExT-GPT"])

    truth = [{"type": "image", "caption": "2 red cars"}]
    asked = {"id": "1", "prompt": "Draw 2 red cars.", "truth": truth}
    (tmp_path / "mine.jsonl").write_text(json.dumps(asked) + "\n")
    grid = {
        "data": {corpora["cc3m"]: 3.0, corpora["audiocaps"]: 1.0},
        "fixed": {"stages": [2], "init": runs[1],
                  "schedule": {2: {"steps": 1, "batch_size": 4, "warmup": 1}}},
        "cells": [{"name": "l2"}, {"name": "cosine", "distance": "cosine"}],
        "score": {"instructions": str(tmp_path / "mine.jsonl"), "prompts": 1,
                  "num_inference_steps": 1, "tables": {6: corpora["cc3m"]}},
    }  # fmt: skip
    (tmp_path / "grid.yaml").write_text(yaml.safe_dump(grid))
    assert main(["ablate", str(tmp_path / "grid.yaml"), "--output", str(tmp_path / "grid")]) == 0
    assert [row["system"] for row in read_rows(tmp_path / "grid" / "grid.csv")] == ["l2", "cosine"]
    found = read_csv(tmp_path / "grid" / "grid-tables.csv", ("cell", "table", "column", "value"))
    assert {(row["cell"], row["table"]) for row in found} == {("l2", "6"), ("cosine", "6")}
    assert "CIDEr" in {row["column"] for row in found}
    assert all(np.isfinite(float(row["value"])) for row in found if row["value"])
