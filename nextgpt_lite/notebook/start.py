"""The first lines of every notebook: seeds, threads, text size, versions, device, data folder."""

from __future__ import annotations

import os
import platform
import random
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from nextgpt_lite import __version__
from nextgpt_lite.display import register
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.model.config import PROFILES
from nextgpt_lite.model.device import pick_device
from nextgpt_lite.shipped import shipped

TEXT = 8  # points, in every figure
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
    matplotlib.rcParams["font.size"] = TEXT
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
