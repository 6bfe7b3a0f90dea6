"""The whole comparison of Table 14 from folders of trained models.

Knows: which systems are made of which model, and the files: `instructions.jsonl`, `rows.csv`,
`settings.json`, `report.md`. Leaves to others: all of the work (`rows`, `table14`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from nextgpt_lite.evaluation.baselines import (
    Chat,
    GoldCaption,
    GroundTruth,
    System,
    ToolPipeline,
    share_frozen,
)
from nextgpt_lite.evaluation.comparison.instruction_files import write_instructions
from nextgpt_lite.evaluation.comparison.rows import run
from nextgpt_lite.evaluation.comparison.table14 import report
from nextgpt_lite.evaluation.metrics.features import Features
from nextgpt_lite.model.nextgpt import NextGPT
from nextgpt_lite.world.comparison.aspects import Judge
from nextgpt_lite.world.comparison.instructions import GROUPS, SEED, instructions


def compare_models(
    models: Sequence[str | Path],
    caption_models: Sequence[str | Path],
    output: str | Path,
    *,
    prompts: int = 200,
    groups: Sequence[str] | None = None,
    num_inference_steps: int | None = None,
    seed: int = SEED,
) -> str:
    """Asks every system everything and reports; goes on where an earlier call stopped.

    Args:
        models: "lite" or folders of stage 3 with signal tokens; number i is training seed i.
        caption_models: folders of stage 3 with captions as messenger, likewise.
        output: gets the files above.
        prompts: of each group of instructions, half of them simple.
        groups: of `instructions.GROUPS`; None takes all.
        num_inference_steps: of all decoders; None takes each one's own.
        seed: of the instructions.

    Returns:
        the report, as Markdown.

    Raises:
        ValueError: a group is unknown, a model has the other messenger, or `output` holds the rows
            of another comparison.
    """
    output = Path(output)
    groups = tuple(groups or GROUPS)
    asked = instructions((prompts + 1) // 2, seed, groups)
    settings: dict[str, object] = {
        "models": [str(m) for m in models], "caption_models": [str(m) for m in caption_models],
        "num_inference_steps": num_inference_steps, "instructions_seed": seed,
    }  # fmt: skip
    _same_settings(output / "settings.json", settings)
    write_instructions(output / "instructions.jsonl", asked)
    systems: list[tuple[int, System]] = []
    for wanted, folders in (("signal", models), ("caption", caption_models)):
        for number, folder in enumerate(folders):
            model = NextGPT.from_pretrained(folder)
            if model.config.messenger != wanted:
                raise ValueError(
                    f"{folder} has the messenger {model.config.messenger!r}, {wanted!r} is wanted "
                    "here: give it to the other option."
                )
            if systems:
                share_frozen(systems[0][1].model, model)
            systems.append((number, Chat(model)))
    first = systems[0][1].model
    systems += [(0, GroundTruth(first)), (0, GoldCaption(first)), (0, ToolPipeline(first)),
                (0, ToolPipeline(first, ("image",)))]  # fmt: skip
    judge = Judge(Features(first.encoder, first.config.encoder))
    rows = run(
        systems, asked, judge, output / "rows.csv", num_inference_steps=num_inference_steps,
        watch=print,
    )  # fmt: skip
    text = report(rows)
    (output / "report.md").write_text(text, encoding="utf-8")
    return text


def _same_settings(path: Path, settings: dict[str, object]) -> None:
    if path.is_file() and (before := json.loads(path.read_text())) != settings:
        name = next(key for key in settings if before.get(key) != settings[key])
        raise ValueError(
            f"{path}: {name} was {before.get(name)} and is now {settings[name]}: give the same "
            "again or choose another --output."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings, indent=1) + "\n")
