"""Examination of the base LLM, in words alone.

Knows: which skills are asked for. Leaves to others: exact answers (`pretraining.llm_scores`).
"""

from __future__ import annotations

import torch

from nextgpt_lite.evaluation.statistics import Score
from nextgpt_lite.world.scene import Split
from nextgpt_lite.world.suite.examination import Examiner, Found
from nextgpt_lite.world.suite.rows import share

SKILLS = {
    "arithmetic": "arithmetic",
    "rewording": "spatial rewording",
    "swap": "swaps",
    "recolour": "colour changes",
    "reference": "multi-turn reference",
}


def language_model(examiner: Examiner) -> Found:
    """Exact answers of the base LLM, in words alone; held-out wordings without a bar."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from nextgpt_lite.model.config import locate
    from nextgpt_lite.world.pretraining.llm_scores import examine

    folder = locate(examiner.model.config.llm)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    llm = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    rows = []
    splits: tuple[tuple[Split, str, float | None], ...] = (
        ("train", "", 98), ("held_out", ", held-out wording and pair", None)
    )  # fmt: skip
    for split, words, bar in splits:
        for skill, name in SKILLS.items():
            right = examine(llm.eval(), tokenizer, skill, split, examiner.count, examiner.seed)
            rows.append(share("LLM", f"{name}, exact{words}", Score.of(right), bar))
    return Found(rows)
