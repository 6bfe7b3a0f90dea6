"""The first lines of every notebook: seeds, threads, style of figures, versions, folder of data."""

from __future__ import annotations

import os
import platform
import random
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import cycler  # type: ignore[attr-defined]

from nextgpt_lite import __version__
from nextgpt_lite.display import register
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.media.sheet import INK
from nextgpt_lite.model.config import PROFILES
from nextgpt_lite.model.device import pick_device
from nextgpt_lite.shipped import shipped

# Of every figure: 11 points, words and lines that are seen on light and on dark pages, and colours
# that the colour-blind tell apart (Okabe and Ito, 2008), each with a stroke of its own as well.
STYLE: dict[Any, Any] = {
    "font.size": 11,
    "axes.titlesize": "medium",
    "axes.facecolor": "none",
    "grid.color": INK,
    "legend.frameon": False,
    "axes.prop_cycle": cycler(
        color=["#0072b2", "#d55e00", "#009e73", "#cc79a7"], linestyle=["-", "--", "-.", ":"]
    ),
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor"), INK),
    **dict.fromkeys(("xtick.color", "ytick.color"), INK),
}
SHOWN_VERSIONS = ("torch", "transformers", "diffusers", "peft")


@dataclass(frozen=True)
class Session:
    """What a notebook goes on with: `data` is the folder data_samples, `device` a torch name."""

    profile: str
    seed: int
    device: str
    data: Path


def start(profile: str = "lite", seed: int = 0, threads: int | None = None) -> Session:
    """Seeds everything, sets torch's threads and the figures' text, prints what it runs on.

    Args:
        profile: "lite" (shipped weights, CPU), "colab" or "paper" (public checkpoints, GPU).
        threads: torch threads; by default OMP_NUM_THREADS, else every core.

    Raises:
        ConfigError: there is no such profile.
        MissingError: data_samples is neither above this folder nor in the installation.
    """
    if profile not in PROFILES:
        raise ConfigError(f'profile "{profile}" is unknown: use one of {", ".join(PROFILES)}')
    import matplotlib
    import torch

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (libraries below still draw from the global generator)
    torch.manual_seed(seed)
    torch.set_num_threads(
        threads or int(os.environ.get("OMP_NUM_THREADS", 0)) or os.cpu_count() or 1
    )
    matplotlib.rcParams.update(STYLE)
    register()
    session = Session(profile, seed, str(pick_device()), find_data())
    versions = ", ".join(f"{name} {version(name)}" for name in SHOWN_VERSIONS)
    print(f"nextgpt_lite {__version__}, Python {platform.python_version()}, {versions}")
    print(
        f"profile {profile}, seed {seed}, device {session.device}, "
        f"{torch.get_num_threads()} threads, data in {_short(session.data)}"
    )
    if profile != "lite":
        from nextgpt_lite.checkpoints.doctor import budget

        print(budget(profile))
    return session


def find_data() -> Path:
    """The folder data_samples: in this folder, in one above it, or what ships with the package."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "data_samples").is_dir():
            return folder / "data_samples"
    return shipped("data_samples")


def _short(path: Path) -> str:
    """The path as seen from here, so that a committed notebook names nobody's home."""
    return os.path.relpath(path)
