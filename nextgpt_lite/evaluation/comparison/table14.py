"""Table 14 of the paper: pipelines against end-to-end, ours beside theirs.

Source: Wu, Fei, Qu, Ji and Chua, "NExT-GPT: Any-to-Any Multimodal LLM" (ICML 2024), appendix G:
100 simple and 100 complex instructions for images, five people, 1 to 100.
Knows: which system of ours stands where, the table's form. Leaves to others: the rows (`rows`), the
paper's numbers (`tables.sheet`).
"""

from __future__ import annotations

from collections.abc import Sequence

from nextgpt_lite.evaluation.comparison.decomposition import decomposition
from nextgpt_lite.evaluation.comparison.rows import (
    Row,
    aspects_of,
    decided,
    difference,
    markdown,
    mean,
    size,
    values_of,
    where,
)
from nextgpt_lite.evaluation.statistics import caution
from nextgpt_lite.evaluation.tables.sheet import TABLES
from nextgpt_lite.model.modality import BUILT_IN

OURS = {
    "tool pipeline": "HuggingGPT",
    "image tools only": "Visual-ChatGPT",
    "caption messenger": "NExT-GPT-caption",
    "end-to-end": "NExT-GPT",
}
BOUNDS = ("gold caption", "ground truth")
REGIMES = ("level", "length", "split", "pairs")  # columns whose values are told apart
NOTE = (
    "Ours: judged by program, mean [95 % interval over seeds and prompts]. In brackets behind "
    "it the paper's: people's judgement of pictures by large models. The two do not measure the "
    "same thing on the same scale; what can be compared is the order of the systems."
)


def systems_of(rows: Sequence[Row]) -> list[str]:
    """The systems that have rows, in the paper's order, bounds last.

    What stands behind a comma ("end-to-end, shipped") is a variant of what stands before it.
    """
    order = [*OURS, *BOUNDS]

    def place(name: str) -> tuple[int, str]:
        return order.index(_kind(name)) if _kind(name) in order else len(order), name

    return sorted({row["system"] for row in rows}, key=place)


def _kind(name: str) -> str:
    return name.split(",")[0]


def table14(rows: Sequence[Row], group: str = "image") -> str:
    """The table for one group of instructions, as Markdown."""
    aspects, levels = aspects_of(rows), values_of(rows, "level")
    head = [f"{level}: {aspect}" for level in levels for aspect in aspects]
    lines = [["system", "seeds x prompts", *head]]
    for name in systems_of(rows):
        mine = where(rows, system=name, group=group)
        cells = [str(mean(where(mine, level=lv), aspect)) for lv in levels for aspect in aspects]
        theirs = OURS.get(_kind(name)) if group == "image" else None
        if theirs:
            paper = dict(zip(TABLES[14].columns, TABLES[14].rows[theirs], strict=True))
            beside = [f" ({paper[column]})" if column in paper else "" for column in head]
            cells = [cell + number for cell, number in zip(cells, beside, strict=True)]
            name = f"{name} ({theirs})"
        lines.append([name, size(mine), *cells])
    return markdown(lines)


def differences(rows: Sequence[Row], group: str = "image", first: str = "end-to-end") -> str:
    """How far the first system is from each other one, paired by prompt, as Markdown."""
    aspects = aspects_of(rows)
    lines = [[f"{first} minus", "level", *aspects]]
    for name in systems_of(rows):
        for level in values_of(rows, "level"):
            part = where(rows, group=group, level=level)
            if name != first and where(part, system=name) and where(part, system=first):
                found = [str(difference(part, first, name, aspect)) for aspect in aspects]
                lines.append([name, level, *found])
    return markdown(lines)


def regimes(rows: Sequence[Row], aspect: str, group: str = "image") -> str:
    """One aspect in every regime that the rows tell apart, as Markdown."""
    kinds = [
        (column, value)
        for column in REGIMES
        if rows and column in rows[0]
        for value in values_of(rows, column)
    ]
    lines = [[aspect, *(f"{column}: {value}" for column, value in kinds)]]
    for name in systems_of(rows):
        mine = where(rows, system=name, group=group)
        lines.append([name, *(str(mean(where(mine, **{c: v}), aspect)) for c, v in kinds)])
    return markdown(lines)


def decision_table(rows: Sequence[Row]) -> str:
    """Precision, recall and F1 of which modality is made, over all groups, as Markdown."""
    lines = [["system", "modality", "precision", "recall", "F1"]]
    for name in systems_of(rows):
        for modality in BUILT_IN:
            found = decided(where(rows, system=name), modality)
            lines.append([name, modality, *map(str, found)])
    return markdown(lines)


def report(rows: Sequence[Row]) -> str:
    """Every table, for the groups in which media are wanted."""
    parts = [NOTE]
    for group in values_of(filter(lambda row: row["wanted"], rows), "group"):
        compared = differences(rows, group)
        parts += [f"## {group}", table14(rows, group), compared, caution(compared)]
        parts += [decomposition(rows, group)]
        parts += [regimes(rows, aspect, group) for aspect in aspects_of(rows)]
    parts += ["## which modality", decision_table(rows)]
    return "\n\n".join(filter(None, parts)) + "\n"
