"""Frozen work, done once: encoder embeddings and caption conditions, kept in memory.

Knows: how to name what was encoded, so that the same thing is never encoded twice in a run. Exact
because encoder, text encoders and decoders are frozen. Leaves to others: which items are needed.
"""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from nextgpt_lite.media import load, safe_path
from nextgpt_lite.model import NextGPT
from nextgpt_lite.world.render import render


class Features:
    """Embeddings of media parts and conditions of captions, each computed at first use.

    Args:
        model: its encoder and decoders do the work.
        folder: where the `path` of a media part is resolved, and nowhere outside it.
    """

    def __init__(self, model: NextGPT, folder: Path | None = None) -> None:
        self.model = model
        self.folder = folder
        self._embeddings: dict[str, Tensor] = {}
        self._conditions: dict[tuple[str, str], Tensor] = {}

    def media(self, parts: list[dict[str, Any]]) -> Tensor:
        """(M, E) embeddings of M media parts."""
        names = [_name(part) for part in parts]
        missing = {n: p for n, p in zip(names, parts, strict=True) if n not in self._embeddings}
        if missing:
            items = [(part["type"], self._open(part)) for part in missing.values()]
            for name, row in zip(missing, self.model.encoder.encode(items), strict=True):
                self._embeddings[name] = row.cpu()
        return torch.stack([self._embeddings[name] for name in names])

    def conditions(self, modality: str, captions: list[str]) -> Tensor:
        """(X, L, C) the decoder's own conditions of X captions."""
        missing = [c for c in dict.fromkeys(captions) if (modality, c) not in self._conditions]
        if missing:
            for caption, row in zip(
                missing, self.model.decoder(modality).encode_text(missing), strict=True
            ):
                self._conditions[modality, caption] = row.cpu()
        return torch.stack([self._conditions[modality, caption] for caption in captions])

    def _open(self, part: dict[str, Any]) -> Any:
        if part.get("data") is not None:
            return part["data"]
        if "path" in part:
            path = part["path"] if self.folder is None else safe_path(self.folder, part["path"])
            return load(part["type"], path)
        return render(part["scene"], crc32(_name(part).encode()))


def _name(part: dict[str, Any]) -> str:
    """Parts of the same name hold the same medium."""
    if (data := part.get("data")) is not None:
        values = np.ascontiguousarray(getattr(data, "samples", getattr(data, "frames", data)))
        return f"data:{sha256(values.tobytes()).hexdigest()}"
    if "path" in part:
        return f"path:{part['path']}"
    return f"scene:{part['scene']}:{part.get('variant', 0)}"
