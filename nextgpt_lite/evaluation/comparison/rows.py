"""Systems side by side on the same instructions: every answer a row, every number from the rows.

Knows: the columns, how a run is resumed, and what is averaged over what. Leaves to
others: answers (`baselines`), their worth (a judge), intervals (`evaluation.statistics`), the form
of Table 14 (`table14`).

A row is one answer: `system`, training `seed`, instruction (`id`, `group`, `level` and what it
tells of itself, such as a `skill`), media `wanted` and `given` in order, the aspects of its judge,
and the reply's `text`. Whatever stands between `given` and `text` is an aspect, 0 to 100; what
stands behind is for `decomposition`: what the words `told`, and whether that was right.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from nextgpt_lite.errors import DataError
from nextgpt_lite.evaluation.baselines import answers
from nextgpt_lite.evaluation.protocols import Instruction, Judge, System
from nextgpt_lite.evaluation.statistics import (
    Array,
    Decisions,
    Difference,
    Interval,
    compare,
    decisions,
    interval,
    table,
)
from nextgpt_lite.reading import read_csv, reading
from nextgpt_lite.writing import append

NEEDED = ("system", "seed", "id", "group", "level", "wanted", "given", "text")
Row = dict[str, Any]


def judged(
    system: System,
    instructions: Sequence[Instruction],
    judge: Judge,
    *,
    seed: int = 0,
    num_inference_steps: int | None = None,
    batch_size: int = 16,
) -> Iterator[Row]:
    """One row for each instruction.

    An instruction's noise is the same for every system and another for every seed.

    Args:
        seed: of the training that the system comes from.
        num_inference_steps: of the decoders; None takes each one's own.
        batch_size: instructions answered at once.
    """
    for first in range(0, len(instructions), batch_size):
        part = instructions[first : first + batch_size]
        given = answers(
            system,
            part,
            seeds=[crc32(f"{seed}/{one.id}".encode()) for one in part],
            num_inference_steps=num_inference_steps,
            batch_size=batch_size,
        )
        for one, answer in zip(part, given, strict=True):
            worth = judge.worth(one, answer)
            yield {
                "system": system.name, "seed": seed, "id": one.id, "group": one.group,
                "level": one.level, **one.about,
                "wanted": "+".join(media["type"] for media in one.wanted),
                "given": "+".join(media["type"] for media in answer.media),
                **{name: _cell(worth[name]) for name in judge.aspects},
                "text": answer.reply.text,
                **{name: _cell(more) for name, more in worth.items() if name not in judge.aspects},
            }  # fmt: skip


def _cell(value: Any) -> Any:
    if isinstance(value, str):
        return value
    return "" if math.isnan(value) else round(value, 2)


def write_rows(path: str | Path, rows: Iterable[Row]) -> None:
    """Adds rows of the same columns to a table, which is made where there is none.

    Raises:
        OSError: in one sentence.
        DamagedError: the table has other columns.
    """
    rows, path = list(rows), Path(path)
    columns = [*rows[0]] if rows else NEEDED
    if rows and path.is_file():
        there = list(next(iter(read_csv(path, NEEDED, True, remedy="choose another --output")), {}))
        if there and there != columns:
            raise DataError(
                f"{path} has the columns {', '.join(there)}, its new rows have "
                f"{', '.join(columns)}: choose another --output."
            )
    text, head = io.StringIO(), io.StringIO()
    csv.DictWriter(head, columns, lineterminator="\n").writeheader()
    csv.DictWriter(text, columns, lineterminator="\n").writerows(rows)
    append(path, text.getvalue(), head.getvalue())


def read_rows(path: str | Path) -> list[Row]:
    """The rows of a table, seeds as numbers.

    Raises:
        MissingError: there is none.
        DamagedError: naming the column or the row that is missing, cut off or no number.
    """
    path = Path(path)
    rows: list[Row] = [
        *read_csv(path, NEEDED, True, remedy="give a table of `nextgpt-lite compare`")
    ]
    seen = set()
    with reading(path, remedy="remove the row, and start `nextgpt-lite compare` again"):
        for row in rows:
            row["seed"] = int(row["seed"])
            name = (row["system"], row["seed"], row["id"])
            if name in seen:
                raise DataError("{} of seed {} answers {!r} twice".format(*name))
            seen.add(name)
            for aspect in aspects_of(rows):
                if row[aspect] and not math.isfinite(float(row[aspect])):
                    raise DataError(f"{aspect} of {row['id']!r} is {row[aspect]}")
    return rows


def run(
    systems: Sequence[tuple[int, System]],
    instructions: Sequence[Instruction],
    judge: Judge,
    path: str | Path,
    *,
    num_inference_steps: int | None = None,
    batch_size: int = 16,
    watch: Callable[[str], None] = lambda line: None,
) -> list[Row]:
    """Judges every system, leaving out answers that the table at `path` already has.

    Args:
        systems: each with the seed of its training.
        path: gets the rows of a batch as soon as they are there.
        watch: told what is done.
    """
    done = set()
    if Path(path).is_file():
        done = {(row["system"], row["seed"], row["id"]) for row in read_rows(path)}
    for seed, system in systems:
        left = [one for one in instructions if (system.name, seed, one.id) not in done]
        for first in range(0, len(left), batch_size):
            part = left[first : first + batch_size]
            rows = judged(
                system, part, judge, seed=seed, num_inference_steps=num_inference_steps,
                batch_size=batch_size,
            )  # fmt: skip
            write_rows(path, rows)
            watch(f"{system.name}, seed {seed}: {first + len(part)} of {len(left)}")
    return read_rows(path)


# ---- numbers from rows


def where(rows: Iterable[Row], **values: Any) -> list[Row]:
    """The rows with these values in these columns."""
    return [row for row in rows if all(row[name] == value for name, value in values.items())]


def values_of(rows: Iterable[Row], column: str) -> list[str]:
    """The different values of a column, in order of first appearance."""
    return list(dict.fromkeys(row[column] for row in rows))


def aspects_of(rows: Sequence[Row]) -> list[str]:
    """The aspects that the rows were judged by."""
    columns = [*rows[0]] if rows else ["given", "text"]
    return columns[columns.index("given") + 1 : columns.index("text")]


def mean(rows: Iterable[Row], aspect: str) -> Interval:
    """The mean of one system's aspect over seeds and prompts."""
    return interval(table(rows, aspect)[0])


def size(rows: Sequence[Row]) -> str:
    """How many seeds and prompts one system's rows have: "3 x 200"."""
    return f"{len(values_of(rows, 'seed'))} x {len(values_of(rows, 'id'))}"


def difference(rows: Sequence[Row], first: str, second: str, aspect: str) -> Difference:
    """One system's aspect minus another's, on the prompts and seeds that both have.

    A system with one seed only (an upper bound, a pipeline of frozen parts) is compared with every
    seed of the other.
    """
    mine, theirs = ([row for row in rows if row["system"] == name] for name in (first, second))
    common = sorted({(row["id"],) for row in mine} & {(row["id"],) for row in theirs})
    one, _ = table(mine, aspect, prompts=common)
    two, _ = table(theirs, aspect, prompts=common)
    if 1 in (len(one), len(two)):
        rounds = max(len(one), len(two))
        one, two = (np.broadcast_to(t, (rounds, t.shape[1])) if len(t) == 1 else t
                    for t in (one, two))  # fmt: skip
    return compare(one, two)


def decided(rows: Sequence[Row], modality: str) -> Decisions:
    """How well one system decides whether to make a modality."""
    marked = [
        {**row, **{name: modality in row[name].split("+") for name in ("wanted", "given")}}
        for row in rows
    ]
    wanted, given = (_filled(table(marked, name)[0]) for name in ("wanted", "given"))
    return decisions(wanted, given)


def markdown(lines: Sequence[Sequence[Any]]) -> str:
    """Lines of cells, the first of them the head, as a table."""
    rows = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "\n".join(f"| {' | '.join(map(str, cells))} |" for cells in rows)


def _filled(values: Array) -> Array:
    """Prompts that not every seed has answered yet do not count."""
    return values[:, ~np.isnan(values).any(0)]
