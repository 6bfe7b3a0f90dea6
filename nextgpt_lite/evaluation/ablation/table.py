"""The table of a grid: one row for each answer (columns in the package's docstring), and beside it
in JSON all that made the answers.

Knows: the columns of settings. Leaves to others: the columns of an answer, and reading them
(`evaluation.comparison`).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import with_config
from typing_extensions import TypedDict

from nextgpt_lite.evaluation.comparison.rows import NEEDED
from nextgpt_lite.reading import read_json, reading
from nextgpt_lite.writing import beside

SETTINGS = ("messenger", "signal_tokens", "projection", "distance", "denoising", "hidden_layer",
            "lora_rank", "stages", "mixture", "steps")  # fmt: skip


@with_config(extra="allow")
class Result(TypedDict):
    """What the file of a cell's result says, as far as a table shows it."""

    config: dict[str, Any]
    settings: dict[str, Any]
    stages: list[dict[str, Any]]
    answers: list[dict[str, Any]]
    key: str


def write_table(results: Sequence[tuple[str, Path]], path: Path) -> Path:
    """Gathers result files, in their order; those that are not there yet are left out.

    Args:
        results: each with its cell's name, for another grid may have given it another.
    """
    there = [(name, result) for name, result in results if result.is_file()]
    found = [{**read_json(result, Result), "cell": name} for name, result in there]
    with beside(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        answered = next(([*each["answers"][0]] for each in found if each["answers"]), NEEDED)
        writer = csv.DictWriter(file, [*answered, *SETTINGS, "key"], lineterminator="\n")
        writer.writeheader()
        for result, (_, source) in zip(found, there, strict=True):
            with reading(source, remedy="remove it, and start `nextgpt-lite ablate` again"):
                about = _about(result)
                writer.writerows({**answer, **about} for answer in result["answers"])
    settings = [{k: v for k, v in result.items() if k != "answers"} for result in found]
    with beside(path.with_suffix(".json")) as draft:
        draft.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    return path


def _about(result: dict[str, Any]) -> dict[str, Any]:
    """The columns that all answers of a cell and seed share."""
    config, signals = result["config"], result["config"]["signal_tokens"]
    by_signal = config["messenger"] == "signal"
    return {
        "system": result["cell"],
        "messenger": config["messenger"],
        "signal_tokens": "/".join(map(str, signals.values())) if by_signal else "",
        "projection": config["output_projection"]["kind"] if by_signal else "",
        "distance": config["distance"] if by_signal else "",
        "denoising": config["denoising"] if by_signal else "",
        "hidden_layer": config["hidden_layer"] if by_signal else "",
        "lora_rank": config["lora"]["rank"],
        "stages": "-".join(str(run["stage"]) for run in result["stages"]),
        "mixture": " ".join(
            f"{number}:{kind}={weight:g}"
            for number, kinds in result["settings"]["mixture"].items()
            for kind, weight in kinds.items()
        ),
        "steps": "-".join(str(run["schedule"]["steps"]) for run in result["stages"]),
        "key": result["key"][:12],
    }
