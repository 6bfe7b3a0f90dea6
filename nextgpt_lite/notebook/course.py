"""The notebooks made ready for a class: for students, for their teacher, as slides, on paper.

Students get notebooks without solutions, each with numbers of their own in some questions; the
teacher gets them with solutions, and the right number of every student. Points go into the
metadata that nbgrader reads.

Knows: what is left out or put in, by nbconvert's preprocessors. Leaves to others: running what
comes back (`grade`), and what notebooks hold (`build`).
"""

from __future__ import annotations

import ast
import csv
import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from nextgpt_lite.errors import ConfigError, MissingError, RunError
from nextgpt_lite.notebook.build import FOLDED, NOTEBOOKS, with_solutions
from nextgpt_lite.notebook.numbers import STUDENT, numbers
from nextgpt_lite.writing import usable

POINTS = {"easy": 1, "medium": 2, "hard": 4}
RATED = re.compile(rf"\(({'|'.join(POINTS)}), (\d+) minutes?\)")
BROWSERS = ("chromium", "google-chrome", "chrome", "msedge")
NAME = re.compile(r"[\w.@-]+")


@dataclass(frozen=True)
class Asked:
    """An exercise of a notebook: its name, what it is worth, and the code that has it judged."""

    name: str
    points: int
    minutes: int
    check: str


def read_notebooks(folder: Path | None = None) -> dict[str, NotebookNode]:
    """The notebooks in a folder by their names, in order; None takes the suite's own.

    Raises:
        MissingError: there are none.
    """
    found = sorted((folder or NOTEBOOKS).glob("[0-9]*.ipynb"))
    if not found:
        raise MissingError(
            f"{folder or NOTEBOOKS} holds no notebooks: run this in a clone of the repository, or "
            "name their folder with --notebooks."
        )
    return {path.stem: nbformat.read(path, as_version=4) for path in found}


def exercises(notebook: NotebookNode) -> list[Asked]:
    """The exercises, in order; each is rated in the text before it: "(easy, 3 minutes)"."""
    found: dict[str, Asked] = {}
    rated = None
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            rated = RATED.search(" ".join(cell.source.split())) or rated
        elif rated is not None:
            for name, call in checks(cell.source):
                points, minutes = POINTS[rated[1]], int(rated[2])
                found.setdefault(name, Asked(name, points, minutes, call))
    return [*found.values()]


def checks(code: str) -> Iterator[tuple[str, str]]:
    """(exercise, call) of each `check("exercise", ...)` in a cell of Python."""
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name("check"), args=[ast.Constant(str(name)), _]):
                yield name, ast.unparse(node)


def for_student(notebook: NotebookNode, student: str = "") -> NotebookNode:
    """Without solutions; for a student's name, with numbers of the student's own.

    Raises:
        ConfigError: the name is none that a folder could have.
    """
    from nbconvert.preprocessors import TagRemovePreprocessor

    given = deepcopy(notebook)
    given, _ = TagRemovePreprocessor(remove_cell_tags={"solution"}).preprocess(given, {})
    _rate(given)
    if not student:
        return given
    if not NAME.fullmatch(student):
        raise ConfigError(f'"{student}" is no name for a folder: use letters, digits, . _ - and @.')
    for asked in exercises(given):
        if (number := numbers().get(asked.name)) is not None and number.vary:
            values = number.of(asked.name, student)
            for cell in given.cells:
                if cell.cell_type == "markdown":
                    cell.source, _ = number.reworded(cell.source, values)
    return enrolled(given, student)


def enrolled(notebook: NotebookNode, student: str) -> NotebookNode:
    """The notebook with a first code cell that says whose it is, in place of any other such."""
    notebook.cells = [c for c in notebook.cells if "student" not in c.metadata.get("tags", [])]
    tags = {"tags": ["student", "hide-input"], "jupyter": dict(FOLDED)}
    code = f"# whose numbers the exercises are about\n%env {STUDENT}={student}"
    notebook.cells.insert(1, nbformat.v4.new_code_cell(code, id="student", metadata=tags))
    return notebook


def for_teacher(notebook: NotebookNode) -> NotebookNode:
    """With every solution as a cell of code below its exercise."""
    given = with_solutions(notebook)
    _rate(given)
    return given


def slides(notebook: NotebookNode, reveal: str = "") -> str:
    """A page of slides: a section for each heading, below each other what belongs to it.

    Args:
        reveal: address or folder of reveal.js; "" takes nbconvert's, which a browser fetches.
    """
    from nbconvert import SlidesExporter

    shown = deepcopy(notebook)
    for cell in shown.cells:
        text = cell.cell_type == "markdown"
        kind = "slide" if re.match("##? ", cell.source) else "subslide"
        cell.metadata["slideshow"] = {"slide_type": kind if text else "-"}
    exporter = SlidesExporter(reveal_scroll=True, reveal_number="c/t")
    if reveal:
        exporter.reveal_url_prefix = reveal
    return _exported(exporter, shown)


def page(notebook: NotebookNode) -> str:
    """A page to read or print."""
    from nbconvert import HTMLExporter

    return _exported(HTMLExporter(), notebook)


def _exported(exporter: Any, notebook: NotebookNode) -> str:
    """What an exporter makes of the notebook without solutions and folded code."""
    from nbconvert.preprocessors import TagRemovePreprocessor

    without = TagRemovePreprocessor(
        enabled=True, remove_cell_tags={"solution"}, remove_input_tags={"hide-input"}
    )
    exporter.register_preprocessor(without, enabled=True)
    notebook = deepcopy(notebook)
    for cell in notebook.cells:  # what `record` keeps shows nothing
        cell["outputs"] = [o for o in cell.get("outputs", []) if o.get("data", True)]
    written, _ = exporter.from_notebook_node(notebook)
    return str(written)


def print_page(path: Path) -> Path:
    """Prints a page as a PDF beside it, by a browser that asks no other machine.

    Raises:
        MissingError: there is no such browser.
        RunError: it printed nothing.
    """
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise MissingError(
            "To print needs Chromium or Chrome: install one, or print the pages of --html yourself."
        )
    printed = path.with_suffix(".pdf")
    alone = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    done = subprocess.run(
        [
            browser, "--headless", *alone, "--host-resolver-rules=MAP * ~NOTFOUND",
            "--no-pdf-header-footer", f"--print-to-pdf={printed}", path.resolve().as_uri(),
        ],
        capture_output=True, text=True,
    )  # fmt: skip
    if not printed.is_file():
        raise RunError(f"{browser} printed nothing of {path}: {done.stderr.strip()[-300:]}")
    return printed


def answers(notebooks: Iterable[NotebookNode], students: Sequence[str]) -> str:
    """A table in CSV: for each student the questions with other numbers, and the right answers."""
    lines = [
        (student, asked.name, number.says.format(**values), f"{number.solved(values)[0]:.10g}")
        for notebook in notebooks
        for asked in exercises(notebook)
        if (number := numbers().get(asked.name)) is not None and number.vary
        for student in students
        for values in [number.of(asked.name, student)]
    ]
    return table([("student", "exercise", "question", "answer"), *sorted(lines)])


def table(rows: Iterable[Sequence[object]]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def write(
    output: Path,
    kind: str,
    students: Sequence[str] = (),
    folder: Path | None = None,
    reveal: str = "",
) -> list[Path]:
    """Writes a kind of course into a folder and says which files.

    Args:
        output: for students it has a folder for each of `students`, if there are any.
        kind: "student", "teacher", "slides", "html" or "pdf".
        students: names; numbers of some questions follow from them.
        folder: the notebooks; None takes the suite's own.
        reveal: see `slides`.
    """
    files: dict[str, str] = {}
    found = read_notebooks(folder)
    for name, notebook in found.items():
        if kind == "slides":
            files[f"{name}.slides.html"] = slides(notebook, reveal)
        elif kind in ("html", "pdf"):
            files[f"{name}.html"] = page(notebook)
        elif kind == "teacher":
            files[f"{name}.ipynb"] = nbformat.writes(for_teacher(notebook))
        else:
            for student in students or [""]:
                made = for_student(notebook, student)
                files[str(Path(student, f"{name}.ipynb"))] = nbformat.writes(made)
    if kind == "teacher" and students:
        files["answers.csv"] = answers(found.values(), students)
    for name, text in files.items():
        usable((output / name).parent)
        (output / name).write_text(text, encoding="utf-8")
    written = [output / name for name in files]
    if kind == "pdf":
        printed = [print_page(path) for path in written]
        for path in written:
            path.unlink()
        return printed
    return written


def _rate(notebook: NotebookNode) -> None:
    """Marks the cells to be graded as nbgrader does, with what they are worth."""
    worth = {asked.name: asked.points for asked in exercises(notebook)}
    for cell in notebook.cells:
        names = [name for name, _ in checks(cell.source)] if cell.cell_type == "code" else []
        if names and names[0] in worth and "solution" not in cell.metadata.get("tags", []):
            cell.metadata["nbgrader"] = {
                "grade": True, "grade_id": names[0].replace(".", "-"), "locked": False,
                "points": worth[names[0]], "schema_version": 3, "solution": True, "task": False,
            }  # fmt: skip
