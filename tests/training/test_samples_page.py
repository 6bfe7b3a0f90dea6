"""Sample replies of a model in training, as a page."""

from __future__ import annotations

from pathlib import Path

import torch

from nextgpt_lite.training.loop import Schedule, Trainer
from nextgpt_lite.training.samples_page import PAGE, SamplesPage
from nextgpt_lite.training.stages import (
    STAGES,
)
from tests.tiny import Made, tiny_model
from tests.training.runs import QUICK, losses, run, talkative


def test_sample_replies_become_a_page_and_leave_the_run_as_it_was(tmp_path: Path) -> None:
    plain = losses(run(tmp_path / "plain", steps=4))
    model = tiny_model()
    folder = tmp_path / "watched"
    page = SamplesPage(
        model, folder, 2, ["Draw <b> a car", [{"role": "user", "content": "Film it"}]],
        output_modalities=["image", "audio", "video"], max_new_tokens=3, num_inference_steps=1,
    )  # fmt: skip
    schedule = Schedule.of(STAGES[3], **{**QUICK, "batch_size": 4, "steps": 4})
    training = []
    watchers = [page, lambda line: training.append(model.training)]
    watched = Trainer(model, STAGES[3], Made(talkative), folder, schedule, watchers=watchers).run()
    assert torch.equal(losses(watched), plain)
    assert training == [True] * 4
    told = (folder / PAGE).read_text()
    assert told.index("<td>4</td>") < told.index("<td>2</td>"), "the newest first"
    assert told.count("<td>") == 2 * 3
    assert "Draw &lt;b&gt; a car" in told
    for tag in ("<img", "<audio", "<video"):
        assert told.count(tag) >= 4, "required in each of four replies"
    for name in ("image_0.png", "audio_0.wav", "video_0.mp4"):
        assert (folder / "samples" / "00000002" / "1" / name).is_file()
