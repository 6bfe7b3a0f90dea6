"""Which room may import which: the house has a direction, no circles, and the world is a guest.

Imports inside functions and under `TYPE_CHECKING` count as well.
"""

from __future__ import annotations

import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

PACKAGE = "nextgpt_lite"
WORLD = f"{PACKAGE}.world"
# From the ground floor up: a module imports its own room and those below.
ROOMS = (
    ("errors", "messages", "locks"), ("reading", "writing"), ("plugins", "shipped"), ("media",),
    ("model.modality", "model.device"),
    ("model.config",), ("checkpoints.catalogue",), ("encoders", "decoders"), ("model",),
    ("options",), ("display", "reply", "turn", "processor", "chat", "trace"), ("data",),
    ("training",), ("checkpoints",), ("evaluation",), ("",), ("world",), ("notebook",), ("cli",),
    ("__main__",),
)  # fmt: skip


@pytest.fixture(scope="module")
def imports() -> dict[str, set[str]]:
    """Every module with the modules of the package that it imports, by their short names."""
    graph = grimp.build_graph(PACKAGE, cache_dir=None)
    return {
        short(module): {short(other) for other in graph.find_modules_directly_imported_by(module)}
        for module in graph.modules
    }


def short(module: str) -> str:
    return module.removeprefix(PACKAGE).removeprefix(".")


def within(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def floor(module: str) -> int:
    """The number of the room, of the most narrow one that holds the module."""
    fitting = [(len(r), n) for n, rooms in enumerate(ROOMS) for r in rooms if within(module, r)]
    assert fitting, f"{module} has no place in ROOMS: give it one"
    return max(fitting)[1]


def test_nothing_imports_upward(imports: dict[str, set[str]]) -> None:
    upward = {(a, b) for a, others in imports.items() for b in others if floor(b) > floor(a)}
    assert not upward


def test_no_modules_import_each_other_in_a_circle(imports: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_only_the_world_and_the_notebooks_name_the_world(imports: dict[str, set[str]]) -> None:
    root = Path(__file__).parents[1] / PACKAGE
    for path in root.rglob("*.py"):
        module = ".".join(path.relative_to(root).with_suffix("").parts)
        if any(within(module, room) for room in ("world", "notebook")):
            continue
        assert WORLD not in path.read_text(), f"{path} names the world, if only as a string"
        assert not any(within(other, "world") for other in imports.get(module, ())), module


def test_training_needs_no_world(imports: dict[str, set[str]]) -> None:
    """What `training.run` can reach, by reading the imports and by running them."""
    reached, waiting = set(), ["training.run"]
    while waiting:
        module = waiting.pop()
        if module not in reached:
            reached.add(module)
            waiting += imports[module]
    assert not [module for module in reached if within(module, "world")]
    told = f"import {PACKAGE}.training.run, sys; print([m for m in sys.modules if '{WORLD}' in m])"
    run = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
