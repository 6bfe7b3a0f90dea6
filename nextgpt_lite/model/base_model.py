"""Which base language model it is, told by a few rows of its embedding as they lie in its files.

The files, not the loaded model: on one machine it is loaded in float16, on another in bfloat16, and
each rounds other rows out of the same checkpoint.
Knows: where a causal LM keeps its embedding and output matrices. Leaves to others: loading it.

Letters: V vocabulary, D width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

# What families call the two, at the end of their tensors' names.
_NAMES = {
    **dict.fromkeys(
        ("embed_tokens", "wte", "embed_in", "word_embeddings", "embeddings"), "embed_tokens"
    ),
    **dict.fromkeys(("lm_head", "embed_out"), "lm_head"),
}


def fingerprint(embedding: Tensor) -> str:
    """Tells base models apart by some rows of their embedding (V, D)."""
    rows = embedding[:: max(1, len(embedding) // 64)].detach().float().cpu().contiguous()
    return hashlib.sha256(rows.numpy().tobytes()).hexdigest()[:16]


def stored_matrices(folder: Path) -> dict[str, Tensor]:
    """Embedding and output matrices (V, D) of a causal LM's folder, without loading anything else.

    Empty where the files call them otherwise.
    """
    found: dict[str, Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            found |= {m: file.get_tensor(name) for name, m in _matrices(file.keys()).items()}
    for path in sorted(folder.glob("pytorch_model*.bin")) if not found else ():
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        found |= {matrix: state[name] for name, matrix in _matrices(state).items()}
    return found


def _matrices(names: Iterable[str]) -> dict[str, str]:
    """Which of some tensors are one of the two matrices, and which."""
    ends = {name: name.removesuffix(".weight").rpartition(".")[2] for name in names}
    return {name: _NAMES[end] for name, end in ends.items() if end in _NAMES}
