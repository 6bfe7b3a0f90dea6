"""Examinations of the frozen encoder: what its vectors tell, and which caption is nearest.

Knows: what is probed, and how many captions are chosen among. Leaves to others: linear probes
(`pretraining.encoder_scores`), prompts (`prompts`).
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import torch

from nextgpt_lite.evaluation.statistics import Score
from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.pretraining.encoder_data import ATTRIBUTES, attributes
from nextgpt_lite.world.pretraining.encoder_scores import (
    different_scenes,
    encode,
    probe,
    unit_inputs,
)
from nextgpt_lite.world.scene import Scene, sample_clip, sample_sound
from nextgpt_lite.world.suite.examination import Examiner, Found
from nextgpt_lite.world.suite.prompts import NAMES, counted, related
from nextgpt_lite.world.suite.rows import share

POOLS = {"image": 200, "video": 200, "audio": 80}  # captions that differ; there are 80 sounds
BARS = {"image": 85.0, "audio": 90.0, "video": 90.0}  # of retrieval

PROBES: tuple[tuple[str, Callable[[Random], Scene], dict[str, str]], ...] = (
    ("image", counted, {"kind": "kind 1", "colour": "colour 1", "count": "count 1"}),
    ("image", related, {"relation": "relation"}),
    ("audio", sample_sound, {"kind": "kind 1", "count": "times"}),
    ("video", sample_clip, {"motion": "motion"}),
)


def probes(examiner: Examiner) -> Found:
    """What a linear reading of frozen embeddings tells, fitted to other scenes."""
    rows = []
    fitted = max(1000, 4 * examiner.count)
    columns = list(ATTRIBUTES)
    for modality, draw, asked in PROBES:
        scenes = examiner.draws(f"probe/{modality}/{draw.__name__}", draw, fitted + examiner.count)
        inputs = unit_inputs(encode(examiner.model.encoder, modality, scenes, examiner.seed))
        targets = torch.tensor([attributes(scene) for scene in scenes])  # (N, A)
        for name, attribute in asked.items():
            column = targets[:, columns.index(attribute)]
            right = probe(inputs, column, ATTRIBUTES[attribute], fitted)
            measure = f"{name} of a {NAMES[modality]}, linear probe"
            rows.append(share("encoder", measure, Score.of(right.tolist()), 95))
    return Found(rows)


def retrieval(examiner: Examiner) -> Found:
    """The right caption nearest among many different ones."""
    rows, encoder = [], examiner.model.encoder
    for modality, size in POOLS.items():
        right: list[bool] = []
        for pool in range(-(-examiner.count // size)):
            rng = Random(f"{examiner.seed}/{modality}/{pool}")
            scenes = different_scenes(modality, size, rng, "train")
            vectors = encode(encoder, modality, scenes, examiner.seed + pool)
            texts = encoder.encode_text([caption(scene) for scene in scenes])
            nearest = (vectors @ texts.T).argmax(dim=1)
            right += (nearest == torch.arange(size)).tolist()
        measure = f"caption of a {NAMES[modality]} first among {size}"
        rows.append(share("encoder", measure, Score.of(right), BARS[modality]))
    return Found(rows)
