"""What editing is measured on: a medium, a wish, and what should come of it.

Knows: the lite world's own edits with their truth and their masks. Leaves to others: the editing
itself (`decoders.editing`), what is measured (`evaluation.tables.editing`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import numpy as np
from scipy.ndimage import binary_dilation, binary_erosion

from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.dialogue.looks import PLACE_ANSWERS
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import (
    COLOURS,
    HELD_OUT_COLOURS,
    PLACES,
    Clip,
    Scene,
    Sound,
    sample_clip,
    sample_picture,
    sample_sound,
)
from nextgpt_lite.world.sprites import background
from nextgpt_lite.world.verify import verify

MARGIN = 2  # pixels around a thing that belong to it: its blur


@dataclass(frozen=True)
class Edit:
    """A wish of the lite world: a scene rendered, what to say, the scene that should come of it."""

    given: Scene
    wanted: Scene
    words: str
    seed: int

    @property
    def caption(self) -> str:
        """Of the result."""
        return caption(self.wanted)

    @property
    def medium(self) -> Any:
        """The scene as it is."""
        return render(self.given, self.seed)

    @property
    def truth(self) -> Any:
        """The scene as it should be."""
        return render(self.wanted, self.seed)

    @property
    def mask(self) -> np.ndarray | None:
        """Where the medium may change: the thing, or all but the thing; None of a sound.

        (H, W) of a picture, (T, H, W) of a clip; read off the render, which differs from the bare
        place only where a thing is.
        """
        given: Any = self.given
        if isinstance(given, Sound):
            return None
        medium = self.medium
        pixels = medium.frames if isinstance(given, Clip) else np.asarray(medium)[None]
        things = (pixels != background(given.place)).any(-1)  # (T, H, W)
        if given.place != self.wanted.place:  # type: ignore[union-attr]
            return ~binary_erosion(things[0])  # a thing's rim has something of the place behind it
        grown = np.stack([binary_dilation(each, iterations=MARGIN) for each in things])
        return grown if isinstance(given, Clip) else grown[0]

    def granted(self, medium: Any) -> bool:
        """Whether every attribute is as wished, by the verifier."""
        return verify(self.wanted, medium).correct


def edits(modality: str, count: int, what: str = "object", seed: int = 3_000_000) -> list[Edit]:
    """Wishes of the lite world, no held-out pair among them.

    Args:
        what: "object" gives a thing another colour, a sound the other pitch; "background" puts the
            things of a picture in another place.
    """
    rng = Random(f"{seed}/{modality}/{what}")
    makers: dict[str, Callable[[Random], tuple[Scene, Scene, str]]] = {
        "image": _recoloured_picture if what == "object" else _moved_picture,
        "video": _recoloured_clip,
        "audio": _repitched,
    }
    return [Edit(*makers[modality](rng), seed=seed + index) for index in range(count)]


def _recoloured_picture(rng: Random) -> tuple[Scene, Scene, str]:
    scene = sample_picture(rng, groups=1)
    group = scene.groups[0]
    colour = _other_colour(group.kind, group.colour, rng)
    it = "it" if group.count == 1 else "them"
    wanted = replace(scene, groups=(replace(group, colour=colour),))
    return scene, wanted, f"Make {it} {colour}."


def _moved_picture(rng: Random) -> tuple[Scene, Scene, str]:
    scene = sample_picture(rng, groups=1)
    place = rng.choice([p for p in PLACES if p not in ("plain", scene.place)])
    it = "it" if scene.groups[0].count == 1 else "them"
    return scene, replace(scene, place=place), f"Put {it} {PLACE_ANSWERS[place]}."


def _recoloured_clip(rng: Random) -> tuple[Scene, Scene, str]:
    clip = sample_clip(rng)
    colour = _other_colour(clip.kind, clip.colour, rng)
    return clip, replace(clip, colour=colour), f"Make it {colour}."


def _repitched(rng: Random) -> tuple[Scene, Scene, str]:
    sound: Sound = sample_sound(rng)
    pitch, word = ("high", "higher") if sound.pitch == "low" else ("low", "lower")
    return sound, replace(sound, pitch=pitch), f"Make it {word}."


def _other_colour(kind: str, colour: str, rng: Random) -> str:
    return rng.choice([c for c in COLOURS if c != colour and (kind, c) not in HELD_OUT_COLOURS])
