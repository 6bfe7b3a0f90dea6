"""The table of a grid: one row for each answer (columns in the package's docstring), and beside it
in JSON all that made the answers.

Knows: the columns of settings. Leaves to others: the columns of an answer, and reading them
(`evaluation.comparison`).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NotRequired

from pydantic import with_config
from typing_extensions import TypedDict

from nextgpt_lite.evaluation.ablation.cells import fingerprints
from nextgpt_lite.evaluation.comparison.rows import NEEDED
from nextgpt_lite.model.checkpoint import read_config
from nextgpt_lite.model.config import NextGPTConfig, cache_folder, trained_folder
from nextgpt_lite.reading import read_json, reading
from nextgpt_lite.writing import beside

OF_SIGNALS = ("distance", "distance_weight", "denoising", "condition_dropout", "hidden_layer")
SETTINGS = ("init", "messenger", "signal_tokens", "projection", *OF_SIGNALS, "lora_rank", "stages",
            "learns", "mixture", "steps", "samples", "parts")  # fmt: skip


@with_config(extra="allow")
class Result(TypedDict):
    """What the file of a cell's result says, as far as a table shows it."""

    cell: str
    config: dict[str, Any]
    settings: dict[str, Any]
    frozen: dict[str, str]
    stages: list[dict[str, Any]]
    answers: list[dict[str, Any]]
    key: str
    seed: int
    tables: NotRequired[dict[str, dict[str, Any]]]


def write_table(results: Sequence[tuple[str, Path]], path: Path) -> Path:
    """Gathers result files, in their order; those that are not there yet are left out.

    What their tables say stands in a table beside it, `NAME-tables.csv`.

    Args:
        results: each with its cell's name, for another grid may have given it another.
    """
    there = [(name, result) for name, result in results if result.is_file()]
    found = [read_json(result, Result) for _, result in there]
    with beside(path) as draft, draft.open("w", newline="", encoding="utf-8") as file:
        answered = next(([*each["answers"][0]] for each in found if each["answers"]), NEEDED)
        writer = csv.DictWriter(file, [*answered, *SETTINGS, "key"], lineterminator="\n")
        writer.writeheader()
        for result, (name, source) in zip(found, there, strict=True):
            with reading(source, remedy="remove it, and start `nextgpt-lite ablate` again"):
                about = _about(result)
                for answer in result["answers"]:
                    system = name + answer["system"].removeprefix(result["cell"])
                    writer.writerow({**answer, **about, "system": system})
    measured = [
        (name, result["seed"], table, row, column, value)
        for result, (name, _) in zip(found, there, strict=True)
        for table, sheet in result.get("tables", {}).items()
        for row, values in sheet["rows"].items()
        for column, value in values.items()
    ]
    if measured:
        beside_it = path.with_name(f"{path.stem}-tables.csv")
        with beside(beside_it) as draft, draft.open("w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(("cell", "seed", "table", "row", "column", "value"))
            lines.writerows(measured)
    settings = [
        {**{k: v for k, v in result.items() if k != "answers"}, "cell": name}
        for result, (name, _) in zip(found, there, strict=True)
    ]
    with beside(path.with_suffix(".json")) as draft:
        draft.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    return path


def outdated(path: str | Path) -> str:
    """One sentence on a table whose frozen parts are no longer those that are here; "" if they are.

    Args:
        path: of the table, beside which its JSON or a `settings.json` says what made it; where
            neither is there, nothing is known.
    """
    path = Path(path).with_suffix(".json")
    path = path if path.is_file() else path.with_name("settings.json")
    made = read_json(path, Any) if path.is_file() else []
    gone: dict[str, None] = {}
    for result in made if isinstance(made, list) else [made]:
        if "config" not in result:
            result |= read_config(trained_folder(result["model"]))
        here = fingerprints(NextGPTConfig.from_dict(result["config"]), cache_folder())
        gone |= dict.fromkeys(n for n, found in result["frozen"].items() if here.get(n) != found)
    if not gone:
        return ""
    return (
        f"OLD: {path.parent.name} stands on other weights than those that are here "
        f"({', '.join(gone)}), so its numbers are not today's."
    )


def _about(result: dict[str, Any]) -> dict[str, Any]:
    """The columns that all answers of a cell and seed share."""
    config, signals = result["config"], result["config"]["signal_tokens"]
    by_signal, projected = config["messenger"] == "signal", config["messenger"] != "caption"
    return {
        "init": result["settings"]["init"] or "",
        "messenger": config["messenger"],
        "signal_tokens": "/".join(map(str, signals.values())) if by_signal else "",
        "projection": config["output_projection"]["kind"] if projected else "",
        **{name: config[name] if projected else "" for name in OF_SIGNALS},
        "lora_rank": config["lora"]["rank"],
        "stages": "-".join(str(run["stage"]) for run in result["stages"]),
        "learns": " ".join(
            f"{number}:{'+'.join(parts)}" for number, parts in result["settings"]["learns"].items()
        ),
        "mixture": " ".join(
            f"{number}:{kind}={weight:g}"
            for number, kinds in result["settings"]["mixture"].items()
            for kind, weight in kinds.items()
        ),
        "steps": "-".join(str(run["schedule"]["steps"]) for run in result["stages"]),
        "samples": sum(run["schedule"]["steps"] * run["batch"] for run in result["stages"]),
        "parts": sha256(json.dumps(result["frozen"], sort_keys=True).encode()).hexdigest()[:12],
        "key": result["key"][:12],
    }
