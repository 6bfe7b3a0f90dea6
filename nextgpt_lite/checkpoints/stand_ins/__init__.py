"""Stand-ins: small random weights in the exact layouts of the public checkpoints.

They answer nonsense, but through the same files, keys, tokenizers and configurations as the real
ones, so that every line that handles a checkpoint of gigabytes runs in seconds and offline.

Knows: which layout belongs to which hub id. Leaves to others: the layouts (`models`, `diffusion`,
`tokenizers`), loading them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from nextgpt_lite.checkpoints.stand_ins import diffusion, models
from nextgpt_lite.model.config import folder_name

STAND_INS: dict[str, Callable[[Path], None]] = {
    "imagebind_huge": models.imagebind_pickle,
    "nielsr/imagebind-huge": models.imagebind_port,
    "lmsys/vicuna-7b-v1.5": models.vicuna,
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0": models.tinyllama,
    "Qwen/Qwen3-0.6B": models.qwen3,
    "HuggingFaceTB/SmolLM2-360M-Instruct": models.smollm2,
    "stable-diffusion-v1-5/stable-diffusion-v1-5": diffusion.stable_diffusion,
    "stabilityai/sd-turbo": diffusion.sd_turbo,
    "cvssp/audioldm-s-full-v2": diffusion.audioldm([32, 64, 64, 96]),
    "cvssp/audioldm-m-full": diffusion.audioldm([32, 64, 96, 128]),
    "cvssp/audioldm-l-full": diffusion.audioldm([64, 64, 96, 128]),
    "cerspense/zeroscope_v2_576w": diffusion.zeroscope,
    "ByteDance/AnimateDiff-Lightning": diffusion.animatediff_lightning,
}


def write_stand_ins(root: str | Path, names: Iterable[str] | None = None, seed: int = 0) -> Path:
    """Writes a folder for each name, as `download` would; one that is there is left alone.

    Args:
        root: what the environment variable NEXTGPT_LITE_CHECKPOINTS is then set to.
        names: hub ids; None means all of them.
        seed: of the random weights.

    Returns:
        `root`.

    Raises:
        ValueError: a name has no stand-in.
    """
    root = Path(root)
    for name in STAND_INS if names is None else names:
        if name not in STAND_INS:
            raise ValueError(f"No stand-in for {name!r}: use one of {', '.join(STAND_INS)}.")
        folder = root / folder_name(name)
        if not folder.is_dir():
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                STAND_INS[name](folder)
    return root
