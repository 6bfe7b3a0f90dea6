"""What plugs into the package from outside: worlds that make data, ask questions and judge replies.

A plugin is a module named under the entry point group `nextgpt_lite.plugins`, in this project's
`pyproject.toml` or in anybody's. The package never imports one by itself; it asks here, by name.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from types import ModuleType

from nextgpt_lite.errors import MissingError

GROUP = "nextgpt_lite.plugins"


def plugins() -> list[str]:
    """The names that can be asked for."""
    return sorted({point.name for point in entry_points(group=GROUP)})


@cache
def plugin(name: str) -> ModuleType:
    """The plugin of that name.

    Raises:
        MissingError: no installed distribution has one.
    """
    for point in entry_points(group=GROUP, name=name):
        module: ModuleType = point.load()
        return module
    known = ", ".join(plugins()) or "none"
    raise MissingError(
        f"No plugin {name!r} is installed (there are: {known}): install what brings it, or run "
        "`pip install -e .` again in a checkout."
    )
