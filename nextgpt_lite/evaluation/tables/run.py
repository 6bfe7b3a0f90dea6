"""The paper's Tables 2 to 13 on any model: `run_table(number, model)`.

Knows: which table needs which task, and how a reader asks for it. Leaves to others: the tasks
(`generating`, `describing`, `editing`, `choosing`), metrics (`evaluation.metrics`), the paper's
numbers (`paper`).
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from nextgpt_lite.evaluation.tables.sheet import Sheet
from nextgpt_lite.model.nextgpt import NextGPT

TASKS = {  # table -> module that makes it
    **dict.fromkeys((2, 3, 4), "generating"),
    **dict.fromkeys((5, 6, 7, 11), "describing"),
    **dict.fromkeys((8, 9, 10), "editing"),
    **dict.fromkeys((12, 13), "choosing"),
}


@dataclass(frozen=True)
class Setting:
    """How a table is measured.

    Attributes:
        count: items of each task.
        steps: diffusion steps; None takes each decoder's own.
        seed: of items and of every decoder.
        data: the benchmark's own file or folder; None makes items of the lite world.
        media: where its media lie; None means beside it.
    """

    count: int = 32
    steps: int | None = None
    seed: int = 0
    data: Path | None = None
    media: Path | None = None


def run_table(number: int, model: NextGPT, setting: Setting | None = None) -> Sheet:
    """Measures one of the paper's tables.

    Raises:
        ValueError: the paper's section 6 has no such table, or the data do not fit it.
    """
    if number not in TASKS:
        raise ValueError(f"Table {number} is none of section 6: use one of {[*TASKS]}.")
    module: Any = import_module(f"nextgpt_lite.evaluation.tables.{TASKS[number]}")
    sheet: Sheet = module.measure(number, model, setting or Setting())
    return sheet
