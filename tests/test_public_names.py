"""What the package offers by name: listed in the stubs, there when asked for, typed."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import nextgpt_lite

PACKAGE = Path(nextgpt_lite.__file__).parent
ROOMS = sorted(
    ".".join((PACKAGE.name, *stub.parent.relative_to(PACKAGE).parts))
    for stub in PACKAGE.rglob("__init__.pyi")
)


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_there(room: str) -> None:
    module = import_module(room)
    assert module.__all__
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_a_function_hides_the_module_of_its_name() -> None:
    code = (
        "import nextgpt_lite.checkpoints.download\n"
        "from nextgpt_lite.checkpoints import download\nassert callable(download)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_naming_the_rooms_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom importlib import import_module\nfor room in sys.argv[1:]:\n"
        "    assert import_module(room).__all__\n"
        "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, *ROOMS], check=True)


def imports_of_notebooks() -> dict[str, set[str]]:
    """Every module of the package that a notebook imports from, with the names taken from it."""
    found: dict[str, set[str]] = {}
    for source in (PACKAGE.parent / "notebooks" / "src").glob("*.py"):
        nodes = [*ast.walk(ast.parse(source.read_text()))]
        for node in nodes:
            if isinstance(node, ast.Import):
                assert not [a for a in node.names if a.name.startswith(PACKAGE.name)], source
            elif isinstance(node, ast.ImportFrom) and node.module.startswith(PACKAGE.name):
                for alias in node.names:
                    found.setdefault(node.module, set()).add(alias.name)
                    if (room := f"{node.module}.{alias.name}") in ROOMS:  # `world.sample_clip`
                        found.setdefault(room, set()).update(
                            use.attr
                            for use in nodes
                            if isinstance(use, ast.Attribute)
                            and isinstance(use.value, ast.Name)
                            and use.value.id == (alias.asname or alias.name)
                        )
    return found


def test_notebooks_import_public_names_of_few_rooms() -> None:
    found = imports_of_notebooks()
    assert len(found) <= 15, sorted(found)
    for room, names in found.items():
        inner = {name for name in names if f"{room}.{name}" in ROOMS}
        hidden = names - inner - set(import_module(room).__all__)
        assert not hidden, f"{room} does not offer {sorted(hidden)}: name it in its stub"


def test_the_package_says_that_it_is_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()
