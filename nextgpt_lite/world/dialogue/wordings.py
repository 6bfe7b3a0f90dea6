"""What people say to the model: sentence frames by subject, from `wordings.yaml`.

Knows: the frames of "train" and of "held_out" apart; a held-out frame is never used in training.
Leaves to others: what fills their slots, scenes, truth and order of turns.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any, Final

from nextgpt_lite.reading import read_yaml
from nextgpt_lite.world.scene import Split, wordings_of

FRAMES: Final[dict[str, dict[str, list[str]]]] = read_yaml(Path(__file__).with_suffix(".yaml"), Any)


def say(key: str, split: Split, rng: Random, **slots: object) -> str:
    """One frame of the split, its slots filled."""
    return rng.choice(FRAMES[key][wordings_of(split)]).format(**slots)
