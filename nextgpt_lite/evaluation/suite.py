"""The lite suite: one table of what the shipped parts and the shipped model can do.

Knows: which tasks, how many of each, and the table's form. Leaves to others: the tasks (`lite`),
intervals (`score`).
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from random import Random

from tqdm.auto import tqdm

from nextgpt_lite.evaluation.lite import (
    attribute_scores,
    decode_captions,
    sample_scene,
    score_descriptions,
    score_dialogues,
)
from nextgpt_lite.evaluation.score import Score
from nextgpt_lite.modality import MODALITIES
from nextgpt_lite.model import NextGPT
from nextgpt_lite.world import dialogue

TELLS = 1.0  # replies tell what they show, as in the training of the shipped model
SEED = 1_000_000  # far from the seeds of training


def run_suite(model: NextGPT, count: int, steps: int = 20) -> dict[str, Score]:
    """Scores by name, `task / what`, for seen and held-out scenes apart.

    Args:
        count: scenes or dialogues a task.
        steps: diffusion steps.
    """
    scores: dict[str, Score] = {}
    bar = tqdm(total=3 * len(MODALITIES) + 3, desc="lite suite", mininterval=1.0)

    def add(task: str, found: dict[str, Score]) -> None:
        scores.update({f"{task} / {name}": score for name, score in found.items()})
        bar.update()

    for modality in MODALITIES:
        rng = Random(f"{SEED}/{modality}")
        scenes = [sample_scene(modality, rng) for _ in range(count)]
        results = decode_captions(model.decoder(modality), scenes, steps=steps, seed=SEED)
        add(f"{modality} decoder, gold caption", attribute_scores(results))
        for split in ("train", "held_out"):
            score = score_descriptions(model, modality, count, split=split, seed=SEED)
            add(f"{modality} described, {split}", {"every attribute": score})
    for name, make in (
        ("understanding", dialogue.understand),
        ("requests", partial(dialogue.t2m, tells=TELLS)),
        ("conversations", partial(dialogue.mosit, tells=TELLS)),
    ):
        found = score_dialogues(model, make, count, seed=SEED, num_inference_steps=steps)
        add(name, found)
    bar.close()
    return scores


def markdown(scores: dict[str, Score]) -> str:
    """The scores as a table."""
    rows = [f"| {name} | {score} |" for name, score in scores.items()]
    return "\n".join(["| task | right, 95 % interval |", "|---|---|", *rows]) + "\n"


def write(scores: dict[str, Score], folder: Path) -> None:
    """Writes `scores.json` and `scores.md`."""
    folder.mkdir(parents=True, exist_ok=True)
    values = {name: score.to_dict() for name, score in scores.items()}
    (folder / "scores.json").write_text(json.dumps(values, indent=1) + "\n")
    (folder / "scores.md").write_text(markdown(scores))
