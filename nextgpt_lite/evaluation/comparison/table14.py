"""Table 14 of the paper: pipelines against end-to-end, ours beside theirs.

Source: Wu, Fei, Qu, Ji and Chua, "NExT-GPT: Any-to-Any Multimodal LLM" (ICML 2024), appendix G:
100 simple and 100 complex instructions for pictures, five people, 1 to 100.
Knows: the paper's numbers, which system of ours stands where, the table's form. Leaves to others:
the rows (`rows`).
"""

from __future__ import annotations

from collections.abc import Sequence

from nextgpt_lite.evaluation.comparison.rows import Row, decided, difference, mean, where
from nextgpt_lite.evaluation.statistics import caution
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.world.comparison.aspects import ASPECTS
from nextgpt_lite.world.comparison.instructions import LEVELS

# Instruction following, rationality, quality; simple instructions, then complex ones.
PAPER = {
    "HuggingGPT": (94, 92, 87, 82, 74, 73),
    "Visual-ChatGPT": (94, 90, 86, 84, 76, 72),
    "NExT-GPT-caption": (93, 90, 81, 76, 68, 65),
    "NExT-GPT": (95, 92, 89, 84, 83, 80),
}
OURS = {
    "tool pipeline": "HuggingGPT",
    "image tools only": "Visual-ChatGPT",
    "caption messenger": "NExT-GPT-caption",
    "end-to-end": "NExT-GPT",
}
BOUNDS = ("gold caption", "ground truth")
NOTE = (
    "Ours: lite world, verifiers, mean [95 % interval over seeds and prompts]. In brackets behind "
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
    head = [f"{level}: {aspect}" for level in LEVELS for aspect in ASPECTS]
    lines = [["system", "seeds x prompts", *head]]
    for name in systems_of(rows):
        mine = where(rows, system=name, group=group)
        count = f"{len({r['seed'] for r in mine})} x {len({r['id'] for r in mine})}"
        cells = [str(mean(where(mine, level=lv), aspect)) for lv in LEVELS for aspect in ASPECTS]
        if group == "image" and _kind(name) in OURS:
            theirs = OURS[_kind(name)]
            cells = [f"{c} ({p})" for c, p in zip(cells, PAPER[theirs], strict=True)]
            name = f"{name} ({theirs})"
        lines.append([name, count, *cells])
    return _markdown(lines)


def differences(rows: Sequence[Row], group: str = "image", first: str = "end-to-end") -> str:
    """How far the first system is from each other one, paired by prompt, as Markdown."""
    lines = [["end-to-end minus" if first == "end-to-end" else f"{first} minus", "level", *ASPECTS]]
    for name in systems_of(rows):
        for level in LEVELS:
            part = where(rows, group=group, level=level)
            if name != first and where(part, system=name) and where(part, system=first):
                found = [str(difference(part, first, name, aspect)) for aspect in ASPECTS]
                lines.append([name, level, *found])
    return _markdown(lines)


def regimes(rows: Sequence[Row], aspect: str, group: str = "image") -> str:
    """One aspect in every regime, as Markdown."""
    kinds = [("level", "simple"), ("level", "complex"), ("length", "short"), ("length", "long"),
             ("split", "train"), ("split", "held_out"), ("pairs", "seen"),
             ("pairs", "held out")]  # fmt: skip
    lines = [[aspect, *(f"{column}: {value}" for column, value in kinds)]]
    for name in systems_of(rows):
        mine = where(rows, system=name, group=group)
        lines.append([name, *(str(mean(where(mine, **{c: v}), aspect)) for c, v in kinds)])
    return _markdown(lines)


def decision_table(rows: Sequence[Row]) -> str:
    """Precision, recall and F1 of which modality is made, over all groups, as Markdown."""
    lines = [["system", "modality", "precision", "recall", "F1"]]
    for name in systems_of(rows):
        for modality in MODALITIES:
            found = decided(where(rows, system=name), modality)
            lines.append([name, modality, *map(str, found)])
    return _markdown(lines)


def report(rows: Sequence[Row]) -> str:
    """Every table, for the groups that the rows have."""
    groups = [name for name in (*MODALITIES, "several") if where(rows, group=name)]
    parts = [NOTE]
    for group in groups:
        compared = differences(rows, group)
        parts += [f"## {group}", table14(rows, group), compared, caution(compared)]
        parts += [regimes(rows, aspect, group) for aspect in ASPECTS]
    parts += ["## which modality", decision_table(rows)]
    return "\n\n".join(filter(None, parts)) + "\n"


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    rows = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)
