"""The lite world as a plugin: what the package may ask of it, each thing loaded at first use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nextgpt_lite.data.sources import Source, Wanted

if TYPE_CHECKING:
    from nextgpt_lite.chat import NextGPT
    from nextgpt_lite.evaluation.baselines.pipeline import Planner
    from nextgpt_lite.evaluation.protocols import Instruction, Item, Judge, Wish


def source(stage: Wanted, seed: int = 0) -> Source:
    """Conversations for a stage of training, without end."""
    from nextgpt_lite.world.mixture import WorldMixture

    return WorldMixture(stage, seed)


def commands() -> dict[str, Callable[..., None]]:
    """The commands that it adds to the command line."""
    from nextgpt_lite.world import cli

    return {
        "pretrain": cli.pretrain, "data samples": cli.samples, "regimes": cli.regimes,
        "speedrun": cli.speedrun,
    }  # fmt: skip


def run_suite(
    model: str,
    output: Path,
    *,
    count: int | None = None,
    steps: int | None = None,
    quick: bool = False,
    workers: int | None = None,
    device: str = "auto",
    dtype: str | None = None,
) -> str:
    """Holds the lite suite and returns its table; None takes the suite's own numbers."""
    from nextgpt_lite.world.suite import run
    from nextgpt_lite.world.suite.rows import markdown

    count = count or (run.QUICK if quick else run.COUNT)
    workers = workers or run.default_workers(device)
    rows = run.run_suite(
        model, output, count, steps or 20, workers=workers, device=device, dtype=dtype
    )
    return markdown(rows)


# ---- what evaluations ask for (`evaluation.registry`)

title = "the lite world"


def instructions(
    count: int, *, seed: int | None = None, groups: Sequence[str] | None = None
) -> list[Instruction]:
    """`count` simple and `count` complex instructions of each group, with their truth."""
    from nextgpt_lite.world.comparison import instructions

    return instructions.instructions(count, seed, groups)


def write_instructions(path: Path, asked: Sequence[Instruction]) -> None:
    """Keeps them in GenEval's schema."""
    from nextgpt_lite.world.comparison.instruction_files import write_instructions

    write_instructions(path, asked)


def judge(model: NextGPT) -> Judge:
    """Judges answers by verifiers and the model's encoder."""
    from nextgpt_lite.evaluation.metrics.features import Features
    from nextgpt_lite.world.comparison.aspects import Judge

    return Judge(Features(model.encoder, model.config.encoder))


def captions(text: str) -> list[str]:
    """The captions that the words of a reply hold, as the lite text encoders know them best."""
    from nextgpt_lite.world.comparison.aspects import announced
    from nextgpt_lite.world.describe import caption, parse

    scenes = ((words, parse(words)) for words in announced(text))
    return [words if scene is None else caption(scene) for words, scene in scenes]


def planner(model: NextGPT) -> Planner:
    """How the lite LLM is asked what to make."""
    from nextgpt_lite.world.comparison.planner import WorldPlanner

    return WorldPlanner(model)


def items(modality: str, count: int, *, seed: int = 0) -> list[Item]:
    """Media with their captions, for Tables 2 to 7."""
    from nextgpt_lite.world.benchmarks.items import lite_items

    return lite_items(modality, count, seed=2_000_000 + seed)


def unseen(count: int) -> dict[str, list[Item]]:
    """Sets of such media by name, for Table 11; the first is made again from its captions."""
    from nextgpt_lite.world.benchmarks.items import unseen_items

    return unseen_items(count)


def wishes(modality: str, count: int, what: str, *, seed: int = 0) -> Sequence[Wish]:
    """Wishes to change an "object" or the "background", for Tables 8 to 10."""
    from nextgpt_lite.world.benchmarks.edits import edits

    return edits(modality, count, what, 3_000_000 + seed)


def questions(benchmark: str, folder: Path, count: int, *, seed: int = 0) -> Path:
    """Questions in the files of "mme", "mmbench" or "seed_bench", for Tables 12 and 13."""
    from nextgpt_lite.world.benchmarks.choices import write_questions

    return write_questions(benchmark, folder, count, seed)


def sound_classes() -> list[list[str]]:
    """Classes of sound by their captions, for the Inception Score of Table 4."""
    from nextgpt_lite.world.benchmarks.items import sound_classes

    return sound_classes()


def facts(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """What takes the place of SPICE in Table 5: 0 to 1 for each candidate."""
    from nextgpt_lite.world.benchmarks.items import lite_spice

    return lite_spice(candidates, references)
