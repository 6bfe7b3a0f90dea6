"""What a run shows while it runs: a bar, `metrics.jsonl`, experiment trackers, whoever watches.

Knows: rates, seconds left, peak memory, which trackers there are. Leaves to others: the numbers of
a step (`engine`), curves (`notebook.plots`), sample replies (`samples_page`).
"""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeAlias

import torch
from accelerate import Accelerator
from accelerate.tracking import GeneralTracker
from tqdm.auto import tqdm

from nextgpt_lite.errors import ConfigError, PackageError
from nextgpt_lite.writing import append, beside

logger = logging.getLogger(__name__)

METRICS = "metrics.jsonl"
PROJECT = "nextgpt_lite"
MODULES = {"tensorboard": ("tensorboard", "tensorboardX"), "trackio": ("trackio",),
           "wandb": ("wandb",)}  # fmt: skip

Watcher = Callable[[Mapping[str, Any]], None]
Trackers: TypeAlias = "str | GeneralTracker | Sequence[str | GeneralTracker]"
TIMES = (
    "seconds",
    "data_share",
    "samples_per_second",
    "tokens_per_second",
    "seconds_left",
    "peak_memory",
)


def trackers(names: Trackers | None) -> list[Any]:
    """What `Accelerator(log_with=...)` takes.

    Raises:
        ConfigError: a tracker is unknown.
        PackageError: it is not installed; accelerate would leave it out silently.
    """
    listed = [names] if isinstance(names, str | GeneralTracker) else [*(names or ())]
    for name in listed:
        if not isinstance(name, str):
            continue
        if name not in MODULES:
            raise ConfigError(f"report_to is {name!r}: use one of {', '.join(MODULES)}.")
        if not any(find_spec(module) for module in MODULES[name]):
            raise PackageError(f"report_to names {name!r}, which is not installed: pip install it.")
    return listed


def keep_until(step: int, path: Path) -> None:
    """Drops from a metrics file what was logged after `step`, and a line that a kill cut off."""
    lines = path.read_text("utf-8", "replace").splitlines(keepends=True) if path.exists() else []
    with beside(path) as draft:
        kept = "".join(line for line in lines if _step_of(line) <= step)
        draft.write_text(kept, encoding="utf-8")


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return math.inf  # cut off: it comes after all others


def peak_memory(device: torch.device) -> int:
    """Bytes: most that the accelerator, or on a CPU this process, ever held."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.is_file():  # `getrusage` would begin with the peak of the process that started us
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":  # which has no `resource`
        return 0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


class Report:
    """Shows one run.

    Args:
        folder: of the run.
        title: before the bar.
        steps: of the whole run.
        step: the one the run starts from.
        watchers: called with each logged line.
        accelerator: its main process reports, all others keep silent; its trackers are told.
    """

    def __init__(
        self,
        folder: Path,
        title: str,
        steps: int,
        step: int,
        watchers: Sequence[Watcher] = (),
        accelerator: Accelerator | None = None,
    ) -> None:
        self.folder, self.watchers, self.accelerator = folder, watchers, accelerator
        self.main = accelerator is None or accelerator.is_main_process
        self.bar = tqdm(
            total=steps,
            initial=step,
            desc=title,
            disable=not self.main,
            mininterval=1.0,
            smoothing=0.1,
        )

    def show(self, line: Mapping[str, float]) -> None:
        """Moves the bar by one step."""
        names = [*line]
        shown = {name: f"{line[name]:.3f}" for name in names[1 : names.index("gradient")]}  # losses
        for name in ("samples", "tokens"):
            if (rate := line.get(f"{name}_per_second")) is not None:
                shown[f"{name}/s"] = f"{rate:.4g}"
        self.bar.update()
        self.bar.set_postfix({**shown, "GB": f"{line['peak_memory'] / 1e9:.2f}"}, refresh=False)

    def log(self, line: Mapping[str, float]) -> None:
        """Writes a line to `metrics.jsonl`, to every tracker, and tells the watchers.

        A tracker or a watcher that fails costs a warning, not the training.
        """
        if self.accelerator is not None:
            with _survived("a tracker"):
                self.accelerator.log(dict(line), step=int(line["step"]))
        if not self.main:
            return
        values = {k: float(f"{v:.9g}") for k, v in line.items()}
        append(self.folder / METRICS, json.dumps(values) + "\n")
        for watcher in self.watchers:
            with _survived(f"{watcher}"):
                watcher(line)

    def close(self) -> None:
        """Ends the bar and the trackers."""
        self.bar.close()
        if self.accelerator is not None:  # `end_training` would end the process group too
            for tracker in self.accelerator.trackers:
                tracker.finish()


@contextmanager
def _survived(what: str) -> Iterator[None]:
    try:
        yield
    except Exception:
        logger.warning("%s failed; the training goes on.", what, exc_info=True)
