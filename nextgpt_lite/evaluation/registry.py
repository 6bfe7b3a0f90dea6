"""Everything that an evaluation can be asked for by name: metrics, tables, systems, judges.

    @register("metric", "words")
    def words(found: Outcome) -> float: ...

    find("metric", "words")

| kind | what it is | |
|---|---|---|
| `metric` | `(Outcome) -> float`, a column of a table | `metrics.named` |
| `table` | `(name, model, Setting) -> Sheet` | `tables` |
| `system` | `(model) -> System`, something that answers | `baselines` |
| `judge` | `(model) -> Judge`: what an answer is worth | `comparison.own`, a plugin |
| `instructions` | `(count, *, seed, groups) -> list[Instruction]` | a plugin |
| `items`, `unseen`, `wishes`, `questions`, `sound_classes`, `facts` | what the paper's tables are \
measured on where no file is given, see `tables` | a plugin |
| `planner` | `(model) -> Planner`: how an LLM is asked what to make | a plugin |
| `captions` | `(text) -> list[str]`: those in a reply's words | a plugin |

What a plugin brings are functions of its module, found under the plugin's name.

Knows: names, and which modules register the package's own. Leaves to others: all they do.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeVar

from nextgpt_lite.errors import ConfigError
from nextgpt_lite.plugins import plugin, plugins

T = TypeVar("T")
OWN = {
    "metric": ("metrics.named", "metrics.published"),
    "table": ("tables.generating", "tables.describing", "tables.editing", "tables.choosing"),
    "system": ("baselines",),
    "judge": ("comparison.own",),
}
_registered: dict[tuple[str, str], Any] = {}


def register(kind: str, *names: str) -> Callable[[T], T]:
    """Puts what it decorates under these names; a later registration replaces an earlier one."""

    def put(made: T) -> T:
        _registered.update({(kind, name): made for name in names})
        return made

    return put


def find(kind: str, name: str) -> Any:
    """What was registered under a name, or what the plugin of that name has of this kind.

    Raises:
        ConfigError: there is none.
    """
    for module in OWN.get(kind, ()):
        import_module(f"nextgpt_lite.evaluation.{module}")
    if (kind, name) not in _registered:
        for each in plugins():  # which may register something when it is imported
            if hasattr(plugin(each), kind):
                _registered.setdefault((kind, each), getattr(plugin(each), kind))
    if (kind, name) in _registered:
        return _registered[kind, name]
    known = sorted((n for k, n in _registered if k == kind), key=lambda n: (len(n), n))
    raise ConfigError(
        f"There is no {kind} {name!r}: use one of {', '.join(known) or 'none'}, or register one "
        "(docs/add_a_metric.md)."
    )


def has(kind: str, name: str) -> bool:
    """Whether `find` finds something."""
    try:
        find(kind, name)
    except ConfigError:
        return False
    return True
