"""Frozen work of a stage's data beforehand, by several processes: `nextgpt-lite cache build`.

Knows: which records are read. Leaves to others: making batches, which computes what is missing
(`feed`), and what is kept (`cache`). What an earlier call has kept is not computed again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from accelerate.utils import get_cpu_distributed_information
from tqdm.auto import tqdm

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.opening import Data, open_source
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.model.config import NextGPTConfig
from nextgpt_lite.model.device import pick_device
from nextgpt_lite.training.features import Features
from nextgpt_lite.training.feed import Feed
from nextgpt_lite.training.run import in_bytes
from nextgpt_lite.training.schedule import Schedule
from nextgpt_lite.training.stages import STAGES
from nextgpt_lite.training.usable import Usable


def build_cache(
    stage: int,
    cache: str | Path,
    *,
    profile: str = "lite",
    init: str | Path | None = None,
    data: Data = None,
    follow_links: bool = False,
    cache_limit: str | int | None = None,
    records: int | None = None,
    device: str = "auto",
    dtype: str | None = None,
    **schedule: Any,
) -> Counter[str]:
    """Computes what a stage needs of encoder and decoders for its data.

    Under torchrun or accelerate launch each process does its share and waits for none of the
    others; the cache is the same folder for all.

    Args:
        stage, profile, init, data, follow_links, cache, cache_limit, device, schedule: of `train`.
        dtype: of `NextGPT.from_pretrained`; a run finds only what was made in its own.
        records: conversations, in the order of a training of the same seed; None: each of them, of
            a source without end as many as the training would read.

    Returns:
        how many "records" this process read, items it "computed", and records "replaced" and "cut".

    Raises:
        ConfigError: the stage is unknown.
    """
    if stage not in STAGES:
        raise ConfigError(f"Unknown stage {stage!r}: choose 1, 2 or 3.")
    place = get_cpu_distributed_information()  # of torchrun, MPI and others
    rank, processes = place.rank, place.world_size
    if processes > 1 and device == "auto" and pick_device(device).type == "cuda":
        device = f"cuda:{place.local_rank}"
    model = (
        NextGPT.from_config(NextGPTConfig.from_profile(profile), device=device, dtype=dtype)
        if init is None
        else NextGPT.from_pretrained(init, device=device, dtype=dtype)
    )
    numbers = Schedule.of(STAGES[stage], model.config.profile, **schedule, accumulate=1)
    source = open_source(data, STAGES[stage], numbers.seed, follow_links)
    limit = None if cache_limit is None else in_bytes(cache_limit)
    features = Features(model, source.folder, Path(cache), limit, numbers.half_conditions)
    usable = Usable(model, source, features)
    wanted = records or source.epoch or numbers.steps * numbers.batch_size * processes
    steps = -(-wanted // (numbers.batch_size * processes))
    feed = Feed(usable, replace(numbers, steps=steps), rank, processes)
    counts: Counter[str] = Counter()
    try:
        for step in tqdm(range(steps), desc="cache", disable=rank > 0, mininterval=1.0):
            drawn = feed.take(step)
            counts.update(records=len(drawn.ids), **drawn.counts)
    finally:
        features.flush()
        feed.close()
    return counts + Counter(computed=features.computed)
