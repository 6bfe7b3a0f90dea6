"""A table of ours with the paper's beneath it.

Knows: how both are printed and kept. Leaves to others: ours (the tasks, see `run`), the
paper's (`paper`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from nextgpt_lite.evaluation.tables.paper import TABLES, UP

Values = tuple[float | None, ...]


@dataclass
class Sheet:
    """Our rows for one of the paper's tables, and the protocol they were measured by."""

    number: int
    rows: dict[str, Values]
    protocol: str
    columns: tuple[str, ...] = ()  # None given: the paper's own
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        """Ours, the protocol, then the paper's rows."""
        paper = TABLES[self.number]
        arrows = [f"{name} {'↑' if way == UP else '↓'}" for name, way in paper.columns.items()]
        parts = [
            f"Table {self.number}. {paper.title}",
            _rows(("ours", *(self.columns or arrows)), self.rows),
            f"Protocol: {self.protocol}",
            *self.notes,
            _rows((f"the paper, on {paper.data}", *arrows), paper.rows),
            "The two blocks are not comparable unless data and feature extractor are the same.",
        ]
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path) -> None:
        """`table_N.md` and `table_N.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        stem = folder / f"table_{self.number}"
        stem.with_suffix(".md").write_text(self.markdown(), encoding="utf-8")
        stem.with_suffix(".json").write_text(json.dumps(asdict(self), indent=1) + "\n")


def _rows(head: Sequence[str], rows: dict[str, Values]) -> str:
    lines: Iterable[tuple[str, ...]] = (
        (name, *("-" if v is None else f"{v:.4g}" for v in values)) for name, values in rows.items()
    )
    table = [tuple(head), ("---",) * len(head), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in table)
