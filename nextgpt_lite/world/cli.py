"""The commands that know the lite world: training its frozen parts, writing its data set."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

from typer import Argument, Option

from nextgpt_lite.errors import ConfigError
from nextgpt_lite.writing import usable

MaybeCount = Annotated[int | None, Option(min=1)]
Seed = Annotated[int, Option(min=0)]


def pretrain(
    *,
    part: Literal["encoder", "llm", "image", "audio", "video"],
    output: Path,
    steps: MaybeCount = None,
    seed: Seed = 0,
    resume: bool = False,
    anyway: bool = False,
    device: str = "auto",
    start: str | None = None,
    typed: Annotated[float, Option(min=0, max=1)] = 0.0,
) -> None:
    """Train one of the frozen lite parts.

    Example: nextgpt-lite pretrain --part image --output runs/image

    Args:
        part: what to train.
        steps: default: the part's own.
        anyway: --resume, even where packages have changed since: not bit for bit.
        start: folder of weights to start from instead of random ones; 'shipped' takes the
            package's own.
        typed: of the llm: share of conversations whose user types as people do.
    """
    from nextgpt_lite.model.config import WEIGHTS
    from nextgpt_lite.model.device import pick_device
    from nextgpt_lite.world.pretraining.parts import How

    options: dict[str, Any] = {} if steps is None else {"steps": steps}
    if typed:
        if part != "llm":
            raise ConfigError(
                "--typed is of --part llm alone: the other parts read no conversations."
            )
        options["typed"] = typed
    if start is not None:
        options["start"] = WEIGHTS / "lite" / part if start == "shipped" else Path(start)
        if not options["start"].is_dir():
            raise ConfigError(
                f"{options['start']} is no folder: give 'shipped' or what a run has exported."
            )
    usable(output)  # before data are made
    module = import_module(f"nextgpt_lite.world.pretraining.{part}")
    how = How(seed, str(pick_device(device)), "anyway" if anyway else resume)
    exported = module.train(output, how, **options)
    print(f"{exported}: copy it to nextgpt_lite/weights/lite/{part} to ship it")


def samples(*, output: Path, seed: Seed = 0, size: MaybeCount = None) -> None:
    """Write the small shipped data set anew.

    Example: nextgpt-lite data samples --output data_samples

    Args:
        size: how many pictures; default: 24.
    """
    from nextgpt_lite.world.samples import PICTURES, write_samples

    written = write_samples(output, seed, size or PICTURES)
    print(f"{len(written)} files written to {output}")


def regimes(
    *,
    output: Path,
    device: str = "auto",
    precision: Literal["auto", "float32", "bfloat16", "float16"] | None = None,
) -> None:
    """Measure when signal tokens beat captions: where no caption names what is wanted.

    Goes on where it was broken off. Half an hour of a core; its answers ship in results.

    Example: nextgpt-lite regimes --output out/regimes
    """
    from nextgpt_lite.evaluation.ablation.figures import summary
    from nextgpt_lite.world.regimes import figure, run_regimes

    table = run_regimes(output, device=device, dtype=precision)
    print(summary(table))
    figure(table).savefig(output / "figure.svg")


def speedrun(
    entry: Annotated[Path, Argument(exists=True, dir_okay=False)],
    *,
    output: Path,
    minutes: Annotated[float, Option(min=0.1)] = 2.0,
) -> None:
    """Let an entry teach the model to show images in two core-minutes, and verify what it shows.

    Prints a line for results/speedrun.md. The entry is code, and it is run.

    Example: nextgpt-lite speedrun configs/speedrun/l2.py --output out/speedrun

    Args:
        entry: a Python file with a function train(model, left).
        minutes: of processors, on all threads and processes together.
    """
    from nextgpt_lite.world.speedrun import speedrun

    print(speedrun(entry, output, minutes))
