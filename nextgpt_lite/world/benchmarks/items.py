"""Media of the lite world with their captions, for the paper's tables, and the facts in a caption.

Knows: the test items, classes of sound, what stands for SPICE. Leaves to others: what is done with
an item (`evaluation.tables`), wishes to change one (`edits`), questions about one (`choices`).
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from nextgpt_lite.evaluation.protocols import Item
from nextgpt_lite.world.describe import caption, paraphrase, parse
from nextgpt_lite.world.rendered import Rendered
from nextgpt_lite.world.scene import (
    KINDS,
    PITCHES,
    Clip,
    Group,
    Picture,
    Scene,
    Sound,
    Split,
    sample_scene,
)

REFERENCES = 5  # captions of an item, as COCO has
Facts = frozenset[tuple[str, ...]]


def lite_items(
    modality: str, count: int, split: Split = "train", seed: int = 2_000_000
) -> list[Item]:
    """Scenes of the lite world with five captions each: the canonical one and four paraphrases.

    Args:
        split: "held_out" has pairs and wordings no training has seen (sounds: wordings only).
        seed: far from those of training.
    """
    rng = Random(f"{seed}/{modality}/{split}")
    items = []
    for index in range(count):
        scene = sample_scene(modality, rng, split)
        others = [paraphrase(scene, rng, split) for _ in range(REFERENCES - 1)]
        takes = (Rendered(scene, seed=seed + index + more) for more in (0, 10**6))
        items.append(Item(f"{modality}_{index}", modality, (caption(scene), *others), *takes))
    return items


def unseen_items(count: int) -> dict[str, list[Item]]:
    """The sets of Table 11: what training has held out, and what it has not."""
    return {
        "pictures held out": lite_items("image", count, "held_out"),
        "clips held out": lite_items("video", count, "held_out"),
        "pictures seen": lite_items("image", count),
    }


def sound_classes() -> list[list[str]]:
    """The lite world's twenty classes of sound, each by its captions: ten kinds, two pitches."""
    return [
        [caption(Sound(kind, times, pitch)) for times in range(1, 5)]
        for kind in KINDS
        for pitch in PITCHES
    ]


def lite_spice(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """F of the facts in a caption against those of its scene: what SPICE is to free text.

    Facts are a thing, and its colour, size, number, place, motion, voice or relation, read by the
    lite world's parser from the candidate and from the first reference (the canonical caption). A
    caption that does not parse has no facts and scores 0.
    """
    return [
        _overlap(facts(parse(candidate)), facts(parse(texts[0])))
        for candidate, texts in zip(candidates, references, strict=True)
    ]


def facts(scene: Scene | None) -> Facts:
    """What is said of a scene, as SPICE's tuples."""
    match scene:
        case Picture(groups, relation, place):
            first, *rest = [_of_group(group) for group in groups]
            related = {(groups[0].kind, relation, groups[1].kind)} if relation else set()
            return frozenset().union(first, *rest, {("place", place)}, related)
        case Sound(kind, times, pitch):
            return frozenset({(kind,), (kind, "times", str(times)), (kind, "pitch", pitch)})
        case Clip(kind, colour, motion, size, place):
            return _of_group(Group(kind, colour, size)) | {("place", place), (kind, "does", motion)}
    return frozenset()


def _of_group(group: Group) -> Facts:
    kind = group.kind
    return frozenset(
        {(kind,), (kind, group.colour), (kind, group.size), (kind, "count", str(group.count))}
    )


def _overlap(said: Facts, true: Facts) -> float:
    return 2 * len(said & true) / max(1, len(said) + len(true))
