"""Values of the released implementations at small width, and the media that some were made of.

Knows: where the vectors lie (README.md says how they came about). Leaves to others: comparing.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

HERE = Path(__file__).resolve().parent
TOKEN_ROWS = "modality_preprocessors.text.token_embedding.weight"


def imagebind_state() -> dict[str, Tensor]:
    """The state dict under its released names; of CLIP's 49,408 token rows only those in use."""
    folder = HERE / "imagebind_small"
    state = load_file(folder / "state_dict.safetensors")
    used = load_file(folder / "io.safetensors")["in.text"].unique()
    rows = torch.zeros(49408, state[TOKEN_ROWS].shape[1])
    rows[used] = state[TOKEN_ROWS]
    return {**state, TOKEN_ROWS: rows}


def made_image(width: int, height: int) -> np.ndarray:
    """(H, W, 3) uint8: slopes, fine texture and hard edges, by whole numbers alone."""
    y, x = np.mgrid[:height, :width]
    texture = (x * 7919 + y * 104729 + x * y * 31) % 97
    edges = ((x // 23 + y // 37) % 2) * 120
    return np.stack([(x + texture) % 256, edges + y % 128, (x + y + edges) % 256], 2).astype(
        np.uint8
    )


def made_audio(seconds: float, rate: int) -> np.ndarray:
    """(2, length) float32: a rising tone left, a falling one right, both over steady noise."""
    step = np.arange(int(seconds * rate))
    time = step / rate
    noise = (step * 48271 % 65537) / 65537 - 0.5
    tones = [np.sin(2 * np.pi * (f + g * time) * time) for f, g in ((200, 900), (5000, -500))]
    return np.stack([0.4 * tone + 0.05 * noise for tone in tones]).astype(np.float32)
