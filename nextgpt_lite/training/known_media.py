"""Statistics of the media that a model was trained on, so that `chat` can tell others.

Knows: whose media count: those that a user gives. Leaves to others: the statistics
(`model.known_media`), and where conversations come from (`data.opening`).
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.opening import Data, open_source
from nextgpt_lite.data.sources import medium
from nextgpt_lite.errors import DataError
from nextgpt_lite.messages import parts_of
from nextgpt_lite.model.checkpoint import seal
from nextgpt_lite.model.config import locate
from nextgpt_lite.model.known_media import LEAST, KnownMedia
from nextgpt_lite.training.stages import STAGES


def write_known_media(
    model: str | Path,
    data: Data = None,
    records: int = 6000,
    seed: int = 0,
    device: str = "auto",
    dtype: str | None = None,
) -> Path:
    """Reads a source's input media with the model's encoder; writes their statistics beside it.

    Args:
        model: folder of a model, or "lite".
        data: as for training; what stage 1 reads of it.
        records: conversations whose media are read.
        device, dtype: of `NextGPT.from_pretrained`.

    Raises:
        DataError: there are too few media of every modality.
    """
    loaded = NextGPT.from_pretrained(model, device=device, dtype=dtype)
    source = open_source(data, STAGES[1], seed)
    kept: dict[str, list[Any]] = defaultdict(list)
    looks: dict[str, list[Any]] = defaultdict(list)
    for index in range(records):
        for message in source(index).messages:
            if message["role"] != "user":
                continue
            for part in parts_of(message):
                if part["type"] != "text":
                    kept[part["type"]].append(medium(part, source.folder))
        for modality, items in kept.items():
            if len(items) >= 32 or index == records - 1:
                looks[modality] += loaded.encoder.look([(modality, i) for i in items])[1]
                items.clear()
    every = {modality: torch.stack(parts) for modality, parts in looks.items() if parts}
    enough = {modality: rows for modality, rows in every.items() if len(rows) >= LEAST}
    if not enough:
        raise DataError(f"The data hold less than {LEAST} media of each modality: give more.")
    folder = locate("lite/nextgpt") if model == "lite" else Path(model)
    path = KnownMedia.of(enough).save(folder)
    seal(folder)
    return path
