"""What a teacher gives out and gets back: a small course, and a class of three made-up students."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from typer.testing import CliRunner

from nextgpt_lite.cli import application
from nextgpt_lite.errors import ConfigError, MissingError
from nextgpt_lite.notebook import course, grade
from nextgpt_lite.notebook.numbers import numbers
from tests.browser import in_a_browser

NAME = "01_small"
FIRST = """import nextgpt_lite.notebook.answers.stage3
from nextgpt_lite.notebook import check"""
SOLUTION = "<details>\n<summary>Solution</summary>\n\n```python\n{}\n```\n\n</details>"
SIZE = 'parameters = {}\ncheck("stage1.parameters", parameters)'
TRAINED = '{}\n\ncheck("stage3.trained", trained)'
RIGHT = """def trained(turns):
    return [role == 'assistant' for role, tokens in turns for _ in tokens]"""
SHARE = 'share = {}\ncheck("stage1.chance", share)'


def solution(code: str) -> nbformat.NotebookNode:
    return new_markdown_cell(SOLUTION.format(code), metadata={"tags": ["solution"]})


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one notebook of three exercises."""
    folder = tmp_path_factory.mktemp("course")
    cells = [
        new_markdown_cell("# Small"),
        new_code_cell(FIRST, metadata={"tags": ["hide-input"]}),
        new_markdown_cell("## Exercises\n\n**1.** (easy, 2 minutes) Size\nwith K = 8\nvectors?"),
        new_code_cell(SIZE.format("...")),
        solution(SIZE.format("1024 * 8 * 4096 + 8 * 4096")),
        new_markdown_cell("**2.** (medium,\n8 minutes) Write `trained`."),
        new_code_cell(TRAINED.format("trained = ...")),
        solution(TRAINED.format(RIGHT)),
        new_markdown_cell("**3.** (easy, 1 minute) It is heard 1 to 4 times."),
        new_code_cell(SHARE.format("...")),
        solution(SHARE.format("1 / 8")),
    ]
    nbformat.write(new_notebook(cells=cells), folder / f"{NAME}.ipynb")
    return folder


def sources(notebook: nbformat.NotebookNode) -> str:
    return "\n".join(cell.source for cell in notebook.cells)


def handed_in(
    notebooks: Path, student: str, size: str, trained: str, share: str
) -> nbformat.NotebookNode:
    """A student's notebook, filled in."""
    notebook = course.for_student(course.read_notebooks(notebooks)[NAME], student)
    filled = iter((SIZE.format(size), TRAINED.format(trained), SHARE.format(share)))
    for cell in notebook.cells:
        if cell.cell_type == "code" and "check(" in cell.source:
            cell.source = next(filled)
    return notebook


def answer(exercise: str, student: str) -> str:
    number = numbers()[exercise]
    return repr(number.solved(number.of(exercise, student))[0])


def test_exercises_are_read_with_their_points_and_calls(notebooks):
    assert course.exercises(course.read_notebooks(notebooks)[NAME]) == [
        course.Asked("stage1.parameters", 1, 2, "check('stage1.parameters', parameters)"),
        course.Asked("stage3.trained", 2, 8, "check('stage3.trained', trained)"),
        course.Asked("stage1.chance", 1, 1, "check('stage1.chance', share)"),
    ]


def test_every_exercise_of_the_suite_is_rated():
    found = course.read_notebooks()
    asked = [exercise for notebook in found.values() for exercise in course.exercises(notebook)]
    codes = [c.source for nb in found.values() for c in nb.cells if c.cell_type == "code"]
    names = {name for code in codes for name, _ in course.checks(code)}
    assert {exercise.name for exercise in asked} == names


def test_students_get_no_solutions_and_numbers_of_their_own(notebooks):
    given = course.read_notebooks(notebooks)[NAME]
    anyone, ada = course.for_student(given), course.for_student(given, "ada")
    for notebook in (anyone, ada):
        nbformat.validate(notebook)
        assert "Solution" not in sources(notebook)
        assert "1024" not in sources(notebook)
        worth = [c.metadata.nbgrader.points for c in notebook.cells if "nbgrader" in c.metadata]
        assert worth == [1, 2, 1]
    number = numbers()["stage1.parameters"]
    assert "with K = 8\nvectors" in sources(anyone)
    assert number.says.format(**number.of("stage1.parameters", "ada")) in sources(ada)
    assert "K = 8" not in sources(ada)
    assert "%env NEXTGPT_LITE_STUDENT=ada" in sources(ada)
    with pytest.raises(ConfigError, match="no name for a folder"):
        course.for_student(given, "../eve")


def test_the_teacher_gets_solutions_as_code_and_all_answers(notebooks, tmp_path):
    course.write(tmp_path, "teacher", ["ada", "ben"], notebooks)
    given = nbformat.read(tmp_path / f"{NAME}.ipynb", as_version=4)
    assert sum(c.cell_type == "code" and "1024 * 8" in c.source for c in given.cells) == 1
    rows = list(csv.DictReader((tmp_path / "answers.csv").open()))
    assert [(r["student"], r["exercise"]) for r in rows] == [
        (who, what) for who in ("ada", "ben") for what in ("stage1.chance", "stage1.parameters")
    ]
    assert float(rows[1]["answer"]) == float(answer("stage1.parameters", "ada"))


def test_slides_have_a_section_for_each_heading_and_no_solutions(notebooks):
    page = course.slides(course.read_notebooks(notebooks)[NAME], reveal="reveal.js")
    assert page.count("<section>") == 6  # two headings, each a stack, in which the other texts lie
    assert "reveal.js/dist/reveal" in page
    assert "Solution" not in page
    assert "import nextgpt_lite" not in page


@in_a_browser
def test_notebooks_are_printed_without_solutions(notebooks, tmp_path):
    pages = course.write(tmp_path / "pages", "html", folder=notebooks)
    assert "Solution" not in pages[0].read_text(encoding="utf-8")
    printed = course.write(tmp_path / "paper", "pdf", folder=notebooks)
    assert [path.name for path in printed] == [f"{NAME}.pdf"]
    assert printed[0].read_bytes().startswith(b"%PDF")
    assert [*printed[0].parent.iterdir()] == printed


def test_printing_without_a_browser_says_so(notebooks, tmp_path, monkeypatch):
    monkeypatch.setattr(course, "BROWSERS", ())
    with pytest.raises(MissingError, match="Chromium"):
        course.write(tmp_path, "pdf", folder=notebooks)


def test_a_class_of_three_is_graded(notebooks, tmp_path):
    ada = {name: answer(name, "ada") for name in ("stage1.parameters", "stage1.chance")}
    hang = "def trained(turns):\n    while True:\n        pass"
    ben = handed_in(notebooks, "ben", ada["stage1.parameters"], "trained = len", "...")
    ben.cells[-1].outputs = [new_output("stream", text="stage1.chance: right")]
    ben.cells.insert(4, new_code_cell("this is no Python"))
    class_ = {
        "ada": handed_in(notebooks, "ada", ada["stage1.parameters"], RIGHT, ada["stage1.chance"]),
        "ben": ben,  # copied from ada, and gave a wrong function
        "eve": handed_in(notebooks, "eve", answer("stage1.parameters", "eve"), hang, "..."),
    }
    class_["eve"].cells[-1].source = f"import os\nos._exit(1)\n{SHARE.format(1)}"
    for student, notebook in class_.items():
        (tmp_path / student).mkdir()
        nbformat.write(notebook, tmp_path / student / f"{NAME}.ipynb")
    (tmp_path / "kim").mkdir()
    (tmp_path / "kim" / f"{NAME}.ipynb").write_text("{")

    marks = grade.grade(tmp_path, notebooks, seconds=300, each=10, jobs=2)
    states: dict[str, list[str]] = {}
    for mark in marks:
        states.setdefault(mark.student, []).append(mark.state)
    assert states == {
        "ada": ["right", "right", "right"],
        "ben": ["wrong", "wrong", "open"],
        "eve": ["right", "missing", "missing"],
        "kim": ["missing", "missing", "missing"],
    }, marks
    notes = {(m.student, m.exercise): m.note for m in marks}
    assert "KeyboardInterrupt" in notes["eve", "stage3.trained"]
    assert "died" in notes["eve", "stage1.chance"]
    assert "cannot be read" in notes["kim", "stage1.chance"]
    lines = grade.summary(marks).split("\n")
    assert lines[0].split()[:3] == ["student", "01", "all"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["ada", "4/4", "4/4"], ["ben", "0/4", "0/4"], ["eve", "1/4", "1/4"], ["kim", "0/4", "0/4"],
    ]  # fmt: skip
    rows = list(csv.DictReader(grade.as_csv(marks).splitlines()))
    assert len(rows) == 12
    assert rows[1] == {
        "student": "ada", "notebook": NAME, "exercise": "stage3.trained", "points": "2",
        "out_of": "2", "state": "right", "note": "",
    }  # fmt: skip


def test_what_never_ends_is_ended(notebooks, tmp_path):
    """Not even an interrupt ends it: the process does, and what came before still counts."""
    deaf = """while True:
    try:
        while True:
            pass
    except KeyboardInterrupt:
        pass"""
    notebook = handed_in(notebooks, "eve", answer("stage1.parameters", "eve"), deaf, "...")
    (tmp_path / "eve").mkdir()
    nbformat.write(notebook, tmp_path / "eve" / f"{NAME}.ipynb")
    marks = grade.grade(tmp_path, notebooks, seconds=25, each=2)
    assert [mark.state for mark in marks] == ["right", "missing", "missing"]
    assert marks[1].note == "not finished after 25 seconds"


def test_the_command_line_builds_and_says_what_is_missing(notebooks, tmp_path):
    run = CliRunner().invoke
    names = tmp_path / "class.txt"
    names.write_text("ada\n\nben\n")
    options = ["--names", str(names), "--notebooks", str(notebooks)]
    done = run(application(), ["course", "build", "--student", *options, str(tmp_path / "out")])
    assert (done.exit_code, done.output) == (0, f"2 files in {tmp_path / 'out'}\n")
    assert (tmp_path / "out" / "ben" / f"{NAME}.ipynb").is_file()
    both = run(application(), ["course", "build", "--student", "--teacher", str(tmp_path / "out")])
    assert both.exit_code == 2
    assert "give --student, --teacher, --slides" in both.output
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingError, match=r"STUDENT/01_small\.ipynb"):
        grade.grade(tmp_path / "empty", notebooks)


@pytest.mark.skipif(os.name == "nt", reason="processes there do not learn that their parent ended")
def test_what_runs_a_notebook_ends_with_the_one_that_grades(tmp_path: Path) -> None:
    path, begun = tmp_path / "notebook.ipynb", tmp_path / "begun"
    endless = (
        f"import os, pathlib, time\npathlib.Path({str(begun)!r}).write_text(str(os.getppid()))"
    )
    nbformat.write(new_notebook(cells=[new_code_cell(endless + "\ntime.sleep(600)")]), path)
    run = [sys.executable, "-m", "nextgpt_lite.notebook.grade", str(path), "600", "600"]
    grading = subprocess.Popen(
        [sys.executable, "-c", f"import subprocess; subprocess.run({run!r})"],
        start_new_session=True,
    )
    while not begun.is_file() or not begun.read_text():
        assert grading.poll() is None
        time.sleep(0.1)
    runner = int(begun.read_text())  # the parent of the kernel
    os.kill(grading.pid, signal.SIGKILL)
    grading.wait()
    while _runs(runner):  # pytest's own limit ends a wait for ever
        time.sleep(0.1)


def _runs(process: int) -> bool:
    try:
        return bool(psutil.Process(process).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
