"""Runs the cells of a grid that have no result yet, and gathers the table.

Any number of workers, started together or apart, may share one output folder. Each runs a cell that
no other is running, and postpones one whose stage another is training. A worker that dies leaves
checkpoints, from which the next one continues.

Knows: which cells are left, and which are locked. Leaves to others: a cell's work (`cells`), the
table (`table`).
"""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

from filelock import Timeout
from tqdm.auto import tqdm

from nextgpt_lite.errors import NumericsError, RunError
from nextgpt_lite.evaluation.ablation.cells import Plan, locked, plan_of, run_cell
from nextgpt_lite.evaluation.ablation.grid import Grid, read_grid
from nextgpt_lite.evaluation.ablation.table import write_table
from nextgpt_lite.shipped import shipped

POLL = 1.0  # seconds until cells that were locked are tried again


def ablate(
    path: str | Path,
    output: str | Path,
    workers: int = 1,
    device: str = "auto",
    precision: str | None = None,
) -> Path:
    """Runs the grid of a file and returns the path of its table.

    Args:
        path: the grid file.
        output: gets stages, cells and the table; what is done there is not done again.
        workers: processes on this machine.
        device: of training and scoring; each worker has its own copy of the model there.
        precision: number format of frozen weights; None takes the preset's. Cells of another one
            are others.

    Raises:
        ConfigError: the grid file has a mistake; nothing was trained.
        NumericsError: some cells' losses were not finite; all others are done.
        RunError: a worker ended early; start again and it goes on.
    """
    grid, output = read_grid(path), Path(output)
    output.mkdir(parents=True, exist_ok=True)
    plans = [plan_of(cell, output, precision) for cell in grid.cells]
    if workers == 1:
        _work(plans, device)
    else:
        context = multiprocessing.get_context("spawn")
        processes = [
            context.Process(
                target=_worker,
                args=(grid.path, output, workers, device, precision),
                daemon=False,
            )
            for _ in range(workers)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        if any(process.exitcode for process in processes) and not _all_done(plans):
            raise RunError(
                f"A worker ended early: see its words above, then start again with the same "
                f"--output {output}; what is done stays done."
            )
    with locked(output, grid.path.stem, wait=True):
        found = [(p.cell.name, p.result) for p in plans]
        return write_table(found, output / f"{grid.path.stem}.csv")


def shipped_grids() -> list[Path]:
    """The grids that ship. In one output folder what they have in common is trained once."""
    return sorted(shipped("configs/ablation").glob("*.yaml"))


def _worker(path: Path, output: Path, workers: int, device: str, precision: str | None) -> None:
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
    grid: Grid = read_grid(path)
    _work([plan_of(cell, output, precision) for cell in grid.cells], device)


def _work(plans: list[Plan], device: str) -> None:
    """Runs cells until each has a result, its own or another worker's."""
    failed: dict[str, NumericsError] = {}
    with tqdm(total=len(plans), desc="cells") as bar:
        left = plans
        while left:
            busy = []
            for current in left:
                name = f"{current.cell.name}, seed {current.cell.seed}"
                bar.set_postfix_str(name)
                try:
                    with locked(current.output, current.result.stem):
                        if not current.result.is_file():
                            run_cell(current, device)
                except Timeout:
                    busy.append(current)
                    continue
                except NumericsError as error:
                    failed[name] = error
                bar.update()
            if len(busy) == len(left):
                time.sleep(POLL)
            left = busy
    if failed:
        first = next(iter(failed))
        raise NumericsError(f"{len(failed)} cells failed, the first {first!r}: {failed[first]}")


def _all_done(plans: list[Plan]) -> bool:
    return all(p.result.is_file() for p in plans)
