"""The lite world as a plugin: what the package may ask of it, each thing loaded at first use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nextgpt_lite.data.sources import Source, Wanted


def source(stage: Wanted, seed: int = 0) -> Source:
    """Conversations for a stage of training, without end."""
    from nextgpt_lite.world.mixture import WorldMixture

    return WorldMixture(stage, seed)


def commands() -> dict[str, Callable[..., None]]:
    """The commands that it adds to the command line."""
    from nextgpt_lite.world import cli

    return {"pretrain": cli.pretrain, "data samples": cli.samples}


def run_suite(
    model: str,
    output: Path,
    *,
    count: int | None = None,
    steps: int | None = None,
    quick: bool = False,
    workers: int | None = None,
) -> str:
    """Holds the lite suite and returns its table; None takes the suite's own numbers."""
    from nextgpt_lite.world.suite import run
    from nextgpt_lite.world.suite.rows import markdown

    count = count or (run.QUICK if quick else run.COUNT)
    workers = workers or run.default_workers()
    return markdown(run.run_suite(model, output, count, steps or 20, workers=workers))
