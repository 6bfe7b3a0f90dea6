"""Systems side by side on the same instructions: every answer a row, every number from the rows.

Knows: the columns, how a run goes on where it stopped, and what is averaged over what. Leaves to
others: answers (`baselines`), their worth (`aspects`), intervals (`evaluation.statistics`), Table
14's form (`table14`).

A row is one answer: `system`, training `seed`, instruction (`id`, `group`, `level`, `skill`,
`split` of its wording, `pairs` seen or held out, `length`), media `wanted` and `given` in order,
the three aspects, and the reply's `text`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

from nextgpt_lite.evaluation.baselines import System, answers
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
from nextgpt_lite.world.comparison.aspects import ASPECTS, Judge
from nextgpt_lite.world.comparison.instructions import Instruction
from nextgpt_lite.world.dialogue.parts import modality_of
from nextgpt_lite.world.judge import with_media

COLUMNS = (
    "system", "seed", "id", "group", "level", "skill", "split", "pairs", "length", "wanted",
    "given", *ASPECTS, "text",
)  # fmt: skip
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
            [([with_media(turn) for turn in one.messages], one.wanted) for one in part],
            seeds=[crc32(f"{seed}/{one.id}".encode()) for one in part],
            num_inference_steps=num_inference_steps,
            batch_size=batch_size,
        )
        for one, answer in zip(part, given, strict=True):
            about = {name: getattr(one, name) for name in COLUMNS[2:9]}
            worth = judge.worth(one, answer)._asdict()
            yield {
                "system": system.name, "seed": seed, **about,
                "wanted": "+".join(modality_of(scene) for scene in one.wanted),
                "given": "+".join(media["type"] for media in answer.media),
                **{name: "" if np.isnan(v) else round(v, 2) for name, v in worth.items()},
                "text": answer.reply.text,
            }  # fmt: skip


def write_rows(path: str | Path, rows: Iterable[Row]) -> None:
    """Adds rows to a table, which is made where there is none."""
    path = Path(path)
    new = not path.is_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)


def read_rows(path: str | Path) -> list[Row]:
    """The rows of a table, seeds as numbers.

    Raises:
        FileNotFoundError: there is none.
        ValueError: naming a column that is missing.
    """
    with Path(path).open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
            raise ValueError(
                f"{path}: column {missing[0]!r} is missing: give a table of `nextgpt-lite compare`."
            )
        return [{**row, "seed": int(row["seed"])} for row in reader]


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


def mean(rows: Iterable[Row], aspect: str) -> Interval:
    """The mean of one system's aspect over seeds and prompts."""
    return interval(table(rows, aspect)[0])


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


def _filled(values: Array) -> Array:
    """Prompts that not every seed has answered yet do not count."""
    return values[:, ~np.isnan(values).any(0)]
