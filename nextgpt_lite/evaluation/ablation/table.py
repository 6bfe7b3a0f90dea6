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

from nextgpt_lite.evaluation.comparison.rows import NEEDED
from nextgpt_lite.training.checkpoint import beside

SETTINGS = ("messenger", "signal_tokens", "projection", "distance", "denoising", "hidden_layer",
            "lora_rank", "stages", "mixture", "steps")  # fmt: skip


def write_table(results: Sequence[tuple[str, Path]], path: Path) -> Path:
    """Gathers result files, in their order; those that are not there yet are left out.

    Args:
        results: each with its cell's name, for another grid may have given it another.
    """
    found = [
        {**json.loads(result.read_text()), "cell": name}
        for name, result in results
        if result.is_file()
    ]
    with beside(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        answered = [*found[0]["answers"][0]] if found else NEEDED
        writer = csv.DictWriter(file, [*answered, *SETTINGS, "key"], lineterminator="\n")
        writer.writeheader()
        for result in found:
            about = _about(result)
            writer.writerows({**answer, **about} for answer in result["answers"])
    settings = [{k: v for k, v in result.items() if k != "answers"} for result in found]
    with beside(path.with_suffix(".json")) as draft:
        draft.write_text(json.dumps(settings, indent=1) + "\n")
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
