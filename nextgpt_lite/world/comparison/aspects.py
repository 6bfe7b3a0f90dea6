"""What an answer is worth, in the three aspects of the paper's Table 14, 0 to 100 each.

Knows: the definitions below. Leaves to others: what is in a medium (`world.verify`), features
(`metrics.features`), means and intervals (`evaluation.statistics`).

The paper asked five people whether "text + image accurately responded to the input instructions",
whether "the images adhered to the input instructions", and which "exhibited the highest quality".
Here verifiers of the lite world answer, and so can be computed again by anyone:

- **instruction following**: the share of what was asked that came. Each wanted medium counts the
  share of its scene's attributes (kind, colour, size, count, relation, place; times and pitch;
  motion) that the verifier finds in it, and whether the reply's words tell no other scene; 0 if it
  is missing. Media that nobody asked for count as 0. Where words alone are wanted: 100 if no
  medium came.
- **rationality**: all or nothing. 100 if exactly the wanted media came and each shows its scene
  with every attribute right and nothing else in it. Where words alone are wanted: 100 if they are
  the true answer.
- **quality**: how well the media are made, whatever was asked for. 0 where the verifier cannot read
  a medium (nothing in it, or something that is no thing of the world); else its feature distance
  (1 minus cosine, frozen encoder) from a true render of what it was read to show, on a scale where
  two renders of one scene are 100 and renders of two scenes are 0. A wanted medium that is missing
  counts as 0; where words alone are wanted there is none (NaN).

Beside them stands what the words of an answer **told**, as canonical captions, and whether that is
**told right**: exactly the scenes that are wanted, in their order; or, where words alone are
wanted, the true answer.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from random import Random
from typing import Any

import numpy as np

from nextgpt_lite.evaluation.metrics.features import Features
from nextgpt_lite.evaluation.protocols import Answer, Instruction
from nextgpt_lite.world.describe import caption, parse
from nextgpt_lite.world.dialogue.parts import modality_of
from nextgpt_lite.world.hear import Heard
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import (
    MAX_TIMES,
    Clip,
    Group,
    Picture,
    Scene,
    Sound,
    Split,
    sample_scene,
)
from nextgpt_lite.world.see import ClipReading, PictureReading
from nextgpt_lite.world.verify import Verdict, verify

ASPECTS = ("following", "rationality", "quality")
SCALE = 24  # true renders of a modality that set the scale of quality, half of them held out
MOST_THINGS = 9  # that a picture can be rendered with
_LEADS = re.compile(r"^(Here (is|are)|Listen:|Watch:) ")


class Judge:
    """Judges answers by the world's verifiers and one frozen encoder.

    Args:
        features: of the encoder in whose space quality is measured.
        seed: of the renders that set the scale.
    """

    aspects = ASPECTS

    def __init__(self, features: Features, seed: int = 0) -> None:
        self.features, self.seed = features, seed
        self._scales: dict[str, tuple[float, float]] = {}

    def worth(self, instruction: Instruction, answer: Answer) -> dict[str, Any]:
        """What an answer is worth, 0 to 100 in each aspect (NaN where one does not apply), and
        what its words told."""
        return {**self._aspects(instruction, answer), **words_told(instruction, answer.reply.text)}

    def _aspects(self, instruction: Instruction, answer: Answer) -> dict[str, float]:
        given = list(answer.media)
        wanted: list[Scene] = [part["scene"] for part in instruction.wanted]
        if not wanted:
            right = answer.reply.text.strip() == instruction.words.strip()
            return _worth(100.0 * (not given), 100.0 * (right and not given), math.nan)
        told = all(scene in wanted for scene in scenes_told(answer.reply.text))
        shares, exact, made = [], [], []
        for scene in wanted:
            part = next((p for p in given if p["type"] == modality_of(scene)), None)
            if part is None:
                shares.append(0.0)
                made.append(0.0)
                continue
            given.remove(part)
            verdict = verify(scene, part["data"])
            held = [*verdict.attributes.values(), told]
            shares.append(sum(held) / len(held))
            exact.append(verdict.correct)
            made.append(self.quality(part["type"], part["data"], verdict))
        shares += [0.0] * len(given)
        whole = len(exact) == len(wanted) and all(exact) and not given
        return _worth(100 * float(np.mean(shares)), 100.0 * whole, float(np.mean(made)))

    def quality(self, modality: str, medium: Any, verdict: Verdict) -> float:
        """How well a medium is made, 0 to 100."""
        shown = scene_read(verdict.found)
        if shown is None:
            return 0.0
        near, far = self._scale(modality)
        distance = self._distances(modality, [medium], [render(shown, self.seed)])[0]
        return 100 * min(1.0, max(0.0, (far - distance) / (far - near)))

    def _distances(self, modality: str, first: list[Any], second: list[Any]) -> list[float]:
        """1 minus the cosine of each pair, all encoded at once."""
        vectors = self.features.media(modality, [*first, *second])  # (2 N, E)
        return (1 - (vectors[: len(first)] * vectors[len(first) :]).sum(1)).tolist()

    def _scale(self, modality: str) -> tuple[float, float]:
        """Mean distances of two renders of one scene, and of renders of two scenes."""
        if modality not in self._scales:
            rng = Random(f"{self.seed}/{modality}")
            splits: tuple[Split, ...] = ("train", "held_out")
            scenes = [sample_scene(modality, rng, splits[i % 2]) for i in range(SCALE)]
            media = [render(scene, self.seed + 1 + i) for i, scene in enumerate(scenes)]
            read = [scene_read(verify(s, m).found) for s, m in zip(scenes, media, strict=True)]
            again = [render(shown or s, self.seed) for shown, s in zip(read, scenes, strict=True)]
            near = self._distances(modality, media, again)
            far = self._distances(modality, media, [*again[1:], again[0]])
            self._scales[modality] = float(np.mean(near)), float(np.mean(far))
        return self._scales[modality]


def _worth(*values: float) -> dict[str, float]:
    return dict(zip(ASPECTS, values, strict=True))


def words_told(instruction: Instruction, text: str) -> dict[str, Any]:
    """The columns `told` and `told_right` of a reply's words."""
    wanted: list[Scene] = [part["scene"] for part in instruction.wanted]
    if not wanted:
        return {"told": "", "told_right": 100.0 * (text.strip() == instruction.words.strip())}
    told = scenes_told(text)
    return {"told": "; ".join(map(caption, told)), "told_right": 100.0 * (told == wanted)}


def announced(text: str) -> list[str]:
    """What sentences of a reply present: "a large red car" of "Here is a large red car."."""
    sentences = re.split(r"(?<=[.?!])\s+", text)
    return [_LEADS.sub("", words).rstrip(".") for words in sentences if _LEADS.match(words)]


def scenes_told(text: str) -> list[Scene]:
    """The scenes that a reply presents, as far as they are any of the world."""
    return [scene for scene in map(parse, announced(text)) if scene is not None]


def scene_read(found: Any) -> Scene | None:
    """The scene that a medium shows, as far as a reading tells; None if it cannot be rendered."""
    match found:
        case Heard(str(kind), times, str(pitch)) if times <= MAX_TIMES:
            return Sound(kind, times, pitch)
        case ClipReading(str(kind), str(colour), str(size), str(motion), str(place), True):
            return Clip(kind, colour, motion, size, place)
        case PictureReading(str(place), things, True) if 0 < len(things) <= MOST_THINGS:
            counted = Counter((thing.kind, thing.colour, thing.size) for thing in things)
            return Picture(
                tuple(Group(*look, count) for look, count in counted.items()), None, place
            )
    return None
