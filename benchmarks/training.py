"""How fast training is, beside a plain loop that does what the authors' code does.

    python -m benchmarks.training            everything, into benchmarks/training.{json,png}
    python -m benchmarks.training --quick    fewer repetitions, to see whether it runs

Both loops have the same sizes and number format, read the same conversations, and take turns in one
process of one thread; a number is the median over the turns, with the quartiles. Seconds are those
of the CPU that the process got, which other work on the machine hardly changes. Memory is the peak
of a process of its own that runs one loop only, above what it held before the loop was built.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.flops import matmul_speed, step_flops
from benchmarks.plain_loop import PlainLoop
from benchmarks.setting import Conversations, Sizes, captions, causal_lm, model, opened
from nextgpt_lite.training.features import Features
from nextgpt_lite.training.loop import Schedule, Trainer
from nextgpt_lite.training.report import peak_memory
from nextgpt_lite.training.stages import STAGES

HERE = Path(__file__).parent
BARS = {1: 4.0, 2: 2.0, 3: 2.0}  # times the plain loop's speed
FORMATS = {"float32": "no", "bfloat16": "bf16"}  # as the training command calls them
TURNS, STEPS = 5, 3  # of each loop; steps in a turn


class Ours:
    """The loop of the package on some conversations; its first round fills the feature cache."""

    def __init__(self, stage: int, sizes: Sizes, folder: Path, form: str = "bfloat16") -> None:
        made = model(sizes)
        self.records = Conversations(stage, sizes, made.conversation)
        schedule = Schedule(
            steps=10**6, batch_size=sizes.batch, learning_rate=1e-4, mixed_precision=FORMATS[form]
        )
        output = folder / f"{stage}-{sizes.width}-{sizes.batch}-{sizes.sequence}-{form}"
        self.trainer = Trainer(
            made, STAGES[stage], self.records, output, schedule, cache=folder / "cache"
        )
        for index in range(-(-sizes.records // sizes.batch)):
            self.trainer.batch(index)
        self.trainer.features.flush()
        self.trainer.wrapped.train()

    def step(self) -> None:
        self.trainer.take_step()


class Plain:
    """The plain loop on the same conversations."""

    def __init__(self, stage: int, sizes: Sizes, folder: Path, form: str = "bfloat16") -> None:
        made = model(sizes)
        lm = causal_lm(replace(sizes, vocabulary=made.llm.vocabulary))
        self.sizes, self.index = sizes, 0
        self.records = Conversations(stage, sizes, made.conversation)
        features = Features(made)
        self.conversation = made.conversation
        self.loop = PlainLoop(
            stage, lm, made.conversation, made.encoder, made.input_projection,
            made.output_projections, opened(features, self.records.records),
            {(m, c): features.conditions(m, [c])[0] for m, c in captions(self.records.records)},
            sizes.rank, form == "bfloat16",
        )  # fmt: skip

    def step(self) -> None:
        chosen = [self.records(self.index + i) for i in range(self.sizes.batch)]
        self.index += self.sizes.batch
        self.loop.step([self.conversation.encode(record.messages) for record in chosen])


LOOPS: dict[str, Callable[..., Any]] = {"ours": Ours, "plain": Plain}


def seconds_of(work: Callable[[], None], times: int = 1) -> float:
    """CPU time of doing it some times."""
    begin = time.process_time()
    for _ in range(times):
        work()
    return time.process_time() - begin


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median and quartiles, with the values."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return {"median": middle, "quartiles": [low, high], "values": list(values)}


def compare(stage: int, sizes: Sizes, form: str, turns: int, folder: Path) -> dict[str, Any]:
    """Samples a CPU second of both loops, which take turns, and how well each uses the machine."""
    loops = {name: make(stage, sizes, folder, form) for name, make in LOOPS.items()}
    for loop in loops.values():  # first steps allocate
        loop.step()
        loop.step()
    taken: dict[str, list[float]] = {name: [] for name in loops}
    encoding, peaks = [], []
    for _ in range(turns):
        before = loops["plain"].loop.encoding
        for name, loop in loops.items():
            taken[name].append(seconds_of(loop.step, STEPS))
        encoding.append(loops["plain"].loop.encoding - before)
        peaks.append(matmul_speed(getattr(torch, form)))
    samples, flops = STEPS * sizes.batch, step_flops(loops["ours"].trainer, sizes)
    speeds = {name: [samples / seconds for seconds in each] for name, each in taken.items()}
    result: dict[str, Any] = {"samples per second": {n: spread(v) for n, v in speeds.items()}}
    pairs = [*zip(*taken.values(), encoding, strict=True)]
    result["times as fast"] = spread([plain / ours for ours, plain, _ in pairs])
    result["times as fast, without the encoder"] = spread(
        [(plain - encoder) / ours for ours, plain, encoder in pairs]
    )
    result["matrix product, FLOP/s"] = spread(peaks)
    result["model FLOPs a step"] = flops
    for name, values in speeds.items():
        uses = [value / sizes.batch * flops / np.median(peaks) for value in values]
        result[f"utilisation, {name}"] = spread(uses)
    result["bar"] = BARS[stage]
    result["reached"] = bool(result["times as fast"]["median"] >= BARS[stage])
    result["peak memory"] = {n: memory(stage, n, form, sizes.vocabulary) for n in LOOPS}
    return result


def memory(stage: int, name: str, form: str, vocabulary: int) -> int:
    """Bytes that a process of its own needs for one loop."""
    command = [
        sys.executable, "-m", "benchmarks.training",
        "--memory", str(stage), name, form, "--vocabulary", str(vocabulary),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE.parent)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return int(done.stdout.split()[-1])


def memory_of_this_process(stage: int, name: str, form: str, sizes: Sizes) -> None:
    """Prints by how much one loop raises the peak."""
    before = peak_memory(torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        loop = LOOPS[name](stage, sizes, Path(folder), form)
        for _ in range(6):
            loop.step()
    print(peak_memory(torch.device("cpu")) - before)


def growth(sizes: Sizes, folder: Path, turns: int) -> dict[str, Any]:
    """CPU seconds of a step of stage 3 as one size grows, and a least-squares fit."""
    even = replace(sizes, spread=0.0)
    grown = {
        "batch": [replace(even, batch=n) for n in (1, 2, 4, 8, 16)],
        "tokens": [replace(even, sequence=n) for n in (64, 128, 256, 512)],
        "width": [replace(even, width=n) for n in (128, 256, 384, 512)],
    }
    result: dict[str, Any] = {}
    for name, variants in grown.items():
        xs, ys = [], []
        for variant in variants:
            loop = Ours(3, variant, folder)
            loop.step()
            field = {"batch": variant.batch, "width": variant.width}
            tokens = int(loop.trainer.batch(0)[0].attention_mask.sum())
            xs.append(field.get(name, tokens))
            ys.append(float(np.median([seconds_of(loop.step) for _ in range(turns)])))
        power = 2 if name == "width" else 1
        result[name] = {"x": xs, "seconds": ys, "fit": fit(xs, ys, power)}
    loop = Ours(3, sizes, folder)
    loop.step()
    xs = [sizes.batch * n for n in range(1, 13)]
    ys = np.cumsum([seconds_of(loop.step) for _ in xs]).tolist()
    result["records"] = {"x": xs, "seconds": ys, "fit": fit(xs, ys, 1)}
    return result


def fit(xs: Sequence[float], ys: Sequence[float], power: int) -> dict[str, Any]:
    """seconds = a + b * x ** power, by least squares."""
    grown = np.asarray(xs, float) ** power
    b, a = np.polyfit(grown, ys, 1)
    rest = np.asarray(ys) - (a + b * grown)
    return {"power": power, "a": a, "b": b, "r2": 1 - rest.var() / np.var(ys)}


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    listed = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", listed.read_text()) if listed.is_file() else []
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load before": os.getloadavg()[0],
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="three turns, no growth")
    parser.add_argument("--vocabulary", type=int, default=Sizes().vocabulary, metavar="N")
    parser.add_argument("--output", type=Path, default=HERE, metavar="DIR")
    parser.add_argument(
        "--memory", nargs=3, metavar=("STAGE", "LOOP", "FORM"), help=argparse.SUPPRESS
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sizes = replace(Sizes(), vocabulary=arguments.vocabulary)
    if arguments.memory:
        stage, *loop = arguments.memory
        memory_of_this_process(int(stage), *loop, sizes)
        return
    turns = 3 if arguments.quick else TURNS
    begin = time.perf_counter()
    result: dict[str, Any] = {"machine": machine(), "sizes": asdict(sizes), "stages": {}}
    with tempfile.TemporaryDirectory() as folder:
        for stage in STAGES:
            result["stages"][str(stage)] = {}
            for form in FORMATS:
                found = compare(stage, sizes, form, turns, Path(folder))
                result["stages"][str(stage)][form] = found
                print(line(stage, form, found), flush=True)
        if not arguments.quick:
            result["growth"] = growth(sizes, Path(folder), 3)
    result["GPU"] = "not measured: see benchmarks/gpu.py"
    result["minutes"] = (time.perf_counter() - begin) / 60
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "training.json").write_text(json.dumps(rounded(result), indent=1) + "\n")
    if not arguments.quick:
        from benchmarks.figure import draw

        draw(arguments.output / "training.json", arguments.output / "training.png")
    print(f"{result['minutes']:.1f} minutes; {arguments.output / 'training.json'}")


def line(stage: int, form: str, found: dict[str, Any]) -> str:
    """One stage for the terminal."""
    speeds = ", ".join(
        f"{name} {_with_spread(value)}" for name, value in found["samples per second"].items()
    )
    memories = ", ".join(f"{n} {v / 1e9:.2f}" for n, v in found["peak memory"].items())
    uses = ", ".join(f"{n} {found[f'utilisation, {n}']['median']:.0%}" for n in LOOPS)
    return (
        f"stage {stage}, {form}: samples a CPU second {speeds}: "
        f"{_with_spread(found['times as fast'])} times, without the encoder's share "
        f"{_with_spread(found['times as fast, without the encoder'])}, bar {found['bar']:g}; "
        f"GB {memories}; utilisation {uses}"
    )


def _with_spread(found: dict[str, Any]) -> str:
    return "{median:.2f} ({quartiles[0]:.2f}-{quartiles[1]:.2f})".format(**found)


def rounded(value: Any) -> Any:
    """The same with four significant digits."""
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [rounded(each) for each in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


if __name__ == "__main__":
    main()
