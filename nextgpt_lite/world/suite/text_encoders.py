"""Examination of the decoders' text encoders: does one changed word change the condition?

Knows: which words are changed, and the unit of a change. Leaves to others: prompts (`prompts`),
what decoders make of conditions (`decoders`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from torch import Tensor

from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.scene import (
    COLOURS,
    KINDS,
    MAX_COUNT,
    MAX_TIMES,
    OPPOSITE,
    Picture,
    Scene,
    Sound,
    sample_clip,
    sample_picture,
    sample_sound,
)
from nextgpt_lite.world.suite.examination import Examiner, Found
from nextgpt_lite.world.suite.prompts import any_scene, related, several
from nextgpt_lite.world.suite.rows import mean

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
