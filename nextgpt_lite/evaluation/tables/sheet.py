"""A table of ours with the paper's beneath it: how it is asked for, printed and kept.

Knows: the paper's numbers (`paper.yaml`) and the columns that a metric fills. Leaves to others:
what is measured (the tasks, found by `registry`), the metrics (`metrics.named`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.errors import ConfigError, DataError, MissingError, PackageError
from nextgpt_lite.evaluation.benchmarks.items import read_items
from nextgpt_lite.evaluation.metrics.named import Outcome
from nextgpt_lite.evaluation.protocols import Item
from nextgpt_lite.evaluation.registry import find, has

Values = tuple[float | None, ...]


@dataclass(frozen=True)
class PaperTable:
    """One table as the paper printed it.

    Attributes:
        columns: which way is better, "up" or "down".
        rows: None stands for "-".
        times: what ours are multiplied by to be printed alike.
    """

    title: str
    data: str
    columns: dict[str, str]
    rows: dict[str, list[float | None]]
    times: dict[str, float] = field(default_factory=dict)


TABLES: dict[int, PaperTable] = {
    number: PaperTable(**values)
    for number, values in yaml.safe_load(
        files(__package__).joinpath("paper.yaml").read_text(encoding="utf-8")
    ).items()
}


@dataclass(frozen=True)
class Setting:
    """How a table is measured.

    Attributes:
        count: items of each task.
        steps: diffusion steps; None takes each decoder's own.
        seed: of items and of every decoder.
        data: the benchmarks' own files or folders; none asks `plugin` for items.
        media: where its media lie; None means beside it.
        plugin: whose items are measured.
        metrics: further columns, by the names of the registry.
        parts: folder where what is made is kept, and found again by a run that goes on.
    """

    count: int = 32
    steps: int | None = None
    seed: int = 0
    data: tuple[Path, ...] = ()
    media: Path | None = None
    plugin: str = "lite"
    metrics: tuple[str, ...] = ()
    parts: Path | None = None

    @property
    def where(self) -> str:
        """Where the items come from, for a protocol."""
        if self.data:
            return ", ".join(map(str, self.data))
        return find("title", self.plugin) if has("title", self.plugin) else f"plugin {self.plugin}"

    @property
    def source(self) -> str:
        """The plugin that makes the items; "" where they come from a file."""
        return "" if self.data else self.plugin

    @property
    def file(self) -> Path | None:
        """The one file or folder of a table that takes no more; None where there is none.

        Raises:
            ConfigError: there are several.
        """
        if len(self.data) > 1:
            raise ConfigError(f"This table takes one --data, not {len(self.data)}.")
        return next(iter(self.data), None)

    def items(self, modality: str) -> list[Item]:
        """`count` items of the plugin, or the first ones of a file or folder.

        Raises:
            DataError: the file has media of another modality.
        """
        if self.file is None:
            made: list[Item] = find("items", self.plugin)(modality, self.count, seed=self.seed)
            return made
        return self.read(self.file, modality)

    def read(self, path: Path, modality: str) -> list[Item]:
        """The first items of a benchmark's file; raises as `items`."""
        items = read_items(path, self.media, modality, self.count)
        if items[0].modality != modality:
            raise DataError(
                f"{path} is about {items[0].modality}, this table about {modality}: give the "
                "benchmark file of the paper's table."
            )
        return items


@dataclass
class Sheet:
    """Our rows for one table, and the protocol they were measured by.

    Attributes:
        number: of the paper's table, or the name of another.
        columns: of ours; none given: the paper's own, each filled by the metric of its name.
        files: further ones, by name: answers in the form of a benchmark's own evaluation.
    """

    number: int | str
    rows: dict[str, Values] = field(default_factory=dict)
    protocol: str = ""
    columns: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)

    def add(self, row: str, found: Outcome, metrics: Iterable[str]) -> None:
        """Appends metrics of an outcome to a row."""
        times = TABLES[self.number].times if isinstance(self.number, int) else {}
        values: list[float | None] = []
        for name in metrics:
            metric = find("metric", name)
            try:
                values.append(times.get(name, 1) * metric(found))
            except (
                PackageError,
                ConfigError,
                MissingError,
            ) as error:  # the rest of the row is worth having
                values.append(None)
                if (note := f"{name}: {error}") not in self.notes:
                    self.notes.append(note)
        self.rows[row] = self.rows.get(row, ()) + tuple(values)

    def plain(self) -> dict[str, Any]:
        """Rows by column, and the protocol."""
        names = self.columns or tuple(TABLES[int(self.number)].columns)
        rows = {row: dict(zip(names, found, strict=True)) for row, found in self.rows.items()}
        return {"rows": rows, "protocol": self.protocol, "notes": self.notes}

    def markdown(self) -> str:
        """Ours, the protocol, then the paper's rows."""
        paper = TABLES.get(self.number) if isinstance(self.number, int) else None
        theirs = paper.columns if paper else {}
        arrows = {name: f"{name} {'↑' if way == 'up' else '↓'}" for name, way in theirs.items()}
        ours = [arrows.get(name, name) for name in self.columns or theirs]
        parts = [
            f"Table {self.number}." + (f" {paper.title}" if paper else ""),
            _rows(("ours", *ours), self.rows),
            f"Protocol: {self.protocol}",
            *self.notes,
        ]
        if paper:
            parts += [
                _rows((f"the paper, on {paper.data}", *arrows.values()), paper.rows),
                "The two blocks are not comparable unless data and feature extractor are the same.",
            ]
        return "\n\n".join(parts) + "\n"

    def write(self, folder: Path) -> None:
        """`table_N.md`, `table_N.json` and further files."""
        folder.mkdir(parents=True, exist_ok=True)
        stem = folder / f"table_{self.number}"
        stem.with_suffix(".md").write_text(self.markdown(), encoding="utf-8")
        stem.with_suffix(".json").write_text(
            json.dumps(asdict(replace(self, files={})), indent=1) + "\n", encoding="utf-8"
        )
        for name, text in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")


def run_table(name: int | str, model: NextGPT, setting: Setting | None = None) -> Sheet:
    """Measures one of the paper's tables, or one that was registered.

    Raises:
        ConfigError: there is no such table, or the data do not fit it.
    """
    made: Sheet = find("table", str(name))(name, model, setting or Setting())
    return made


def _rows(head: Sequence[str], rows: Any) -> str:
    lines = [
        (name, *("-" if v is None else f"{v:.4g}" for v in values)) for name, values in rows.items()
    ]
    table = [tuple(head), ("---",) * len(head), *lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in table)
