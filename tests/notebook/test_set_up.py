"""What makes a lone notebook run elsewhere: the set-up cell, the badges, cells written anew."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType

import nbformat
import pytest

from nextgpt_lite.notebook import build

SOURCE = """# %% [markdown]
# # 9. Title
#
# What it is about.

# %% tags=["parameters"]
seed = 0

# %%
seed + 1
"""
SETTINGS = """[tool.nextgpt_lite]
repository = "{}"
branch = "next"
extras = {{ "09_evaluation" = "eval" }}
"""
ADDRESS = "https://github.com/someone/suite"


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A source file below a project whose address is not known."""
    monkeypatch.setattr(build, "ROOT", tmp_path)
    (tmp_path / "pyproject.toml").write_text(SETTINGS.format(""))
    path = tmp_path / "09_evaluation.py"
    path.write_text(SOURCE)
    return path


@pytest.fixture
def project(source):
    """The same with an address."""
    (source.parent / "pyproject.toml").write_text(SETTINGS.format(ADDRESS))
    return source


def test_badges_and_source_come_from_the_one_address(project):
    title, cell = build.read_source(project).cells[:2]
    page = "blob/next/notebooks/09_evaluation.ipynb"
    assert title.source.startswith("# 9. Title\n\n[![Open in Colab](https://")
    assert f"](https://colab.research.google.com/github/someone/suite/{page})\n" in title.source
    assert f"](https://kaggle.com/kernels/welcome?src={ADDRESS}/{page})\n" in title.source
    assert title.source.endswith(")\n\nWhat it is about.")
    assert f'"git+{ADDRESS}@next"' in cell.source
    assert '"nextgpt-lite[eval] @ "' in cell.source


def test_without_an_address_there_are_no_badges(source):
    title, cell = build.read_source(source).cells[:2]
    assert "](" not in title.source
    assert 'hosted and "")' in cell.source
    assert cell.metadata["jupyter"] == {"source_hidden": True}


def test_cells_written_anew_keep_what_unchanged_ones_gave(project):
    target = project.with_suffix(".ipynb")
    notebook = build.read_source(project)
    output = nbformat.v4.new_output("stream", text="1\n")
    notebook.cells[3].outputs = [output]
    nbformat.write(notebook, target)
    project.write_text(SOURCE.replace("seed = 0", "seed = 5") + "\n# %%\nseed + 2\n")
    assert build.refresh(project, target) == 2
    assert build.differences(project, target) == []
    cells = [c for c in nbformat.read(target, 4).cells if c.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [1, 2, 3, 4]
    assert [cell.outputs for cell in cells] == [[], [], [output], []]


@pytest.fixture
def pip(monkeypatch):
    """Where nextgpt_lite is missing: what pip is told, and `codes`, what it answers."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.delenv("NEXTGPT_LITE_SOURCE", raising=False)
    monkeypatch.delenv("KAGGLE_KERNEL_RUN_TYPE", raising=False)
    told: list[tuple[list[str], dict[str, str]]] = []

    def run(command, capture_output):
        pins = (
            Path(command[command.index("--constraint") + 1])
            .read_text(encoding="utf-8")
            .splitlines()
        )
        told.append((command, dict(pin.split("==") for pin in pins)))
        return subprocess.CompletedProcess(command, run.codes.pop(0), b"", b"no such release")

    run.codes, run.told = [0], told
    monkeypatch.setattr(subprocess, "run", run)
    return run


def set_up(source: Path) -> None:
    exec(build.read_source(source).cells[1].source, {})


def test_it_does_nothing_where_the_package_is(project, pip, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: pytest.__spec__)
    set_up(project)
    assert not pip.told


def test_a_mere_folder_of_that_name_is_not_the_package(project, pip, monkeypatch, tmp_path):
    (tmp_path / "a_clone").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    clone = PathFinder.find_spec("a_clone")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: clone)
    with pytest.raises(SystemExit, match="pip install it"):
        set_up(project)


def test_elsewhere_it_says_what_to_install(project, pip):
    with pytest.raises(SystemExit, match="pip install it"):
        set_up(project)
    assert not pip.told


@pytest.mark.parametrize("place", ["colab", "kaggle"])
def test_on_colab_and_kaggle_it_keeps_what_the_session_uses(project, pip, monkeypatch, place):
    if place == "colab":
        monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    else:
        monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    set_up(project)
    ((command, pins),) = pip.told
    assert command[1:6] == [
        "-m", "pip", "install", "--quiet", f"nextgpt-lite[eval] @ git+{ADDRESS}@next"
    ]  # fmt: skip
    assert {"torch", "numpy", "pytest"} <= set(pins)  # pytest is in use here
    assert "jupytext" not in pins or "jupytext" in sys.modules


def test_a_local_wheel_is_installed_by_its_path(source, pip, monkeypatch, tmp_path):
    wheel = tmp_path / "nextgpt_lite-1-py3-none-any.whl"
    wheel.touch()
    monkeypatch.setenv("NEXTGPT_LITE_SOURCE", str(wheel))
    set_up(source)
    assert f"nextgpt-lite[eval] @ {wheel.as_uri()}" in pip.told[0][0]


def test_where_something_in_use_must_go_it_asks_for_a_restart(project, pip, monkeypatch):
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    pip.codes = [1, 0]
    with pytest.raises(SystemExit, match=r"Restart session.*run all cells again"):
        set_up(project)
    assert {"torch", "numpy"} <= set(pip.told[1][1])
    assert "pytest" not in pip.told[1][1]


def test_a_failure_of_pip_ends_the_run(project, pip, monkeypatch):
    monkeypatch.setenv("KAGGLE_KERNEL_RUN_TYPE", "Interactive")
    pip.codes = [1, 1]
    with pytest.raises(SystemExit, match="could not install nextgpt_lite: no such release"):
        set_up(project)
