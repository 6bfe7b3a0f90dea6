"""Which base language model it is, told by a few rows of its embedding as they lie in its files.

The files, not the loaded model: on one machine it is loaded in float16, on another in bfloat16, and
each rounds other rows out of the same checkpoint.
Knows: where a causal LM keeps its embedding and output matrices. Leaves to others: loading it.

Letters: V vocabulary, D width.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from torch import Tensor

from nextgpt_lite.reading import read_tensors

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
    for pattern in ("*.safetensors", "pytorch_model*.bin"):
        for path in sorted(folder.glob(pattern)) if not found else ():
            stored = read_tensors(path, lambda name: _matrix(name) is not None)
            found |= {f"{_matrix(name)}": value for name, value in stored.items()}
    return found


def _matrix(name: str) -> str | None:
    """Which of the two matrices a tensor is, if one of them."""
    return _NAMES.get(name.removesuffix(".weight").rpartition(".")[2])
