"""Importing the package changes no logger, handler or warning filter of other libraries."""

from __future__ import annotations

import subprocess
import sys

# Everything that the package builds on first, so that what remains is the package's own doing.
CODE = """
import importlib, logging, pkgutil, warnings
import accelerate, av, diffusers, ipywidgets, matplotlib.figure, papermill, peft, soundfile, torch
import transformers
import nextgpt_lite

def states():
    found = {}
    for name, logger in {"": logging.root, **logging.root.manager.loggerDict}.items():
        if isinstance(logger, logging.Logger):
            kept = (*map(id, logger.handlers), *map(id, logger.filters))
            found[name] = (logger.level, logger.propagate, logger.disabled, kept)
    return found

before, filters = states(), list(warnings.filters)
for module in pkgutil.walk_packages(nextgpt_lite.__path__, "nextgpt_lite."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
after = states()
changed = [name for name in before if before[name] != after[name]]
new = [n for n in after if n.startswith("nextgpt_lite") and after[n] != (0, True, False, ())]
assert not changed and not new, (changed, new)
assert warnings.filters == filters, [f for f in warnings.filters if f not in filters]
"""


def test_importing_everything_changes_no_logger_and_no_filter() -> None:
    subprocess.run([sys.executable, "-c", CODE], check=True)
