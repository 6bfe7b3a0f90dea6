"""Every kind of work, killed at random moments and begun again: it leaves what it would have left.

    python -m tests.kills --count 60 [--only suite,compare] [--seed 0] [--folder out/kills]

Each piece of work is a fork of this process, as in `tests.training.trainings`, where stages are
killed more often, on two processes too, and at each touch of a file.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tests.training.trainings import fork, killed, wait  # first: it sets the threads

# isort: split
from nextgpt_lite.chat import NextGPT
from nextgpt_lite.evaluation.ablation.runner import ablate
from nextgpt_lite.evaluation.comparison.run import compare_models
from nextgpt_lite.training.refine import refine
from nextgpt_lite.world.pretraining import text
from nextgpt_lite.world.pretraining.parts import How
from nextgpt_lite.world.suite.run import run_suite
from tests.evaluation.ablation.grids import GRID, from_config, grid_file
from tests.training import trainings


def _tiny(work: Callable[[Path], object], output: Path) -> None:
    """With tiny models, in this fork alone."""
    NextGPT.from_config = staticmethod(from_config)
    NextGPT.from_pretrained = staticmethod(lambda *_, **__: trainings.model())
    work(output)


WORK: dict[str, Callable[[Path], object]] = {
    "train": partial(trainings.train, 3),
    "pretrain": lambda output: text.train(output, How(resume=True), steps=6, batch_size=4),
    "refine": partial(
        _tiny, lambda output: refine("lite", output, records=8, steps=6, resume=True)
    ),
    "suite": lambda output: run_suite("lite", output, 2, 1, ("size", "text encoders")),
    "compare": partial(
        _tiny,
        lambda output: compare_models(
            ["lite"], [], output, prompts=4, groups=["image"], num_inference_steps=1,
            systems=["ground truth"],
        ),
    ),
    "ablate": partial(_tiny, lambda output: ablate(grid_file(output.parent, GRID), output)),
}  # fmt: skip
CLOCKS = ("seconds", "processor_seconds", "seconds_left", "data_share", "peak_memory")
MOMENTS = ("started", "ended", "commit")
KEPT = (".safetensors", ".csv", ".json", ".jsonl", ".md")


def left(output: Path) -> dict[str, Any]:
    """What a piece of work leaves, bit for bit, but for clocks, and what only saves time."""
    paths = (p for p in output.rglob("*") if p.suffix in KEPT and "cache" not in p.parts)
    return {p.relative_to(output).as_posix(): _content(p) for p in paths if p.name[0] != "."}


def _content(path: Path) -> Any:
    if path.suffix == ".json":
        return _timeless(json.loads(path.read_text()))
    if path.suffix == ".jsonl":
        return [_timeless(json.loads(line)) for line in path.open()]
    return path.read_bytes()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            k: _timeless(v)
            for k, v in value.items()
            if k not in CLOCKS + MOMENTS and not k.endswith("_per_second")
        }
    return [_timeless(each) for each in value] if isinstance(value, list) else value


def kill(name: str, folder: Path, count: int, seed: int) -> int:
    """Begins one kind of work again and again until it was killed so often; how often it was.

    Raises:
        RuntimeError: what came through in the end is not what undisturbed work leaves.
    """
    work, random, log = WORK[name], Random(f"{name}/{seed}"), folder / "log.txt"
    (folder / "whole").mkdir(parents=True)
    started = time.monotonic()
    whole = fork(partial(work, folder / "whole" / "out"), log=log)
    try:
        wait(whole)
    except RuntimeError as error:
        raise RuntimeError(f"{name}, undisturbed: {log.read_text()}") from error
    seconds, expected = time.monotonic() - started, left(folder / "whole" / "out")
    done = runs = 0
    while done < count:
        output, runs = folder / f"killed-{runs}" / "out", runs + 1
        output.parent.mkdir()
        while killed(fork(partial(work, output), log=log), random.uniform(0, seconds)):
            done += 1
            if done >= count:
                wait(fork(partial(work, output), log=log))
                break
        found = left(output)
        if wrong := [n for n in found.keys() | expected if found.get(n) != expected.get(n)]:
            raise RuntimeError(f"{output}: {', '.join(sorted(wrong))} differ from the whole run's")
    return done


def main() -> None:
    """Prints how often each was killed, as JSON."""
    parser = argparse.ArgumentParser(description="Kills work and begins it again.")
    parser.add_argument("--count", type=int, default=6, help="kills over all kinds of work")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default=",".join(WORK), help="kinds, separated by commas")
    parser.add_argument("--folder", type=Path, help="new, and stays; default: none that stays")
    asked = parser.parse_args()
    names = asked.only.split(",")
    trainings.model()  # before the forks
    with tempfile.TemporaryDirectory() as root:
        folder, count = asked.folder or Path(root), -(-asked.count // len(names))
        print(json.dumps({n: kill(n, folder / n, count, asked.seed) for n in names}))


if __name__ == "__main__":
    main()
