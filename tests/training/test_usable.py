"""A bad record never ends a run: another stands in for it, always the same one."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from PIL import Image

from nextgpt_lite.data.records import Record
from nextgpt_lite.errors import Stopped
from nextgpt_lite.training.features import Features
from nextgpt_lite.training.loop import Schedule, Trainer
from nextgpt_lite.training.report import TIMES
from nextgpt_lite.training.stages import STAGES
from nextgpt_lite.training.usable import Usable
from tests.tiny import Made, tiny_model
from tests.training.runs import QUICK


class Pairs(Made):
    """Pictures and captions of which every third is bad, each in another way."""

    def __init__(self, folder: Path) -> None:
        super().__init__(self.pair)
        self.folder = folder
        Image.new("RGB", (40, 40), "red").save(folder / "good.png")
        (folder / "cut.png").write_bytes((folder / "good.png").read_bytes()[:60])

    def pair(self, index: int) -> Record:
        kind = ["damaged", "absent", "no reply", "wrong"][index // 3 % 4] if index % 3 == 0 else ""
        name = {"damaged": "cut.png", "absent": "gone.png"}.get(kind, "good.png")
        said = [{"type": "text", "text": "A red car."}]
        if kind == "wrong":
            said = [{"type": "text", "text": None}]
        messages = [
            {"role": "user", "content": [{"type": "image", "path": name}]},
            {"role": "assistant", "content": said},
        ]
        return Record(f"{kind}{index}", messages[: 1 if kind == "no reply" else 2], "pair")


def trainer(folder: Path, output: Path, **changes: int) -> Trainer:
    schedule = Schedule.of(STAGES[1], **{**QUICK, "steps": 4, "checkpoint_every": 1, **changes})
    return Trainer(tiny_model(), STAGES[1], Pairs(folder), output, schedule)


def test_a_run_goes_on_past_bad_records_and_is_the_same_each_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def lines(run: Trainer, resume: bool = False) -> list[dict[str, float]]:
        return [
            {name: value for name, value in line.items() if name not in TIMES}
            for line in run.run(resume)
        ]

    whole = lines(trainer(tmp_path, tmp_path / "whole"))
    assert whole[-1]["replaced"] == 4
    assert "cut.png" in caplog.text and "gone.png" in caplog.text
    assert "nothing in it is trained on" in caplog.text
    run = json.loads((tmp_path / "whole" / "run.json").read_text())
    assert run["set_aside"] == {"replaced": 4, "cut": 0}
    parts = trainer(tmp_path, tmp_path / "parts")
    parts.watchers = [
        lambda line: os.kill(os.getpid(), signal.SIGTERM) if line["step"] == 1 else None
    ]
    with pytest.raises(Stopped):
        parts.run()
    (tmp_path / "cut.png").unlink()  # as whoever reads the log would
    assert lines(trainer(tmp_path, tmp_path / "parts"), resume=True) == whole[2:]


def test_a_few_bad_records_are_named_all_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("nextgpt_lite.training.usable.TOLD", 2)
    assert trainer(tmp_path, tmp_path / "run").run()[-1]["replaced"] == 4
    assert caplog.text.count("is replaced by another") == 2


def test_when_nothing_can_be_used_the_first_reason_is_told(tmp_path: Path) -> None:
    source = Made(lambda index: Record(str(index), [], "pair"))
    with pytest.raises(ValueError, match=r"empty|trained on|chat template"):
        Usable(tiny_model(), source, Features(tiny_model()))(0)


def test_a_long_conversation_is_cut_between_slots() -> None:
    model = tiny_model()
    shown = {"type": "image", "data": Image.new("RGB", (8, 8))}
    made = {"type": "audio", "caption": "a dog"}
    messages = [
        {"role": "user", "content": [shown]},
        {"role": "assistant", "content": [{"type": "text", "text": "Here."}, made]},
    ]
    whole = model.conversation.encode(messages)
    media, block = whole.media[0], whole.signals[0]
    for room in range(1, len(whole) + 1):
        encoded = model.conversation.encode(messages)
        assert model.conversation.cut(encoded, room) == (room < len(whole))
        assert room - len(encoded) < max(2, len(model.llm.signal_ids["audio"]))
        assert encoded.ids == whole.ids[: len(encoded)]
        assert len(encoded) == len(encoded.labels)
        assert len(encoded.media) == (len(encoded) >= media.start + 2)
        assert len(encoded.signals) == (len(encoded) >= block.start + 9)
    assert not model.conversation.cut(encoded, None)
