"""Commands of a teacher: notebooks for a class, and the marks of what comes back.

Knows: what can be asked for. Leaves to others: all work (`notebook.course`, `notebook.grade`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, BadParameter, Option

from nextgpt_lite.cli.options import Count, MaybeFolder


def build(
    output: Annotated[Path, Argument(file_okay=False)],
    *,
    student: bool = False,
    teacher: bool = False,
    slides: bool = False,
    html: bool = False,
    pdf: bool = False,
    names: Annotated[Path | None, Option(exists=True, dir_okay=False)] = None,
    notebooks: MaybeFolder = None,
    reveal: str = "",
) -> None:
    """Make the notebooks ready for a class, and mark what was handed in.

    Example: nextgpt-lite course build --student --names class.txt out/class

    Args:
        output: folder to write into.
        student: without solutions, unanswered.
        teacher: with every solution as code below its exercise; with names also answers.csv.
        slides: as pages of slides by reveal.js, without solutions.
        html: as pages to read, without solutions.
        pdf: the same, printed by the Chromium or Chrome of this machine.
        names: a file with a student's name on each line: a folder each, and other numbers in
            some questions for each.
        notebooks: folder of the notebooks; default: those of this clone.
        reveal: address or folder of reveal.js for slides; default: what a browser fetches.
    """
    from nextgpt_lite.notebook.course import write

    kinds = {"student": student, "teacher": teacher, "slides": slides, "html": html, "pdf": pdf}
    wanted = [kind for kind, asked in kinds.items() if asked]
    if len(wanted) != 1:
        raise BadParameter("give --student, --teacher, --slides, --html or --pdf, one of them")
    lines = names.read_text(encoding="utf-8").split("\n") if names else []
    students = [line.strip() for line in lines if line.strip()]
    written = write(output, wanted[0], students, notebooks, reveal)
    print(f"{len(written)} files in {output}")


def grade(
    folder: Annotated[Path, Argument(exists=True, file_okay=False)],
    *,
    output: Path = Path("grades.csv"),
    notebooks: MaybeFolder = None,
    seconds: Count = 600,
    each: Count = 60,
    jobs: Count = 1,
) -> None:
    """Run what a class handed in, judge it anew, and print a table of points.

    Students' code runs as you: use a container or an account of its own for a class.

    Example: nextgpt-lite course grade out/handed_in

    Args:
        folder: of what was handed in: STUDENT/NOTEBOOK.ipynb.
        output: file of all marks, in CSV.
        notebooks: folder of the course's notebooks; default: those of this clone.
        seconds: a notebook that takes longer ends there.
        each: a cell with an answer that takes longer is interrupted.
        jobs: notebooks that run at once.
    """
    from nextgpt_lite.notebook.grade import as_csv, grade, summary

    marks = grade(folder, notebooks, seconds, each, jobs)
    output.write_text(as_csv(marks), encoding="utf-8")
    print(f"{summary(marks)}\n{output}")
