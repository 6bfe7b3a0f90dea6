"""Examinations of the frozen parts: decoders, their autoencoders and text encoders, encoder, LLM.

Knows: which prompts ask for what, and which attributes a row is about. Leaves to others: reading
media (`world.verify`), linear probes and exact answers (`pretraining`), the whole model (`whole`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

import torch
from torch import Tensor

from nextgpt_lite.evaluation.examination import Examiner, Found, Judged, judge_all
from nextgpt_lite.evaluation.rows import Row, mean, share, weakest
from nextgpt_lite.evaluation.score import Score
from nextgpt_lite.pretraining.encoder_data import ATTRIBUTES, attributes
from nextgpt_lite.pretraining.encoder_scores import different_scenes, encode, probe, unit_inputs
from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import (
    COLOURS,
    HELD_OUT_COLOURS,
    HELD_OUT_COUNTS,
    KINDS,
    MAX_COUNT,
    MAX_TIMES,
    OPPOSITE,
    PLACES,
    SIZES,
    Clip,
    Group,
    Picture,
    Scene,
    Sound,
    Split,
    is_held_out,
    sample_clip,
    sample_picture,
    sample_sound,
)

HELD_OUT_ORDERED = sorted(HELD_OUT_COLOURS), sorted(HELD_OUT_COUNTS)
POOLS = {"image": 200, "video": 200, "audio": 80}  # captions that differ; there are 80 sounds
BARS = {"image": 85.0, "audio": 90.0, "video": 90.0}  # of retrieval
NAMES = {"image": "picture", "audio": "sound", "video": "clip"}


# ---- prompts


def one_thing(rng: Random) -> Picture:
    """A picture of a single thing."""
    return _alike(rng, 1)


def several(rng: Random) -> Picture:
    """A picture of two to seven things alike."""
    return _alike(rng, rng.randint(2, MAX_COUNT))


def counted(rng: Random) -> Picture:
    """A picture of one to seven things alike, every number as often."""
    return _alike(rng, rng.randint(1, MAX_COUNT))


def related(rng: Random) -> Picture:
    """A picture of two things, one beside or above the other."""
    while True:
        picture = sample_picture(rng, groups=2)
        if picture.relation is not None:
            return picture


def unseen_colour(rng: Random) -> Picture:
    """One thing in the colour in which training never showed it."""
    kind, colour = rng.choice(HELD_OUT_ORDERED[0])
    return Picture((Group(kind, colour, rng.choice(SIZES)),), None, rng.choice(PLACES))


def unseen_count(rng: Random) -> Picture:
    """As many of a thing as training never showed, in a colour in which it did."""
    kind, count = rng.choice(HELD_OUT_ORDERED[1])
    colours = [colour for colour in COLOURS if (kind, colour) not in HELD_OUT_COLOURS]
    group = Group(kind, rng.choice(colours), rng.choice(SIZES), count)
    return Picture((group,), None, rng.choice(PLACES))


def _alike(rng: Random, count: int) -> Picture:
    while True:
        group = Group(rng.choice(KINDS), rng.choice(COLOURS), rng.choice(SIZES), count)
        picture = Picture((group,), None, rng.choice(PLACES))
        if not is_held_out(picture):
            return picture


def any_scene(modality: str, split: Split = "train") -> Callable[[Random], Scene]:
    """Draws what the modality shows, in the world's own mixture."""
    if modality == "image":
        return lambda rng: sample_picture(rng, split)
    return sample_sound if modality == "audio" else lambda rng: sample_clip(rng, split)


# ---- decoders


def autoencoders(examiner: Examiner) -> Found:
    """New scenes through autoencoder (and vocoder) alone: every attribute has to survive."""
    rows, sheets = [], {}
    for modality in examiner.model.config.conditions:
        scenes = examiner.draws(f"autoencoder/{modality}", any_scene(modality))
        decoder: Any = examiner.model.decoder(modality)
        media: list[Any] = []
        for first in range(0, len(scenes), 16):
            some = scenes[first : first + 16]
            shown = [render(s, examiner.seed + first + i) for i, s in enumerate(some)]
            media += decoder.reconstruct(shown)
        results = judge_all(scenes, media)
        what = "autoencoder and vocoder" if modality == "audio" else "autoencoder"
        score = Score.of(r.verdict.correct for r in results)
        rows.append(share(f"{modality} {what}", "new scenes, all attributes", score, 99))
        sheets[f"{modality}_autoencoder"] = [r.tile() for r in results]
    return Found(rows, sheets)


def image_decoder(examiner: Examiner) -> Found:
    """Captions through the text encoder: one thing, numbers, bound pairs, relations, new pairs."""
    part = "image decoder"

    def row(measure: str, results: Sequence[Judged], bar: float, *names: str, by: str = "") -> Row:
        answers = [r.holds(*names) for r in results]
        note = weakest(zip(map(_sort_of(by), results), answers, strict=True)) if by else ""
        return share(part, measure, Score.of(answers), bar, note)

    single, pairs = examiner.decoded(examiner.draws("one", one_thing)), gold_pairs(examiner)
    alike = gold_counted(examiner)
    colours = examiner.decoded(examiner.draws("unseen colour", unseen_colour))
    counts = examiner.decoded(examiner.draws("unseen count", unseen_count))
    looks = ("kind", "colour", "count")
    rows = [
        row("one thing: kind, colour, size", single, 98, *looks, "size"),
        row("count 1-7 exact, with kind and colour", alike, 92, *looks, by="count"),
        row("two things bound to their colours", pairs, 93, *looks),
        row("relation of two things", pairs, 93, "kind", "count", "relation", by="relation"),
        row("(thing, colour) never trained", colours, 80, *looks),
        row("(thing, count) never trained", counts, 80, *looks),
    ]
    sheets = {
        "image_one_thing": [r.tile(*looks, "size") for r in single],
        "image_counts": [r.tile(*looks) for r in alike],
        "image_pairs": [r.tile(*looks, "relation") for r in pairs],
        "image_unseen_colours": [r.tile(*looks) for r in colours],
        "image_unseen_counts": [r.tile(*looks) for r in counts],
    }
    return Found(rows, sheets)


def gold_counted(examiner: Examiner) -> list[Judged]:
    """Pictures of one to seven things from their captions, made once."""
    return _kept(examiner, "counted", counted)


def gold_pairs(examiner: Examiner) -> list[Judged]:
    """Pictures of two related things from their captions, made once."""
    return _kept(examiner, "related", related)


def _kept(examiner: Examiner, name: str, draw: Callable[[Random], Picture]) -> list[Judged]:
    if name not in examiner.kept:
        examiner.kept[name] = examiner.decoded(examiner.draws(name, draw))
    return examiner.kept[name]


def _sort_of(by: str) -> Callable[[Judged], str]:
    def sort(result: Judged) -> str:
        assert isinstance(result.scene, Picture)
        picture = result.scene
        return f"{picture.groups[0].count}" if by == "count" else str(picture.relation)

    return sort


def audio_decoder(examiner: Examiner) -> Found:
    """Captions of sounds."""
    results = examiner.decoded(examiner.draws("sound", sample_sound))
    rows = [
        share("audio decoder", measure, Score.of(r.holds(name) for r in results), bar)
        for measure, name, bar in (
            ("kind", "kind", 98),
            ("how many times", "times", 93),
            ("high or low", "pitch", 95),
        )
    ]
    return Found(rows, {"audio": [r.tile() for r in results]})


def video_decoder(examiner: Examiner) -> Found:
    """Captions of clips."""
    results = examiner.decoded(examiner.draws("clip", sample_clip))
    motions = [(r.scene.motion, r.holds("motion")) for r in results if isinstance(r.scene, Clip)]
    motion = Score.of(right for _, right in motions)
    look = Score.of(r.holds("kind", "colour") for r in results)
    rows = [
        share("video decoder", "kind and colour", look, 93),
        share("video decoder", "motion", motion, 96, weakest(motions)),
    ]
    return Found(rows, {"video": [r.tile("kind", "colour", "motion") for r in results]})


# ---- text encoders


Change = Callable[[Any, Random], Scene]


def text_encoders(examiner: Examiner) -> Found:
    """How far one changed word moves a caption's condition, in units of two random captions."""
    rows = []
    for modality, changes in CHANGES.items():
        decoder = examiner.model.decoder(modality)
        others = examiner.draws(f"captions/{modality}", any_scene(modality), 2 * examiner.count)
        flat = _conditions(decoder, others)  # (2N, L*C)
        unit = (flat[::2] - flat[1::2]).norm(dim=1).mean()
        for name, (draw, change) in changes.items():
            scenes = examiner.draws(f"text/{modality}/{name}", draw)
            rng = Random(f"{examiner.seed}/{name}")
            changed = [change(scene, rng) for scene in scenes]
            moved = _conditions(decoder, changed) - _conditions(decoder, scenes)
            ratios = (moved.norm(dim=1) / unit).tolist()
            least = sorted(ratios)[len(ratios) // 20]
            part, note = f"{modality} text encoder", f"19 in 20 at least {least:.2f}"
            measure = f"one word changed: {name}"
            rows.append(mean(part, measure, ratios, 0.3, unit="", note=note))
    return Found(rows)


def _conditions(decoder: Any, scenes: Sequence[Scene]) -> Tensor:
    return decoder.encode_text([caption(scene) for scene in scenes]).flatten(1)


def _other(values: Sequence[Any], value: Any, rng: Random) -> Any:
    return rng.choice([v for v in values if v != value])


def _regroup(name: str, values: Sequence[Any]) -> Change:
    def change(picture: Picture, rng: Random) -> Picture:
        first, *rest = picture.groups
        free = [v for v in values if name != "kind" or all(v != g.kind for g in rest)]
        new: dict[str, Any] = {name: _other(free, getattr(first, name), rng)}
        return replace(picture, groups=(replace(first, **new), *rest))

    return change


def _set(name: str, values: Sequence[Any]) -> Change:
    def change(scene: Any, rng: Random) -> Scene:
        return replace(scene, **{name: _other(values, getattr(scene, name), rng)})

    return change


def _related_by(*relations: str) -> Callable[[Random], Picture]:
    def draw(rng: Random) -> Picture:
        return replace(related(rng), relation=rng.choice(relations))

    return draw


def _turn(picture: Picture, _: Random) -> Picture:
    return replace(picture, relation=OPPOSITE[picture.relation or ""])


def _often(rng: Random) -> Sound:
    return replace(sample_sound(rng), times=rng.randint(1, MAX_TIMES))


CHANGES: dict[str, dict[str, tuple[Callable[[Random], Any], Change]]] = {
    "image": {
        "kind": (sample_picture, _regroup("kind", KINDS)),
        "count": (several, _regroup("count", range(2, MAX_COUNT + 1))),
        "colour": (sample_picture, _regroup("colour", COLOURS)),
        "relation, left or right": (_related_by("left of", "right of"), _turn),
        "relation, above or below": (_related_by("above", "below"), _turn),
    },
    "audio": {
        "kind": (sample_sound, _set("kind", KINDS)),
        "count": (_often, _set("times", range(1, MAX_TIMES + 1))),
    },
    "video": {
        "kind": (sample_clip, _set("kind", KINDS)),
        "colour": (sample_clip, _set("colour", COLOURS)),
    },
}


# ---- encoder


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


# ---- language model


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

    from nextgpt_lite.config import locate
    from nextgpt_lite.pretraining.llm_scores import examine

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
