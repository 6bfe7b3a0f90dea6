"""Runs of the training loop in forked processes: killed at random, side by side, cut in two.

A test process that has computed with threads must not fork, so the tests start this one; it loads
torch once, and each training is a fork that begins in milliseconds. By hand, with more kills:

    python -m tests.training.trainings FOLDER --kills 300 --pair-kills 60
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.records import Record
from nextgpt_lite.training.checkpoint import OPTIMIZER_FILE, RUN_FILE
from nextgpt_lite.training.engine import CHECKPOINTS
from nextgpt_lite.training.loop import Schedule, Trainer
from nextgpt_lite.training.report import METRICS
from nextgpt_lite.training.stages import STAGES
from tests.tiny import Made, tiny_model
from tests.training import runs as short

STEPS = 8
BATCH = 4  # of all processes together
EXACT = ("step", "total", "text", "signal", "condition", "gradient", "rate", "tokens")
torch.set_num_threads(1)


def record(index: int) -> Record:
    """Media in and out; in every second step, the second process gets words only."""
    if index % 8 not in (2, 3):
        return short.record(index)
    words = ("How many are left?", "Six apples are left.")
    turns = zip(("user", "assistant"), words, strict=True)
    return Record(str(index), [{"role": role, "content": text} for role, text in turns], "text")


@cache
def model() -> NextGPT:
    """Built once, before the forks; none of them ever sees what another one learned."""
    return tiny_model()


def train(stage: int, output: Path, processes: int = 1, **changes: Any) -> None:
    """Trains a tiny model of stage `stage`, from the newest checkpoint if there is one."""
    schedule = {"steps": STEPS, "learning_rate": 1e-2, "warmup": 2, "log_every": 1,
                "checkpoint_every": 1, "batch_size": BATCH // processes,
                "workers": processes - 1, **changes}  # fmt: skip
    numbers = Schedule.of(STAGES[stage], **schedule)
    trainer = Trainer(model(), STAGES[stage], Made(record), output, numbers)
    if processes > 1 and os.environ["RANK"] == "1":
        # A decoder is loaded by the process that first meets its modality, with its buffers.
        trainer.model.register_buffer("of a decoder", torch.zeros(48), persistent=False)
    trainer.run(resume=True)


def by_accelerate(stage: int, output: Path) -> None:
    """As under `configs/accelerate/fsdp2.yaml`, which accelerate itself heeds on GPUs only."""
    plain = Accelerator.__init__

    def told_of_fsdp(self: Accelerator, **options: Any) -> None:
        plain(self, **options)
        plugin = FullyShardedDataParallelPlugin(
            fsdp_version=2, auto_wrap_policy="NO_WRAP", cpu_ram_efficient_loading=False
        )
        told = {"fsdp_plugin": plugin, "distributed_type": DistributedType.FSDP}
        AcceleratorState._shared_state.update(told)

    Accelerator.__init__ = told_of_fsdp  # in this fork alone
    train(stage, output, 2)


def fork(work: Callable[[], None], processes: int = 1, log: Path | None = None) -> list[int]:
    """Starts `work` in one process, or in several that find each other through gloo."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pids = []
    for rank in range(processes):
        if pid := os.fork():
            pids.append(pid)
            continue
        code = 1
        try:
            with (log or Path(os.devnull)).open("a") as file:
                os.dup2(file.fileno(), 2)
            os.environ["ACCELERATE_USE_CPU"] = "true"
            if processes > 1:
                os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank),
                               "WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1",
                               "MASTER_PORT": str(port)}  # fmt: skip
            work()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pids


def wait(pids: list[int]) -> None:
    """Until all have ended well."""
    for pid in pids:
        _, status = os.waitpid(pid, 0)
        if status:
            raise RuntimeError(f"a training ended with {os.waitstatus_to_exitcode(status)}")


def killed(pids: list[int], after: float) -> bool:
    """Waits `after` seconds, then kills what still runs; whether anything was killed."""
    end, alive, dead = time.monotonic() + after, set(pids), False
    while alive:
        time.sleep(0.002)
        if time.monotonic() > end:
            for pid in alive:
                os.kill(pid, signal.SIGKILL)
        for pid in list(alive):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                alive.discard(pid)
                dead = dead or status == signal.SIGKILL
                if status not in (0, signal.SIGKILL) and not dead:
                    raise RuntimeError("a training failed before it was killed")
    return dead


def left(output: Path) -> dict[str, Any]:
    """What a finished run leaves, bit for bit; times are no part of it."""
    last = output / CHECKPOINTS / f"step-{STEPS:08}"
    kept = [output / "projections.safetensors", output / "adapter_model.safetensors",
            last / OPTIMIZER_FILE]  # fmt: skip
    lines = [json.loads(line) for line in (output / METRICS).open()]
    run = json.loads((output / RUN_FILE).read_text())
    return {
        "files": [path.read_bytes() for path in kept],
        "lines": [{k: line[k] for k in EXACT} for line in lines],
        "loss": run["loss"],
    }


def kill_at_random(
    folder: Path, stage: int, processes: int, kills: int, seed: int
) -> dict[str, Any]:
    """Trains again and again, killed at random moments, until that has happened `kills` times.

    Every run that was let through in the end must have left what an undisturbed one leaves.
    """
    random = Random(f"{stage}/{processes}/{seed}")
    log = folder / "log.txt"
    started = time.monotonic()
    wait(fork(partial(train, stage, folder / "whole", processes), processes, log))
    seconds, expected = time.monotonic() - started, left(folder / "whole")
    done, writing, runs = 0, 0, 0
    while done < kills:
        output = folder / f"killed-{runs}"
        work = partial(train, stage, output, processes)
        while killed(fork(work, processes, log), random.uniform(0, seconds)):
            done += 1
            writing += bool(list(output.rglob("*.writing")))
            if done >= kills:
                wait(fork(work, processes, log))
                break
        runs += 1
        if left(output) != expected:
            raise RuntimeError(f"{output} is not what {folder / 'whole'} is")
    return {"kills": done, "while writing": writing, "runs": runs, "seconds": seconds}


def kill_at_files(folder: Path, stage: int, every: int = 15) -> dict[str, Any]:
    """The n-th run ends before its (n x every)-th touch of a file, until one comes through."""
    output = folder / "touched"

    def work(touches: int) -> None:
        count = 0

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal count
            if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"):
                count += event == "os.rmdir" or str(arguments[0]).startswith(str(output))
                if count == touches:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        train(stage, output)

    kills = 0
    while killed(fork(partial(work, (kills + 1) * every), log=folder / "log.txt"), 60):
        kills += 1
    if left(output) != left(folder / "whole"):
        raise RuntimeError(f"{output} is not what {folder / 'whole'} is")
    return {"kills": kills}


def kill_one_of_two(folder: Path) -> str:
    """Kills the second of two processes in mid-training; what the first says, which ends too."""
    log = folder / "one killed.txt"
    work = partial(train, 1, folder / "one killed", 2, steps=10**6)
    first, second = fork(work, 2, log)
    while not (folder / "one killed" / METRICS).is_file():
        time.sleep(0.01)
    os.kill(second, signal.SIGKILL)
    os.waitpid(second, 0)
    _, status = os.waitpid(first, 0)
    return f"{os.waitstatus_to_exitcode(status)}: {log.read_text().splitlines()[-1]}"


def cut_in_two(folder: Path, stage: int) -> None:
    """A model spread over two processes, and the ways to it from one process and back."""
    log = folder / "log.txt"
    half = f"{CHECKPOINTS}/step-{STEPS // 2:08}"
    sharded = {"processes": 2, "shard": True, "keep": STEPS}
    runs: list[tuple[str, str | None, dict[str, Any]]] = [
        ("one", None, {"keep": STEPS}),
        ("sharded", None, sharded),
        ("sharded then one", "sharded", {}),
        ("one then sharded", "one", sharded),
    ]
    for name, before, how in runs:
        if before is not None:
            shutil.copytree(folder / before / half, folder / name / half)
        wait(fork(partial(train, stage, folder / name, **how), how.get("processes", 1), log))
    wait(fork(partial(by_accelerate, stage, folder / "by accelerate"), 2, log))


def main() -> None:
    """Prints one report as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=24, help="of one process, over three stages")
    parser.add_argument("--pair-kills", type=int, default=6, help="of two processes")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    model()
    report: dict[str, Any] = {}
    for stage in STAGES:
        for processes, kills in ((1, arguments.kills), (2, arguments.pair_kills)):
            folder = arguments.folder / f"stage-{stage}-by-{processes}"
            folder.mkdir(parents=True)
            share = -(-kills // len(STAGES))
            report[folder.name] = kill_at_random(folder, stage, processes, share, arguments.seed)
        report[f"stage-{stage}-files"] = kill_at_files(
            folder.with_name(f"stage-{stage}-by-1"), stage
        )
    cut_in_two(arguments.folder, 3)
    report["one killed"] = kill_one_of_two(arguments.folder)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
