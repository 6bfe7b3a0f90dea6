"""The helpers of the notebooks: figures, players, exercises, and the builder's cleaning."""

from __future__ import annotations

import json
import re
import sys
from base64 import b64decode
from types import ModuleType

import nbformat
import numpy as np
import pytest
from PIL import Image

from nextgpt_lite.checkpoints import doctor
from nextgpt_lite.display import MIME, WIDGET_VIEW
from nextgpt_lite.media import Audio, Video
from nextgpt_lite.notebook import build, exercises, plots, results
from nextgpt_lite.notebook.numbers import numbers

RANDOM = np.random.default_rng(0)
NOISE = RANDOM.integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
PICTURE = Image.fromarray(NOISE[0])
CLIP = Video(NOISE, 4.0)
SOUND = Audio(RANDOM.normal(0, 0.1, (2, 32000)).astype(np.float32), 16000)


@pytest.fixture
def shown(monkeypatch):
    """What the helpers displayed, as MIME bundles."""
    bundles: list[dict] = []
    for module in (plots, exercises):
        monkeypatch.setattr(module, "display", lambda shown: bundles.append(shown.data))
    return bundles


def test_every_figure_is_small_even_of_noise(shown):
    plots.show_images([PICTURE] * 12, ["a long title that needs two lines"] * 12)
    plots.show_video(CLIP, "noise")
    plots.show_audio(SOUND, "noise")
    steps = [{"step": i, "text": 1 / (i + 1), "signal": RANDOM.random()} for i in range(500)]
    plots.plot_losses(steps)
    pngs = [b64decode(data["image/png"]) for data in shown if "image/png" in data]
    assert len(pngs) == 4
    assert max(map(len, pngs)) <= 60 * 1024
    assert [data[MIME]["kind"] for data in shown] == [
        "plot", "plot", "video", "plot", "audio", "plot",
    ]  # fmt: skip


def test_contact_sheet_keeps_order_and_refuses_wrong_titles():
    colours = ["red", "green", "blue"]
    sheet = plots.contact_sheet([Image.new("RGB", (64, 64), name) for name in colours], columns=2)
    assert sheet.size == (2 * 128 + 4, 2 * 128 + 4)
    centres = [sheet.getpixel(xy) for xy in ((64, 64), (196, 64), (64, 196))]
    assert centres == [(255, 0, 0), (0, 128, 0), (0, 0, 255)]
    with pytest.raises(ValueError, match="1 images but 2 titles"):
        plots.contact_sheet([PICTURE], ["a", "b"])


def test_losses_read_from_a_file_leave_out_bookkeeping(shown, tmp_path):
    rows = [{"step": i, "text": 1.0, "condition": 2.0, "lr": 0.1} for i in range(3)]
    path = tmp_path / "metrics.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    plots.plot_losses(path)
    assert shown[0]["text/plain"] == "<losses: text, condition>"


def test_recorded_figures_come_back_and_are_not_seen(monkeypatch):
    outputs = []

    def display(data, raw, metadata):
        outputs.append({"data": data, "metadata": metadata})

    monkeypatch.setattr(results, "display", display)
    results.record("accuracy", np.float32(0.5))
    results.record("loss fell", np.bool_(True))
    results.record("accuracy", 0.75)
    results.record("it looks", False)
    notebook = {"cells": [{"outputs": outputs}, {"cell_type": "markdown"}]}
    assert results.recorded(notebook) == {"accuracy": 0.75, "loss fell": True, "it looks": False}
    seen = [output["data"].get("text/plain") for output in outputs]
    assert seen == [None, None, None, "✘ should hold, and does not: it looks"]
    with pytest.raises(TypeError, match='record\\("x"\\)'):
        results.record("x", [1])


def test_check_diagnoses_and_never_raises(shown, monkeypatch):
    answers = ModuleType("nextgpt_lite.notebook.answers.demo")
    answers.half = lambda answer: exercises.expect(answer, 0.5, {2.0: "you divided wrongly"})
    monkeypatch.setitem(sys.modules, answers.__name__, answers)
    for answer in (..., 2.0, 0.4, "half", 0.5):
        exercises.check("demo.half", answer)
    states = [data[MIME]["state"] for data in shown]
    assert states == ["open", "wrong", "wrong", "wrong", "right"]
    exercises.check(answers.half, 0.5)
    assert shown.pop()["text/plain"] == "<lambda>: right"
    assert "you divided wrongly" in shown[1]["text/plain"]
    assert "too small" in shown[2]["text/plain"]
    with pytest.raises(LookupError, match=r'no exercise "demo\.third"'):
        exercises.check("demo.third", 1)


def test_every_exercise_of_the_notebooks_is_there_and_no_number_is_left_over():
    sources = "".join(p.read_text() for p in (build.NOTEBOOKS / "src").glob("*.py"))
    asked = set(re.findall(r'check\("([\w.]+)"', sources))
    for name in asked:
        assert callable(exercises._find(name))
    assert set(numbers()) <= asked


def test_check_shape_names_both_shapes():
    exercises.check_shape(np.zeros((2, 3)), (2, 3))
    with pytest.raises(AssertionError, match=r"expected shape \(3, 2\), found \(2, 3\)"):
        exercises.check_shape(np.zeros((2, 3)), (3, 2))


SOURCE = """# %% [markdown]
# # Title

# %% tags=["parameters"]
seed = 0

# %% tags=["solution"]
answer = 1
"""


def test_source_becomes_a_valid_notebook_and_differences_are_told(tmp_path):
    source, target = tmp_path / "01_x.py", tmp_path / "01_x.ipynb"
    source.write_text(SOURCE)
    assert build.differences(source, target) == ["01_x.ipynb is missing: run `make notebooks`"]
    notebook = build.read_source(source)
    nbformat.validate(notebook)
    nbformat.write(notebook, target)
    assert build.differences(source, target) == []
    assert [c.cell_type for c in notebook.cells] == ["markdown", "code", "code", "markdown"]
    solved = build.with_solutions(notebook)
    assert (solved.cells[3].cell_type, solved.cells[3].source) == ("code", "answer = 1")
    source.write_text(SOURCE.replace("seed = 0", "seed = 1"))
    assert build.differences(source, target) == ["01_x.ipynb: cell 01_x-01 differs from its source"]


def test_clean_removes_what_only_the_run_explains(tmp_path):
    source = tmp_path / "01_x.py"
    source.write_text(SOURCE)
    notebook = build.read_source(source)
    cell = notebook.cells[2]
    cell.metadata["papermill"] = {"duration": 1.0}
    cell.metadata["execution"] = {"iopub.execute_input": "2026"}
    notebook.metadata["widgets"] = {"state": {}}
    notebook.metadata["papermill"] = {"input_path": "/home/me/x"}
    view = {"model_id": "1"}
    here = build.ROOT / "out"
    out, text = nbformat.v4.new_output, f"%\r3%\nin {here} at 0x7fa1b2c3d4\n"
    cell.outputs = [
        out("stream", name="stderr", text="100%"),
        out("stream", name="stdout", text="1%\r2"),
        out("stream", name="stderr", text="100%"),
        out("stream", name="stdout", text=text),
        out("display_data", {WIDGET_VIEW: view, "text/plain": "bar"}),
        out("display_data", {WIDGET_VIEW: view, "text/html": "<p>kept</p>"}),
    ]
    build.clean(notebook)
    assert cell.metadata == {"tags": ["parameters"]}
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert [output.get("text") for output in cell.outputs] == ["3%\nin out at 0x...\n", None]
    assert cell.outputs[1].data == {"text/html": "<p>kept</p>"}


def test_start_seeds_everything_and_says_where_it_runs(capsys, tmp_path, monkeypatch):
    import torch

    from nextgpt_lite.notebook.start import start

    (tmp_path / "data_samples").mkdir()
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    try:
        draws = []
        for _ in range(2):
            session = start("lite", seed=3, threads=1)
            draws.append((torch.rand(1).item(), np.random.rand()))  # noqa: NPY002
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    assert draws[0] == draws[1]
    assert session.data == tmp_path / "data_samples"
    printed = capsys.readouterr().out
    assert "profile lite, seed 3" in printed
    assert str(tmp_path) not in printed
    with pytest.raises(ValueError, match='profile "huge" is unknown'):
        start("huge")


def test_start_says_what_a_large_profile_needs_before_anything_is_loaded(capsys, monkeypatch):
    from nextgpt_lite.notebook.start import start

    monkeypatch.setattr(doctor, "budget", lambda profile: f"memory of {profile}")
    start("lite")
    assert "memory of" not in capsys.readouterr().out
    start("colab")
    assert "memory of colab" in capsys.readouterr().out
