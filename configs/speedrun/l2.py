"""The paper's own way: signal tokens learn to become what the text encoder makes of the caption."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from nextgpt_lite import NextGPT
from nextgpt_lite.training import STAGES
from nextgpt_lite.training.refine import fitting, gather
from nextgpt_lite.world import WorldMixture


def train(model: NextGPT, left: Callable[[], float]) -> None:
    """States of signal tokens are computed once; then the projection learns from them."""
    stage = replace(STAGES[3], mixture={"t2m": 1.0}, modalities=("image",))
    states = gather(model, WorldMixture(stage, seed=1), 768)["image"]
    with TemporaryDirectory() as folder:
        fitting(model, "image", states, Path(folder), steps=300).run()
    print(f"{left():.0f} seconds are left")
