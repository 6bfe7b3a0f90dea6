"""Makes notebooks/NN_name.ipynb from notebooks/src/NN_name.py: cells, outputs, nothing else.

    python -m nextgpt_lite.notebook.build [NAME ...]    write and run all, or those named
    python -m nextgpt_lite.notebook.build --check       say where notebooks and sources differ
    python -m nextgpt_lite.notebook.build --cells       write only; unchanged cells keep outputs

A source is a Python file in percent format, which editors open as a notebook too. Tags with a
meaning: "parameters" (papermill sets these), "hide-input" (folded in JupyterLab), "solution" (a
code cell that becomes a folded text cell; tests run it as code, see `with_solutions`). Below the
title go a cell that installs the suite where it is missing (`set_up.py`) and, once pyproject.toml
says at which address the repository is, the badges of Colab and Kaggle.
Knows: formats, and what does not belong into a committed notebook. Leaves to others: what a
notebook must contain (tests/notebook/test_notebooks.py).
"""

from __future__ import annotations

import copy
import os
import re
import sys
import time
import tomllib
from pathlib import Path
from typing import Annotated

import nbformat
import typer
from nbformat import NotebookNode

from nextgpt_lite.display import MIME, WIDGET_VIEW
from nextgpt_lite.errors import ConfigError

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = ROOT / "notebooks"
OUT = ROOT / "out" / "build"
SOLUTION = "<details>\n<summary>Solution</summary>\n\n```python\n{}\n```\n\n</details>"
SOLUTION_CODE = re.compile(r"```python\n(.*)\n```", re.DOTALL)
ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")
FOLDED = {"source_hidden": True}
SET_UP = Path(__file__).with_name("set_up.py")
BADGES = """
[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]\
(https://colab.research.google.com/github/{repository}/blob/{branch}/notebooks/{name}.ipynb)
[![Open in Kaggle](https://kaggle.com/static/images/open-in-kaggle.svg)]\
(https://kaggle.com/kernels/welcome?src={address}/blob/{branch}/notebooks/{name}.ipynb)
"""


def read_source(source: Path) -> NotebookNode:
    """The notebook that a percent-format file describes, without outputs."""
    import jupytext  # a tool of those who write notebooks, not needed to read or run them

    notebook = jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent")
    for index, cell in enumerate(notebook.cells):
        cell.id = f"{source.stem}-{index:02d}"
        tags = cell.metadata.get("tags", [])
        cell.metadata = NotebookNode({"tags": tags} if tags else {})
        if "solution" in tags:
            notebook.cells[index] = nbformat.v4.new_markdown_cell(
                SOLUTION.format(cell.source), id=cell.id, metadata=cell.metadata
            )
        elif "hide-input" in tags:
            cell.metadata["jupyter"] = dict(FOLDED)
    _make_portable(notebook, source.stem)
    notebook.metadata = NotebookNode(
        kernelspec={"name": "python3", "display_name": "Python 3", "language": "python"},
        language_info={"name": "python"},
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def _make_portable(notebook: NotebookNode, name: str) -> None:
    """Adds badges to the title and the set-up cell below it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
        "nextgpt_lite"
    ]
    address, branch = settings["repository"].rstrip("/"), settings["branch"]
    if address:
        title, _, rest = notebook.cells[0].source.partition("\n")
        repository = address.removeprefix("https://github.com/")
        badges = BADGES.format(repository=repository, address=address, branch=branch, name=name)
        notebook.cells[0].source = f"{title}\n{badges}{rest}"
    extras = settings["extras"].get(name)
    code = SET_UP.read_text(encoding="utf-8").strip()
    code = code.replace('SOURCE")', f'git+{address}@{branch}")' if address else '")')
    code = code.replace("EXTRAS", f"[{extras}]" if extras else "")
    cell = nbformat.v4.new_code_cell(
        code, id=f"{name}-set-up", metadata={"tags": ["hide-input"], "jupyter": FOLDED}
    )
    notebook.cells.insert(1, cell)


def with_solutions(notebook: NotebookNode) -> NotebookNode:
    """A copy in which every folded solution is a code cell again, so that running it tests it."""
    solved = copy.deepcopy(notebook)
    for index, cell in enumerate(solved.cells):
        if "solution" in cell.metadata.get("tags", []):
            code = SOLUTION_CODE.search(cell.source)
            if code is None:
                raise ConfigError(f"cell {cell.id} is tagged as a solution but holds no code")
            solved.cells[index] = nbformat.v4.new_code_cell(
                code[1], id=cell.id, metadata=cell.metadata
            )
    return solved


def clean(notebook: NotebookNode) -> NotebookNode:
    """The notebook without what only its run explains: progress bars, widgets, times, paths."""
    from nbconvert.preprocessors.coalescestreams import CoalesceStreamsPreprocessor

    for cell in notebook.cells:
        cell.metadata = NotebookNode(
            {key: cell.metadata[key] for key in ("tags", "jupyter") if cell.metadata.get(key)}
        )
        cell.metadata.get("jupyter", {}).pop("outputs_hidden", None)
        if cell.cell_type == "code":
            kept = [output for output in cell.outputs if output.get("name") != "stderr"]
            cell.outputs = [output for output in map(_clean_output, kept) if output]
            # What was printed in a row is one piece: where the kernel cuts it is a matter of time.
            CoalesceStreamsPreprocessor().preprocess_cell(cell, {}, 0)
    notebook.metadata = NotebookNode(
        kernelspec=notebook.metadata.kernelspec, language_info={"name": "python"}
    )
    return notebook


def differences(source: Path, target: Path) -> list[str]:
    """Where the notebook is not what its source says, a line each; empty when all is well."""
    if not target.exists():
        return [f"{target.name} is missing: run `make notebooks`"]
    wanted, found = read_source(source).cells, nbformat.read(target, as_version=4).cells
    lines = []
    if len(wanted) != len(found):
        lines.append(f"{target.name} has {len(found)} cells, its source {len(wanted)}")
    for want, have in zip(wanted, found, strict=False):
        if any(want.get(key) != have.get(key) for key in ("cell_type", "source", "metadata")):
            lines.append(f"{target.name}: cell {want.id} differs from its source")
    return lines


def refresh(source: Path, target: Path) -> int:
    """Writes the cells anew without a run; returns how many code cells have no output any more.

    A code cell that is as it was keeps what it gave, also where it stands at another place.
    """
    notebook, before = read_source(source), nbformat.read(target, as_version=4).cells
    given = {cell.source: cell.outputs for cell in before if cell.cell_type == "code"}
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(cells, 1):
        cell.outputs = given.get(cell.source, [])
        cell.execution_count = number
    nbformat.write(notebook, target)
    return sum(cell.source not in given for cell in cells)


def build(source: Path, target: Path) -> float:
    """Runs the source's notebook in the target's folder and writes it cleaned; returns seconds.

    Raises:
        papermill.PapermillExecutionError: a cell failed; the run lies in out/build.
    """
    import papermill

    OUT.mkdir(parents=True, exist_ok=True)
    executed = OUT / target.name
    nbformat.write(read_source(source), executed)
    begin = time.perf_counter()
    papermill.execute_notebook(
        executed, executed, cwd=target.parent, kernel_name="python3", progress_bar=False
    )
    seconds = time.perf_counter() - begin
    nbformat.write(clean(nbformat.read(executed, as_version=4)), target)
    return seconds


def main(
    names: Annotated[
        list[str] | None, typer.Argument(help="For instance 00_tour; default: all.")
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Compare only, run nothing.")] = False,
    cells: Annotated[
        bool, typer.Option("--cells", help="Write cells only, keep the outputs of unchanged ones.")
    ] = False,
) -> None:
    """Write and run notebooks from their sources."""
    sources = [NOTEBOOKS / "src" / f"{Path(name).stem}.py" for name in names or ()]
    if missing := [source.name for source in sources if not source.is_file()]:
        raise typer.BadParameter(f"there is no {missing[0]} in {NOTEBOOKS / 'src'}: check the name")
    failed = 0
    for source in sources or sorted((NOTEBOOKS / "src").glob("[0-9]*.py")):
        target = NOTEBOOKS / f"{source.stem}.ipynb"
        if check:
            lines = differences(source, target)
            print("\n".join(lines) or f"{target.name}: as its source")
            failed += bool(lines)
        elif cells:
            print(
                f"{target.name}: {refresh(source, target)} code cells new or changed, none was run"
            )
        else:
            failed += not _report(source, target)
    raise typer.Exit(1 if failed else 0)


def _report(source: Path, target: Path) -> bool:
    """Builds one notebook and prints how it went, so that one failure does not hide the next."""
    from papermill import PapermillExecutionError

    try:
        seconds = build(source, target)
    except PapermillExecutionError as error:
        print(f"{target.name}: FAILED, see {OUT / target.name}\n{error}", file=sys.stderr)
        return False
    kib = target.stat().st_size / 1024
    print(f"{target.name}: {seconds:.0f} s, {kib:.0f} KiB", flush=True)
    return True


def _clean_output(output: NotebookNode) -> NotebookNode | None:
    """The output as it should be kept, or None."""
    if output.output_type == "stream":
        output.text = _plain(output.text)
    elif "data" in output:
        if output.data.pop(WIDGET_VIEW, None) is not None and set(output.data) <= {"text/plain"}:
            return None
        output.metadata = NotebookNode(
            {k: value for k, value in output.metadata.items() if k in output.data or k == MIME}
        )
        for kind, value in output.data.items():
            if kind.startswith("text/") and isinstance(value, str):
                output.data[kind] = _plain(value)
    return output


def _plain(text: str) -> str:
    """The text without this machine's folders and memory addresses."""
    for folder, short in ((f"{ROOT}{os.sep}", ""), (str(ROOT), "."), (str(Path.home()), "~")):
        text = text.replace(folder, short)
    return ADDRESS.sub("at 0x...", text)


if __name__ == "__main__":
    typer.run(main)
