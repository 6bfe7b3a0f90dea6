"""From corpora as they are distributed through the three stages, by the README's commands."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nextgpt_lite.cli import main
from nextgpt_lite.media import Audio, Video
from nextgpt_lite.media.audios import save_audio
from nextgpt_lite.media.videos import save_video
from nextgpt_lite.training.engine import Engine
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


def test_raw_corpora_go_through_three_stages_a_stop_and_a_resume(
    corpora: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEXTGPT_LITE_CACHE", str(tmp_path / "cache"))
    data = [word for name in corpora for word in ("--data", corpora[name])]
    pairs, numbers = data[:6], ["--steps", "2", "--batch-size", "4", "log_every=1"]
    taken: list[Any] = []
    step = Trainer.take_step

    def stopped_once(self: Engine) -> Any:
        if self.step == 1 and not taken:
            taken.append(self.title)
            os.kill(os.getpid(), signal.SIGINT)
        return step(self)  # type: ignore[arg-type]

    monkeypatch.setattr(Trainer, "take_step", stopped_once)
    runs = {n: str(tmp_path / f"s{n}") for n in (1, 2, 3)}
    first = ["train", "--stage", "1", *pairs, "--output", runs[1], "--steps", "3", *numbers[2:]]
    assert main(first) == 128 + signal.SIGINT and taken == ["stage 1"]
    assert main([*first, "--resume"]) == 0
    for stage, read in ((2, pairs), (3, data)):
        command = ["--init", runs[stage - 1], "--output", runs[stage], *numbers]
        assert main(["train", "--stage", str(stage), *read, *command]) == 0
    for stage, output in runs.items():
        told = Path(output, "metrics.jsonl").read_text().splitlines()
        lines = [json.loads(line) for line in told]
        assert [line["step"] for line in lines] == [*range(1, 4 if stage == 1 else 3)]
        assert all(np.isfinite(line["total"]) for line in lines)
