"""Every notebook: well kept, runs as the reader runs it, and shows what it promises.

The first tests only read the committed files. Those marked "notebook" run each notebook once
with papermill in a process of its own (folded solutions run too) and leave it in out/notebooks;
a failing notebook does not keep the others from running.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import nbformat
import pytest

from nextgpt_lite.notebook import build
from nextgpt_lite.notebook.results import objects, recorded
from tests.test_environment import declared_imports, imported

OUT = build.ROOT / "out" / "notebooks"
NAMES = sorted(path.stem for path in build.NOTEBOOKS.glob("*.ipynb"))
SOURCES = sorted(path.stem for path in (build.NOTEBOOKS / "src").glob("*.py"))
OUTPUT_LIMIT = 300 * 1024  # bytes of all outputs of one notebook
ABSOLUTE_PATH = re.compile(r"(?<![\w.:/])/(home|root|Users|tmp|var|usr|opt|mnt|content)/|[A-Z]:\\")

MINUTES = {"00_tour": 4.0}  # on two cores; every other notebook has DEFAULT_MINUTES
DEFAULT_MINUTES = 2.0
BUSY = 2  # a machine with other work may take this many times as long

# What the executed notebooks must show: notebook -> recorded figure -> (least, most).
# A recorded truth value must be true without a row here.
CONTRACTS: dict[str, dict[str, tuple[float, float]]] = {
    "00_tour": {
        "stage 1 loss, last over first": (0, 0.8),
        "stage 2 loss, last over first": (0, 0.6),
        "stage 3 loss, last over first": (0, 0.8),
        "share of parameters that ever learn": (0.05, 0.25),
        "directions": (8, 8),
        "directions with the right medium": (8, 8),
        "directions with the right content": (5, 8),
        "turns of conversation": (9, 9),
        "turns right": (1, 9),
    },
    "01_the_lite_world": {
        "single-group pictures": (5600, 5600),
        "largest difference of an onset in seconds": (0, 0.03),
        "read when noisy, package": (0.95, 1),
        "read when pale, package": (0.95, 1),
        "read when tinted, package": (0.8, 1),
        "read when square, package": (0.95, 1),
        "true image accepted": (0.95, 1),
        "true audio accepted": (0.95, 1),
        "true video accepted": (0.95, 1),
        "image one attribute off, rejected": (0.95, 1),
        "audio one attribute off, rejected": (0.95, 1),
        "video one attribute off, rejected": (0.95, 1),
        "exactly the changed attribute blamed": (0.95, 1),
        "blank, noise and shuffled rejected": (1, 1),
        "held-out pairs among 1000 training pictures": (0, 0),
        "conversations read back": (200, 400),
        "image files that show their caption": (0.95, 1),
        "audio files that show their caption": (0.95, 1),
        "video files that show their caption": (0.95, 1),
    },
    "02_encoders": {
        "captions whose nearest picture is theirs, of 8": (6, 8),
        "image, seen: R@1": (0.85, 1),
        "image, seen: R@5": (0.97, 1),
        "image, held out: R@1": (0.8, 1),
        "image, held out: R@5": (0.95, 1),
        "video, seen: R@1": (0.8, 1),
        "video, seen: R@5": (0.95, 1),
        "audio: R@1": (0.9, 1),
        "audio: R@5": (0.97, 1),
        "sound finds the picture of its kind": (0.4, 1),
        "probe of kind": (0.75, 1),
        "probe of colour": (0.95, 1),
        "probe of count": (0.75, 1),
        "probe of size": (0.95, 1),
        "probe of place": (0.95, 1),
        "probe of relation, caption": (0.85, 1),
        "probe of relation, picture": (0.85, 1),
        "true caption preferred, kind": (0.93, 1),
        "true caption preferred, colour": (0.93, 1),
        "true caption preferred, size": (0.93, 1),
        "true caption preferred, place": (0.93, 1),
        "true caption preferred, count": (0.6, 1),
        "parameters of ImageBind-huge, in billions": (1.19, 1.21),
        "lite tensors without a namesake": (0, 0),
        "parity, untouched: largest difference": (0, 1e-5),
        "parity, wide_epsilon: largest difference": (1e-6, 1e-3),
        "parity, no_positions: largest difference": (0.01, 2),
    },
    "03_stage1_encoding_alignment": {
        "pictures matched with their caption, of 6": (5, 6),
        "parameters at the paper's size": (4_198_400, 4_198_400),
        "shipped model's loss, labels in step": (0, 0.3),
        "shipped model's loss, labels K - 1 off": (3, 50),
        "computed in the next run": (0, 0),
        "times faster with kept vectors": (1.05, 500),
        "loss, first tenth of the steps": (0.6, 3),
        "loss, last tenth of the steps": (0, 0.45),
        "nats gained by looking (mean)": (0.8, 4),
        "whole captions right, shipped": (0.55, 1),
        "attributes right, before": (0, 0.5),
        "attributes right, after": (0.7, 1),
        "attributes right, shipped": (0.85, 1),
    },
    "04_stage2_decoding_alignment": {
        "share of both matrices that learns": (0.03, 0.05),
        "distance before training": (0.8, 2),
        "signal loss, first tenth": (2, 10),
        "signal loss, last tenth": (0, 0.3),
        "condition loss, first tenth": (0.9, 20),
        "condition loss, last tenth": (0, 0.8),
        "times faster with captions apart": (0.7, 5),
        "nearest is own, before": (0, 0.15),
        "nearest is own, shipped": (0.8, 1),
        "pictures right, shipped": (1, 5),
    },
    "05_stage3_instruction_tuning": {
        "LoRA parameters at the paper's size": (33_554_432, 33_554_432),
        "padded positions a token": (1.5, 5),
        "packed positions a token": (1, 1.6),
        "times faster packed": (1.1, 8),
        "cross-entropy, LoRA wiped": (0.05, 2),
        "cross-entropy, tuned here": (0, 0.3),
        "cross-entropy, shipped": (0, 0.3),
        "turns with the right modalities": (0.5, 1),
        "t2m: modalities": (0.6, 1),
        "understand: text": (0.4, 1),
    },
    "06_any_to_any_inference": {
        "forwards": (10, 40),
        "mean cosine to the caption condition": (0.9, 1),
        "rank of the right caption": (1, 3),
        "captions compared": (200, 230),
        "directions": (16, 16),
        "directions with the right medium": (15, 16),
        "directions with the right content": (8, 16),
        "media in the stream": (3, 3),
        "broken files named in a sentence": (4, 4),
        "media positions in the prompt": (8, 8),
        "signal positions in the prompt": (5, 34),
    },
    "07_pipeline_vs_end_to_end": {
        "inline pipeline equals the package's": (1, 1),
        "loss on the marks, last over first": (0, 0.6),
        "ends of the interval, by hand against package": (0, 0.15),
        "following, ground truth": (100, 100),
        "rationality, ground truth": (100, 100),
        "following, gold caption": (45, 100),
        "following, end-to-end": (35, 100),
        "following, tool pipeline": (35, 100),
        "following, caption messenger": (25, 100),
        "exactly the wanted media, end-to-end": (0.6, 1),
        "exactly the wanted media, tool pipeline": (0.6, 1),
    },
    "08_editing": {
        "largest difference to the package, of 255": (0, 1),
        "as wished at 0.6 and 0.8": (0.4, 1),
        "pixels moved at 0.6, median": (0, 4),
        "pixels moved at 1.0, median": (8, 90),
        "MCD, after over before": (0, 0.8),
        "CLIP gained by editing an object": (4, 40),
        "masked FID of doing nothing": (0, 1e-6),
        "masked FID, edited over anew": (0, 0.6),
    },
    "09_evaluation": {
        "largest difference to the package": (0, 1e-9),
        "CIDEr, lying": (2.5, 5),
        "CIDEr, reworded": (2.5, 5),
        "share of facts that hold in the lies": (0.6, 0.95),
        "distance at N = 8 over N = 128": (3, 40),
        "FID, model over floor": (0.4, 4),
        "MME, mean of the subtasks": (25, 200),
        "MMBench, all questions": (40, 100),
        "MMBench, instance level": (50, 100),
        "colour named right": (0.4, 1),
        "cells of the grid": (16, 16),
        "mean score of the conversions": (4, 10),
    },
    "10_real_checkpoints_on_colab": {
        "GiB of weights, all parts": (7, 11),
        "GiB of weights, one decoder at a time": (5, 8),
        "stage 1: last loss": (0, 50),
        "stage 2: last loss": (0, 100),
        "stage 3: last loss": (0, 100),
        "media in the reply": (3, 3),
    },
    "12_training_at_scale": {
        "mean of two losses is off by": (0.05, 20),
        "largest difference, in 4 passes": (0, 1e-3),
        "largest difference, checkpointing": (0, 1e-3),
        "largest difference, unpacked": (0, 1e-3),
        "kept with checkpointing, share": (0.02, 0.5),
        "two processes differ from one by": (0, 1e-4),
        "learning share of the paper's LLM": (0.015, 0.025),
    },
}

each_notebook = pytest.mark.parametrize("name", NAMES)


@cache
def committed(name: str) -> nbformat.NotebookNode:
    return nbformat.read(build.NOTEBOOKS / f"{name}.ipynb", as_version=4)


def code_cells(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_every_notebook_has_a_source():
    assert set(NAMES) <= set(SOURCES)


@pytest.mark.parametrize("name", SOURCES)
def test_is_in_step_with_its_source(name):
    source = build.NOTEBOOKS / "src" / f"{name}.py"
    lines = build.differences(source, build.NOTEBOOKS / f"{name}.ipynb")
    assert not lines, "\n".join([*lines, "run `make notebooks`"])


@each_notebook
def test_begins_with_title_aims_and_cost(name):
    first = committed(name).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert "what you will learn" in first.source.lower()
    assert re.search(r"\bminutes?\b", first.source), "say how many minutes it takes"
    assert re.search(r"\b[MG]i?B\b", first.source), "say how much memory it takes"


@each_notebook
def test_has_one_parameters_cell_of_plain_values(name):
    cells = [c for c in code_cells(committed(name)) if "parameters" in c.metadata.get("tags", [])]
    assert len(cells) == 1, 'tag exactly one cell as "parameters"'
    values = {}
    for line in ast.parse(cells[0].source).body:
        # papermill sets parameters below this cell, so nothing may be derived in it
        assert isinstance(line, ast.Assign), f"only assignments belong here: {ast.unparse(line)}"
        values[ast.unparse(line.targets[0])] = ast.literal_eval(line.value)
    assert {"profile", "seed"} <= set(values)
    assert values["profile"] == "lite"


@each_notebook
def test_imports_only_what_is_declared(name):
    code = [c.source for c in code_cells(build.with_solutions(committed(name)))]
    plain = [re.sub(r"^\s*[%!].*$", "", source, flags=re.MULTILINE) for source in code]
    unknown = imported("\n".join(plain)) - declared_imports() - set(sys.stdlib_module_names)
    assert unknown <= {"nextgpt_lite"}


@each_notebook
def test_outputs_are_whole_light_and_without_errors(name):
    notebook = committed(name)
    assert "widgets" not in notebook.metadata
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert all(cell.execution_count for cell in code_cells(notebook) if cell.source.strip())
    assert not [output.ename for output in outputs if output.output_type == "error"]
    assert not [output for output in outputs if build.WIDGET_VIEW in output.get("data", {})]
    assert len(json.dumps(outputs)) <= OUTPUT_LIMIT


@each_notebook
def test_names_no_folder_of_the_machine_it_was_made_on(name):
    for cell in committed(name).cells:
        texts = [cell.source]
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            texts += [output.get("text", ""), *(data[k] for k in data if k.startswith("text/"))]
        for text in texts:
            found = ABSOLUTE_PATH.search(re.sub(r"data:[\w/]+;base64,[\w+/=]+", "", text))
            assert not found, f"cell {cell.id} names {found and found[0]}"


@dataclass(frozen=True)
class Run:
    """One executed notebook; `failure` is papermill's last lines, or empty."""

    path: Path
    minutes: float
    failure: str


@cache
def run(name: str) -> Run:
    """Executes the notebook with its solutions, once a session; never raises."""
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / f"{name}.ipynb"
    nbformat.write(build.with_solutions(committed(name)), path)
    command = [sys.executable, "-m", "papermill", "--cwd", str(build.NOTEBOOKS), "-k", "python3"]
    environment = {"OMP_NUM_THREADS": "2", "JUPYTER_PREFER_ENV_PATH": "1", **os.environ}
    limit = BUSY * MINUTES.get(name, DEFAULT_MINUTES)
    begin = time.perf_counter()
    try:
        done = subprocess.run(
            [*command, "--no-progress-bar", str(path), str(path)],
            capture_output=True,
            text=True,
            env=environment,
            timeout=60 * limit,
        )
        failure = done.stderr[-6000:].split("Exception encountered")[-1] if done.returncode else ""
    except subprocess.TimeoutExpired:
        failure = f"not finished after {limit:g} minutes"
    minutes = (time.perf_counter() - begin) / 60
    return Run(path, minutes, failure)


@pytest.mark.notebook
@pytest.mark.timeout(900)
@each_notebook
def test_runs(name, record_property):
    result = run(name)
    budget = MINUTES.get(name, DEFAULT_MINUTES)
    record_property("notebook", f"{name}: {result.minutes:.1f} of {budget:g} minutes")
    if result.failure:
        pytest.fail(f"{name}.ipynb failed, see {result.path}\n{result.failure}", pytrace=False)


@pytest.mark.notebook
@pytest.mark.timeout(900)
@each_notebook
def test_shows_what_it_promises(name):
    result = run(name)
    if result.failure:
        pytest.fail(f"{name}.ipynb did not run to its end", pytrace=False)
    notebook = nbformat.read(result.path, as_version=4)
    figures = recorded(notebook)
    wrong = [f'"{figure}" is false' for figure, value in figures.items() if value is False]
    for figure, (least, most) in CONTRACTS.get(name, {}).items():
        if figure not in figures:
            wrong.append(f'"{figure}" was not recorded')
        elif not least <= figures[figure] <= most:
            wrong.append(f'"{figure}" is {figures[figure]}, not within [{least}, {most}]')
    checks = {shown["name"]: shown for shown in objects(notebook) if shown["kind"] == "check"}
    for shown in checks.values():  # the last check of a name follows the solution
        if shown["state"] != "right":
            wrong.append(f"exercise {shown['name']} ends {shown['state']}")
    assert not wrong, f"{name}: " + "; ".join(wrong)


def test_contracts_name_notebooks_that_exist():
    assert set(CONTRACTS) <= set(NAMES)
