"""The loop's options change speed and memory, not what is learned; a run can be watched."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker
from safetensors.torch import load_file
from torch import nn

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.cli import main
from nextgpt_lite.data.records import Record
from nextgpt_lite.errors import PackageError
from nextgpt_lite.notebook import plots
from nextgpt_lite.training import run as training_run
from nextgpt_lite.training.loop import Schedule, Trainer
from nextgpt_lite.training.precision import compile_checked, mixed_precision
from nextgpt_lite.training.report import METRICS, TIMES, trackers
from nextgpt_lite.training.samples_page import PAGE, SamplesPage
from nextgpt_lite.training.stages import STAGES
from tests.model.test_batch import open_and_stirred
from tests.tiny import Made, tiny_model
from tests.training.test_stages import QUICK, record

LOSSES = ("total", "text", "signal", "condition")


def run(
    folder: Path, stage: int = 3, more: dict[str, Any] | None = None, **changes: Any
) -> list[dict[str, float]]:
    """A few steps of a tiny model: the logged lines."""
    schedule = Schedule.of(STAGES[stage], **{**QUICK, "batch_size": 4, **changes})
    return Trainer(
        tiny_model(), STAGES[stage], Made(talkative), folder, schedule, **(more or {})
    ).run()


def talkative(index: int) -> Record:
    """Conversations of very unequal length."""
    made = record(index)
    made.messages[1]["content"][0]["text"] += " Draw a red car." * (30 if index % 4 == 0 else 0)
    return made


def losses(lines: list[dict[str, float]]) -> torch.Tensor:
    return torch.tensor([[line[name] for name in LOSSES] for line in lines])


@pytest.mark.parametrize("stage", [1, 2, 3])
@pytest.mark.parametrize(
    "changes", [{"accumulate": 3}, {"checkpointing": True}, {"packed": False}, {"row": 400}]
)
def test_what_saves_time_or_memory_changes_no_loss(
    stage: int, changes: dict[str, Any], tmp_path: Path
) -> None:
    plain, other = run(tmp_path / "plain", stage), run(tmp_path / "other", stage, **changes)
    torch.testing.assert_close(losses(other), losses(plain), atol=1e-4, rtol=1e-4)
    for mine, theirs in zip(other, plain, strict=True):  # AdamW would hide another scale
        assert mine["gradient"] == pytest.approx(theirs["gradient"], rel=1e-3)


def test_rows_are_shared_where_that_is_asked_for() -> None:
    shapes = {}
    for name, changes in {"shared": {}, "own": {"packed": False}, "long": {"row": 999}}.items():
        schedule = Schedule.of(STAGES[3], **{**QUICK, "batch_size": 4, **changes})
        trainer = Trainer(tiny_model(), STAGES[3], Made(talkative), Path("unused"), schedule)
        shapes[name] = trainer.batch(0)[0].ids.shape
    assert shapes["own"][0] == 4
    assert shapes["long"] == (1, 999)
    assert shapes["shared"] == (2, shapes["own"][1])


def test_bfloat16_stays_near_and_leaves_weights_in_float32(tmp_path: Path) -> None:
    plain = losses(run(tmp_path / "plain"))
    half = losses(run(tmp_path / "half", mixed_precision="bf16"))
    assert not torch.equal(plain, half), "autocast was on"
    torch.testing.assert_close(half, plain, atol=0.05, rtol=0.05)
    saved = load_file(tmp_path / "half" / "projections.safetensors")
    assert {value.dtype for value in saved.values()} == {torch.float32}


def test_auto_takes_what_the_device_is_fast_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for able, expected in (({"avx512_bf16": True}, "bf16"), ({"avx2": True}, "no")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        assert mixed_precision("auto") == expected
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert mixed_precision("auto") == "fp16"
    assert mixed_precision("no") == "no"


def test_a_batch_cannot_be_read_in_more_passes_than_it_has_records() -> None:
    with pytest.raises(ValueError, match="1 to 2 passes"):
        Schedule(steps=1, batch_size=2, learning_rate=1, accumulate=3)


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_a_loss_that_is_not_finite_stops_with_the_records_of_its_part(
    bad: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = NextGPT.loss
    seen = []

    def loss(self: NextGPT, *given: Any) -> Any:
        seen.append(1)
        parts = original(self, *given)
        return parts._replace(total=parts.total * bad) if len(seen) == 4 else parts

    monkeypatch.setattr(NextGPT, "loss", loss)
    with pytest.raises(
        FloatingPointError, match="step 1 is not finite in precision 'no'; its records are 5, 7: "
    ):
        run(tmp_path, accumulate=2)


def test_compile_is_refused_where_it_loses_a_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    model = open_and_stirred(3)
    schedule = Schedule.of(STAGES[3], **QUICK)
    batch, _ = Trainer(model, STAGES[3], Made(record), Path("unused"), schedule).batch(0)
    autocast = Accelerator().autocast
    monkeypatch.setattr(nn.Module, "compile", lambda self, **_: None)
    compile_checked(model, batch, autocast)

    def deaf(self: nn.Module, **_: Any) -> None:
        forward = self.forward
        self.forward = lambda *a, **n: forward(*a, **n).detach()

    monkeypatch.setattr(type(model.output_projections["image"]), "compile", deaf, raising=False)
    with pytest.raises(RuntimeError, match=r"another gradient .* train without compile"):
        compile_checked(model, batch, autocast)


class Tracker(GeneralTracker):
    """Keeps what accelerate hands it."""

    name = "kept"
    requires_logging_directory = False

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[int, dict[str, float]] = {}
        self.config: dict[str, Any] = {}
        self.finished = False

    @property
    def tracker(self) -> None:
        return None

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.config = values

    def log(self, values: dict[str, float], step: int | None = None, **_: Any) -> None:
        assert step is not None
        self.lines[step] = values

    def finish(self) -> None:
        self.finished = True


def test_metrics_go_to_file_trackers_and_watchers(tmp_path: Path) -> None:
    tracker, watched = Tracker(), []
    lines = run(tmp_path, more={"report_to": tracker, "watchers": [watched.append]})
    written = [json.loads(line) for line in (tmp_path / METRICS).open()]
    assert [line["step"] for line in written] == [1, 2, 3] == [*tracker.lines]
    assert [*tracker.lines.values()] == watched == lines
    assert tracker.config["batch_size"] == 4
    assert tracker.finished
    last = lines[-1]
    assert {*LOSSES, *TIMES, "tokens", "gradient", "rate"} < set(last)
    assert last["seconds_left"] == 0 < lines[0]["seconds_left"]
    assert last["peak_memory"] > 50e6
    assert last["tokens"] > 0 < last["tokens_per_second"]
    assert last["samples_per_second"] > 0


def test_a_tracker_that_is_not_there_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nextgpt_lite.training.report.find_spec", lambda name: None)
    with pytest.raises(PackageError, match="'wandb', which is not installed"):
        trackers("wandb")
    with pytest.raises(ValueError, match="use one of tensorboard"):
        trackers(["paper"])
    assert trackers(None) == []


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


def test_the_command_reaches_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`train` from the shell: options become numbers of the schedule, replies a page."""
    monkeypatch.setenv("NEXTGPT_LITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(training_run.NextGPT, "from_config", lambda *_: tiny_model())
    monkeypatch.setattr(training_run, "open_source", lambda *_: Made(record))
    asked = []
    original = SamplesPage.__call__
    monkeypatch.setattr(SamplesPage, "__call__", lambda s, line: asked.append(original(s, line)))
    flags = ["--steps", "2", "--batch-size", "4", "--accumulate", "2", "--precision", "bf16",
             "--checkpointing", "--samples-every", "1"]  # fmt: skip
    output = tmp_path / "run"
    assert main(["train", "--stage", "1", "--output", str(output), *flags]) == 0
    schedule = json.loads((output / "run.json").read_text())["schedule"]
    assert (schedule["batch_size"], schedule["accumulate"]) == (4, 2)
    assert (schedule["mixed_precision"], schedule["checkpointing"]) == ("bf16", True)
    assert asked == [None]
    told = (output / PAGE).read_text()
    assert told.count("[image] Draw 2 apples") == 1 < told.count("<td>")
    assert list((tmp_path / "cache").glob("encoder-*/*.safetensors"))


def test_a_live_plot_draws_once_and_then_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []

    def display(bundle: Any, display_id: bool = False) -> Any:
        shown.append("new")
        return SimpleNamespace(update=lambda bundle: shown.append("again"))

    monkeypatch.setattr(plots, "display", display)
    plot = plots.LivePlot(["total"], seconds=1000)
    for step in range(5):
        plot({"step": step, "total": 1 / (step + 1), "seconds_left": 4 - step})
    assert shown == ["new", "again"], "the first line and the last"
