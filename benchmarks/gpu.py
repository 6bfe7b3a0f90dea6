"""Everything there is to see on one card, in at most eight minutes. Run where there is one:

    make gpu                                    or: python -m benchmarks.gpu --output results/gpu
    python -m benchmarks.gpu --dry-run --output out/gpu      on any machine, at the smallest sizes

Writes a JSON file after every section, so that a run that is cut off still tells: 16 directions of
the shipped model in bfloat16 and float16; seconds of a reply and images a second; stages 1 to 3,
each killed and resumed and compared bit for bit; torch.compile, whose gradients are compared module
by module; LoRA on 7B and stage 2 at the paper's sizes (`paper_sizes`); the lite suite with few
prompts. A section that no time is left for is named as skipped, and one that fails says why.

Needed are torch, transformers, diffusers, peft, accelerate, scipy, soundfile, pydantic, filetype
and lazy-loader, no network, and of this package a copy of the tree; it need not be installed. A
dry run shows that the sections run; its numbers say nothing about a card.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks import paper_sizes
from nextgpt_lite import __version__
from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.opening import open_source
from nextgpt_lite.plugins import plugins
from nextgpt_lite.training.checkpoint import RUN_FILE, Checkpoints
from nextgpt_lite.training.engine import CHECKPOINTS
from nextgpt_lite.training.loop import Trainer
from nextgpt_lite.training.precision import compile_checked
from nextgpt_lite.training.run import train
from nextgpt_lite.training.schedule import Schedule
from nextgpt_lite.training.stages import STAGES
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import Clip, Group, Picture, Sound
from nextgpt_lite.world.suite import run as suite

MINUTES = 8.0
BARS = {"LoRA on 7B, utilisation": 0.45, "stage 2, samples per second": 5000.0}
KINDS = ("text", "image", "audio", "video")
SHOWN = {
    "image": Picture((Group("car", "red"),)),
    "audio": Sound("dog", 2, "high"),
    "video": Clip("bird", "blue", "up", "large", "garden"),
}
WANTED = {
    "text": "Describe {}.",
    "image": "Show me a picture of {}.",
    "audio": "Let me hear the sound of {}.",
    "video": "Show me a video of {}.",
}


@dataclass(frozen=True)
class Size:
    """Of one run of everything.

    Attributes:
        steps: of diffusion; None takes each decoder's own.
        training: steps of each stage.
        names: examinations of the suite.
    """

    device: str = "cuda"
    steps: int | None = None
    repeats: int = 5
    batches: tuple[int, ...] = (1, 16, 64, 256)
    stages: tuple[int, ...] = tuple(STAGES)
    training: int = 60
    formats: tuple[str, ...] = ("bfloat16", "float16")
    full: paper_sizes.Full = field(default_factory=paper_sizes.Full)
    count: int = suite.QUICK
    names: tuple[str, ...] = tuple(suite.EXAMINATIONS)


DRY = Size("cpu", 1, 1, (1, 2), (1,), 4, ("bfloat16",), paper_sizes.TINY, 2, ("retrieval",))


def directions(size: Size, work: Path) -> dict[str, Any]:
    """Each medium to each medium: whether the reply holds what was asked for, by number format."""
    found: dict[str, Any] = {}
    for name in size.formats:
        model = NextGPT.from_pretrained("lite", device=size.device, dtype=name)
        held: dict[str, Any] = {}
        for given, made in product(KINDS, KINDS):
            words = WANTED[made].format("a large red car" if given == "text" else "it")
            if given == made == "text":
                words = "What is 3 plus 4?"  # a thing that is described may be shown as well
            parts: list[Any] = [{"type": "text", "text": words}]
            if given != "text":
                parts.insert(0, {"type": given, "data": render(SHOWN[given], 0)})
            reply = model.chat([{"role": "user", "content": parts}], num_inference_steps=size.steps)
            media = [part["type"] for part in reply.media]
            held[f"{given} to {made}"] = media == ([] if made == "text" else [made])
        parameters = [*model.parameters()]
        found[name] = {
            "as asked": sum(held.values()),
            "not as asked": [each for each, right in held.items() if not right],
            "devices": sorted({str(p.device) for p in parameters}),
            "formats of frozen parts": sorted(
                {str(p.dtype) for p in (*model.encoder.parameters(), *model.decoders.parameters())}
            ),
        }
    return found


def seconds(size: Size, work: Path) -> dict[str, Any]:
    """Seconds of a reply in float32, and images a second by batch."""
    model = NextGPT.from_pretrained("lite", device=size.device)
    found: dict[str, Any] = {}
    for kind in KINDS:
        words, media = WANTED[kind].format("a large red car"), [] if kind == "text" else [kind]
        taken = [
            model.chat(words, output_modalities=media, num_inference_steps=size.steps).seconds
            for _ in range(size.repeats + 1)
        ]
        found[f"{kind}, seconds"] = median(taken[1:])  # the first one loads the decoder
    decoder = model.decoder("image")
    conditions = decoder.encode_text(["a large red car"] * max(size.batches))
    for batch in size.batches:
        begin = 0.0
        for _ in range(2):  # the first one warms up
            begin = time.perf_counter()
            made = [
                *decoder.generate_each(
                    conditions[:batch], range(batch), batch, num_inference_steps=size.steps
                )
            ]
        found[f"images a second, {batch} at once"] = len(made) / (time.perf_counter() - begin)
    return found


def stages(size: Size, work: Path) -> dict[str, Any]:
    """Each stage: its first and last loss, and whether a run that was killed ends as if not."""
    found: dict[str, Any] = {}
    before: str | None = None
    for stage in size.stages:
        whole, killed = work / f"{stage}-whole", work / f"{stage}-killed"
        options: dict[str, Any] = {
            "steps": size.training, "init": before, "device": size.device, "log_every": 1,
            "checkpoint_every": max(1, size.training // 4), "cache": str(work / "cache"),
        }  # fmt: skip
        begin = time.monotonic()
        trainer = train(stage, whole, **options)
        lasted = time.monotonic() - begin
        step = kill_after_a_checkpoint(stage, killed, options)
        train(stage, killed, **options, resume=True)
        lines = [*map(json.loads, (whole / "metrics.jsonl").read_text().splitlines())]
        found[f"stage {stage}"] = {
            "device": str(trainer.model.device),
            "seconds": lasted,
            "first loss": lines[0]["total"],
            "last loss": lines[-1]["total"],
            "samples per second": lines[-1]["samples_per_second"],
            "killed after step": step,
            "resumed bit for bit": digest(whole) == digest(killed),
        }
        before = str(whole)
    return found


def kill_after_a_checkpoint(stage: int, folder: Path, options: dict[str, Any]) -> int:
    """Starts the same run in a process, kills it when it has saved something, and says where."""
    checkpoints = Checkpoints(folder / CHECKPOINTS)
    call = f"train({stage}, {str(folder)!r}, **{options!r})"
    script = f"from nextgpt_lite.training.run import train; {call}"
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None and not any(checkpoints):
            time.sleep(0.05)
    finally:
        process.kill()
        process.wait()
    newest = checkpoints.newest()
    if newest is None:
        raise RuntimeError(f"stage {stage} ended before its first checkpoint: {script}")
    return int(json.loads((newest / RUN_FILE).read_text())["step"])


def digest(folder: Path) -> str:
    """Of all that was trained."""
    files = sorted(folder.glob("*.safetensors"))
    return sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def compiled(size: Size, work: Path) -> dict[str, Any]:
    """Seconds of a step of stage 3 with and without torch.compile, once the gradients agree."""
    found: dict[str, Any] = {}
    for name in ("eager", "compiled"):
        model = NextGPT.from_pretrained("lite", device=size.device)
        schedule = Schedule.of(STAGES[3], steps=10**6, device=size.device, mixed_precision="bf16")
        trainer = Trainer(model, STAGES[3], open_source(None, STAGES[3], 0), work / name, schedule)
        if name == "compiled":
            compile_checked(model, trainer.batch(0)[0], trainer.accelerator.autocast)
            found["gradients compared"] = sum(p.requires_grad for p in model.parameters())
        trainer.wrapped.train()
        found[f"{name}, seconds a step"] = paper_sizes.median_seconds(
            trainer.take_step, size.repeats, size.device
        )
    return found


def seven_billion(size: Size, work: Path) -> dict[str, Any]:
    """LoRA on a 7B LLM: see `paper_sizes.stage_3`."""
    return paper_sizes.stage_3(size.full)


def projections(size: Size, work: Path) -> dict[str, Any]:
    """Stage 2 at the paper's sizes: see `paper_sizes.stage_2`."""
    return paper_sizes.stage_2(size.full)


def quick_suite(size: Size, work: Path) -> dict[str, Any]:
    """Seconds of `evaluate --suite lite --quick`, and the rows below their bars."""
    workers = suite.default_workers(size.device)
    begin = time.monotonic()
    rows = suite.run_suite(
        "lite", work / "suite", size.count, size.steps or 20, size.names, workers, size.device
    )
    lasted = time.monotonic() - begin
    below = [f"{row.part}: {row.measure}" for row in rows if row.met is False]
    return {"seconds": lasted, "processes": workers, "rows": len(rows), "below their bar": below}


# In the order of what is told first; with the seconds that each is expected to need on an H100.
SECTIONS: dict[Callable[[Size, Path], dict[str, Any]], float] = {
    directions: 40, stages: 120, seven_billion: 60, projections: 15, seconds: 30, compiled: 60,
    quick_suite: 90,
}  # fmt: skip


def run(size: Size, file: Path, minutes: float) -> dict[str, Any]:
    """Runs all sections, as far as the time reaches, and writes what each has found at once."""
    ends = time.monotonic() + 60 * minutes
    on_card = size.device.startswith("cuda")
    result: dict[str, Any] = {
        "device": torch.cuda.get_device_name()
        if on_card
        else "cpu: a dry run, no figure of a card",
        "torch": torch.__version__,
        "bars": BARS,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        announce(Path(work))
        for section, needed in SECTIONS.items():
            begin = time.monotonic()
            if on_card:
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            found: dict[str, Any]
            try:
                with no_longer_than(ends - begin, needed if on_card else 0):
                    found = section(size, Path(work))
            except Exception as error:  # the next section may well run
                found = {"failed": repr(error)[:500], "where": traceback.format_exc()[-1500:]}
            found["seconds of the section"] = time.monotonic() - begin
            if on_card:
                found["peak memory, GB"] = torch.cuda.max_memory_allocated() / 1e9
            result[section.__name__] = found
            file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            print(section.__name__, json.dumps(found), flush=True)
    return result


@contextmanager
def no_longer_than(left: float, needed: float) -> Iterator[None]:
    """Raises TimeoutError when the time is over, at once if less is left than is needed."""
    if left < needed:
        raise TimeoutError(f"skipped: {left:.0f} s are left, about {needed:.0f} are needed")

    def stop(*_: Any) -> None:
        raise TimeoutError("the time of the whole run was over")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(max(1, int(left)))
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def announce(folder: Path) -> None:
    """What pip would have: the plugins of a package that is only copied to this machine."""
    root = Path(__file__).parents[1]
    if plugins():
        return
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines: list[str] = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {module}" for name, module in points.items())]
    info = folder / f"nextgpt_lite-{__version__}.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    sys.path.append(str(folder))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (before, str(root), str(folder))))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--dry-run", action="store_true", help="smallest sizes, on the CPU")
    parser.add_argument("--minutes", type=float, default=MINUTES)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR")
    arguments = parser.parse_args()
    if arguments.dry_run:
        torch._dynamo.config.disable = True  # a compiler takes minutes on a CPU
        result = run(DRY, arguments.output / "dry-run.json", arguments.minutes)
    elif not torch.cuda.is_available():
        parser.error("there is no GPU here, so nothing is measured: --dry-run shows that it runs")
    else:
        name = torch.cuda.get_device_name().replace(" ", "-").lower()
        result = run(Size(), arguments.output / f"{name}.json", arguments.minutes)
    return int(any("failed" in found for found in result.values() if isinstance(found, dict)))


if __name__ == "__main__":
    sys.exit(main())
