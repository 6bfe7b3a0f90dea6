"""Marks of a class: every notebook that was handed in is run anew, and its answers judged anew.

Each notebook runs in a process of its own, whose kernel is another one, with a time limit for an
answer and for the whole; what hangs or crashes costs its own points and those of what follows it.
Outputs that were handed in do not count: after the last cell that asks for a verdict a cell of
ours asks again. This is no sandbox: students' code runs as the user who grades.

Knows: running, and adding up. Leaves to others: the judges (`exercises`), points (`course`).

    python -m nextgpt_lite.notebook.grade NOTEBOOK SECONDS EACH    runs one, and writes it back
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbformat import NotebookNode

from nextgpt_lite.errors import MissingError
from nextgpt_lite.notebook.build import NOTEBOOKS
from nextgpt_lite.notebook.course import Asked, checks, enrolled, exercises, read_notebooks, table
from nextgpt_lite.notebook.results import objects

GRACE = 15.0  # seconds beyond the limit, to start and to end a kernel
VERDICT = "from nextgpt_lite.notebook.exercises import check\n{}"


@dataclass(frozen=True)
class Mark:
    """What one exercise of one student gave; `state` is right, wrong, open or missing."""

    student: str
    notebook: str
    exercise: str
    points: int
    out_of: int
    state: str
    note: str


def grade(
    folder: Path,
    notebooks: Path | None = None,
    seconds: float = 600.0,
    each: float = 60.0,
    jobs: int = 1,
) -> list[Mark]:
    """Marks of all that lies in `folder`, as STUDENT/NOTEBOOK.ipynb.

    Args:
        folder: a folder for each student.
        notebooks: those of the course; None takes the suite's own.
        seconds: limit of a whole notebook.
        each: limit of a cell that holds an answer.
        jobs: notebooks that run at once.

    Raises:
        MissingError: nothing was handed in under the name of a notebook of the course.
    """
    course = read_notebooks(notebooks)
    given = [path for path in sorted(folder.glob("*/*.ipynb")) if path.stem in course]
    if not given:
        raise MissingError(
            f"{folder} holds no notebook of this course: expected STUDENT/{min(course)}.ipynb."
        )
    place = notebooks or NOTEBOOKS
    with ThreadPoolExecutor(jobs) as pool:
        marks = pool.map(lambda p: [*_marks(p, course[p.stem], seconds, each, place)], given)
        return [mark for found in marks for mark in found]


def summary(marks: Sequence[Mark]) -> str:
    """A line for each student: points by notebook, and in all."""
    names = sorted({mark.notebook for mark in marks})
    rows = [["student", *(name[:2] for name in names), "all", "not right"]]
    for student in sorted({mark.student for mark in marks}):
        mine = [mark for mark in marks if mark.student == student]
        cells = [_sum([m for m in mine if m.notebook == name]) for name in names]
        troubles = [f"{m.exercise} ({m.state})" for m in mine if m.state != "right"]
        rows.append([student, *cells, _sum(mine), ", ".join(troubles)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def as_csv(marks: Sequence[Mark]) -> str:
    """A row for each student and exercise."""
    return table([tuple(Mark.__annotations__), *(tuple(vars(mark).values()) for mark in marks)])


def _sum(marks: Sequence[Mark]) -> str:
    return f"{sum(m.points for m in marks)}/{sum(m.out_of for m in marks)}" if marks else "-"


def _marks(
    path: Path, reference: NotebookNode, seconds: float, each: float, place: Path
) -> Iterator[Mark]:
    """The marks of one notebook."""
    student, asked = path.parent.name, exercises(reference)
    try:
        notebook = nbformat.read(path, as_version=4)
        trouble = ""
    except Exception as error:  # whatever a file may hold
        notebook, trouble = nbformat.v4.new_notebook(), f"cannot be read: {error}"
    if not trouble:
        notebook, trouble = _run(_prepared(notebook, asked, student), seconds, each, place)
    for exercise in asked:
        cell = next((c for c in notebook.cells if c.get("id") == _id(exercise.name)), None)
        state, note = _verdict(cell, trouble)
        points = exercise.points * (state == "right")
        yield Mark(student, path.stem, exercise.name, points, exercise.points, state, note)


def _verdict(cell: NotebookNode | None, trouble: str) -> tuple[str, str]:
    if cell is None:
        return "missing", trouble or "the cell that asks for a verdict is gone"
    for shown in objects({"cells": [cell]}):
        text = next(o.data["text/plain"] for o in cell.outputs if "data" in o)
        return shown["state"], "" if shown["state"] == "right" else text.partition(": ")[2]
    for output in cell.outputs:
        if output.output_type == "error":
            return "missing", f"{output.ename}: {output.evalue}"
    return "missing", trouble or "the notebook did not come so far"


def _prepared(notebook: NotebookNode, asked: Sequence[Asked], student: str) -> NotebookNode:
    """Without outputs, with a cell of ours after each last cell that asks for a verdict."""
    from nbconvert.preprocessors import ClearOutputPreprocessor

    notebook, _ = ClearOutputPreprocessor().preprocess(notebook, {})
    calls = {exercise.name: exercise.check for exercise in asked}
    last = {
        name: index
        for index, cell in enumerate(notebook.cells)
        if cell.cell_type == "code"
        for name, _ in checks(cell.source)
        if name in calls
    }
    for name, index in sorted(last.items(), key=lambda item: -item[1]):
        cell = nbformat.v4.new_code_cell(VERDICT.format(calls[name]), id=_id(name))
        notebook.cells.insert(index + 1, cell)
    return enrolled(notebook, student)


def _id(exercise: str) -> str:
    return "verdict-" + exercise.replace(".", "-")


def _run(
    notebook: NotebookNode, seconds: float, each: float, place: Path
) -> tuple[NotebookNode, str]:
    """The notebook as far as it came in a folder, and what stopped it, or ""."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "notebook.ipynb"
        nbformat.write(notebook, path)
        command = [sys.executable, "-m", __name__, str(path), str(seconds), str(each)]
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            cwd=place, start_new_session=True, env={"JUPYTER_PREFER_ENV_PATH": "1", **os.environ},
        )  # fmt: skip
        try:
            _, said = process.communicate(timeout=seconds + GRACE)
            trouble = said.strip().rpartition("\n")[2] if process.returncode else ""
        except subprocess.TimeoutExpired:
            trouble = f"not finished after {seconds:g} seconds"
        finally:
            _end(process)
        return nbformat.read(path, as_version=4), trouble


def _end(process: subprocess.Popen[str]) -> None:
    """Ends the process and its kernel."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def main(path: Path, seconds: float, each: float) -> None:
    """Runs a notebook with its errors, writing it back after every cell."""
    from nbconvert.preprocessors import ExecutePreprocessor

    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    notebook = nbformat.read(path, as_version=4)
    end = time.monotonic() + seconds

    def limit(cell: NotebookNode) -> int:
        left = max(1.0, end - time.monotonic())
        return round(min(left, each) if any(checks(cell.source)) else left)

    runner = ExecutePreprocessor(
        timeout_func=limit,
        interrupt_on_timeout=True,
        allow_errors=True,
        kernel_name="python3",
        startup_timeout=round(seconds),
        on_cell_executed=lambda **_: nbformat.write(notebook, path),
    )
    runner.preprocess(notebook, {})


def _end_with(parent: int) -> None:
    """Ends this process when the one that grades was killed; the kernel then ends itself."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
