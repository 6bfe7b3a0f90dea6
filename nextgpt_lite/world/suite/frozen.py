"""Examinations of frozen parts that make no media: encoder, base LLM, the decoders' text encoders.

Knows: what is asked of each. Leaves to others: linear probes and exact answers (`pretraining`),
prompts (`prompts`), what decoders make of conditions (`decoders`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import torch
from torch import Tensor

from nextgpt_lite.evaluation.statistics import Score
from nextgpt_lite.model.config import locate
from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.pretraining.encoder_data import ATTRIBUTES, attributes
from nextgpt_lite.world.pretraining.encoder_scores import (
    different_scenes,
    encode,
    probe,
    unit_inputs,
)
from nextgpt_lite.world.scene import (
    COLOURS,
    KINDS,
    MAX_COUNT,
    MAX_TIMES,
    OPPOSITE,
    Picture,
    Scene,
    Sound,
    Split,
    sample_clip,
    sample_picture,
    sample_sound,
)
from nextgpt_lite.world.suite.examination import Examiner, Found
from nextgpt_lite.world.suite.prompts import NAMES, any_scene, counted, related, several
from nextgpt_lite.world.suite.rows import mean, share

# ---- encoder

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
            texts = encoder.encode_text([caption(scene) for scene in scenes]).cpu()
            nearest = (vectors @ texts.T).argmax(dim=1)
            right += (nearest == torch.arange(size)).tolist()
        measure = f"caption of a {NAMES[modality]} first among {size}"
        rows.append(share("encoder", measure, Score.of(right), BARS[modality]))
    return Found(rows)


# ---- base LLM

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

    from nextgpt_lite.world.pretraining.llm_scores import examine

    folder = locate(examiner.model.config.llm)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    llm = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    llm.to(examiner.model.device)
    rows = []
    splits: tuple[tuple[Split, str, float | None], ...] = (
        ("train", "", 98), ("held_out", ", held-out wording and pair", None)
    )  # fmt: skip
    for split, words, bar in splits:
        for skill, name in SKILLS.items():
            right = examine(llm.eval(), tokenizer, skill, split, examiner.count, examiner.seed)
            rows.append(share("LLM", f"{name}, exact{words}", Score.of(right), bar))
    return Found(rows)


# ---- text encoders: does one changed word change the condition?


def _related_by(*relations: str) -> Callable[[Random], Picture]:
    return lambda rng: replace(related(rng), relation=rng.choice(relations))


def _often(rng: Random) -> Sound:
    return replace(sample_sound(rng), times=rng.randint(1, MAX_TIMES))


# What is changed -> scenes in which it can be, the attribute, and its values.
CHANGES: dict[str, dict[str, tuple[Callable[[Random], Any], str, Sequence[Any]]]] = {
    "image": {
        "kind": (sample_picture, "kind", KINDS),
        "count": (several, "count", range(2, MAX_COUNT + 1)),
        "colour": (sample_picture, "colour", COLOURS),
        "relation, left or right": (_related_by("left of", "right of"), "relation", ()),
        "relation, above or below": (_related_by("above", "below"), "relation", ()),
    },
    "audio": {
        "kind": (sample_sound, "kind", KINDS),
        "count": (_often, "times", range(1, MAX_TIMES + 1)),
    },
    "video": {"kind": (sample_clip, "kind", KINDS), "colour": (sample_clip, "colour", COLOURS)},
}


def text_encoders(examiner: Examiner) -> Found:
    """How far one changed word moves a caption's condition, in units of two random captions."""
    rows = []
    for modality, changes in CHANGES.items():
        decoder = examiner.model.decoder(modality)
        others = examiner.draws(f"captions/{modality}", any_scene(modality), 2 * examiner.count)
        flat = _conditions(decoder, others)  # (2N, L*C)
        unit = (flat[::2] - flat[1::2]).norm(dim=1).mean()
        for name, (draw, attribute, values) in changes.items():
            scenes = examiner.draws(f"text/{modality}/{name}", draw)
            rng = Random(f"{examiner.seed}/{name}")
            changed = [_changed(scene, attribute, values, rng) for scene in scenes]
            moved = _conditions(decoder, changed) - _conditions(decoder, scenes)
            ratios = (moved.norm(dim=1) / unit).tolist()
            least = sorted(ratios)[len(ratios) // 20]
            part, note = f"{modality} text encoder", f"19 in 20 at least {least:.2f}"
            measure = f"one word changed: {name}"
            rows.append(mean(part, measure, ratios, 0.3, unit="", note=note))
    return Found(rows)


def _conditions(decoder: Any, scenes: Sequence[Scene]) -> Tensor:
    return decoder.encode_text([caption(scene) for scene in scenes]).flatten(1)


def _changed(scene: Any, name: str, values: Sequence[Any], rng: Random) -> Scene:
    """The scene with another value of one attribute; of a picture, that of its first group."""
    if name == "relation":
        return replace(scene, relation=OPPOSITE[scene.relation])
    first, *rest = scene.groups if isinstance(scene, Picture) else (scene,)
    taken = {getattr(first, name), *(group.kind for group in rest if name == "kind")}
    new: dict[str, Any] = {name: rng.choice([v for v in values if v not in taken])}
    changed: Any = replace(first, **new)
    return replace(scene, groups=(changed, *rest)) if isinstance(scene, Picture) else changed
