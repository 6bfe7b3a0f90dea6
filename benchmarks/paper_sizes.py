"""Training at the paper's sizes, with random weights: speed does not depend on their values.

Stage 3 on a 7B LLM in bfloat16, rows of 2,048 positions packed full, LoRA of rank 32 on q, k, v and
o: the share of a matrix product's speed. Stage 2 with full-size output projections on states that
are there: samples a second. `gpu` runs both on a card, and says what they should reach.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.flops import matmul_speed, parts, step_flops
from benchmarks.setting import Conversations, Sizes, causal_lm, model
from nextgpt_lite.model.losses import condition_distance
from nextgpt_lite.training.loop import Schedule, Trainer
from nextgpt_lite.training.report import peak_memory
from nextgpt_lite.training.stages import STAGES

SEVEN_BILLION = Sizes(
    width=4096, layers=32, heads=32, batch=64, sequence=500, spread=0.8, records=256
)
# A batch's activations at once would be about 170 GB: 5 MB a position.
PASSES = 4


@dataclass(frozen=True)
class Full:
    """Sizes of both measurements."""

    sizes: Sizes = SEVEN_BILLION
    row: int = 2048
    blocks: int = 512  # in a batch of stage 2
    steps: int = 20


TINY = Full(replace(Sizes(), width=64, layers=2, records=8), row=256, blocks=4, steps=2)


def stage_3(full: Full, **changes: Any) -> dict[str, float]:
    """Samples, tokens and FLOPs a second of whole steps, and the share of a matrix product."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(device):
        lm = causal_lm(full.sizes, torch.bfloat16)
    made = model(full.sizes, lm)
    records = Conversations(3, full.sizes, made.conversation)
    schedule = Schedule(
        steps=10**6, batch_size=full.sizes.batch, learning_rate=1e-4, mixed_precision="bf16",
        row=full.row, accumulate=min(PASSES, full.sizes.batch), **changes,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(made, STAGES[3], records, Path(folder), schedule)
        for index in range(full.sizes.records // full.sizes.batch):
            parts(trainer, index)  # features are kept from now on
        trainer.wrapped.train()
        seconds = median_seconds(trainer.take_step, full.steps, device)
        flops = step_flops(trainer, full.sizes)
    shown = torch.cat([part.attention_mask.flatten() for part in parts(trainer, 0)]).float()
    peak = matmul_speed(torch.bfloat16, 8192 if device == "cuda" else 512, device)
    return {
        "seconds a step": seconds,
        "samples per second": full.sizes.batch / seconds,
        "tokens per second": float(shown.sum()) / seconds,
        "filled share of rows": float(shown.mean()),
        "matrix product, FLOP/s": peak,
        "utilisation": flops / seconds / peak,
        "peak memory, GB": peak_memory(torch.device(device)) / 1e9,
    }


def stage_2(full: Full) -> dict[str, float]:
    """Samples a second of the picture projection as it learns from states that are there."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    made = model(replace(full.sizes, layers=1))
    projection = made.output_projections["image"].to(device).train()
    length, width = full.sizes.conditions["image"]
    tokens = len(made.llm.signal_ids["image"])
    states = torch.randn(2, full.blocks, tokens, full.sizes.width, device=device)
    condition = torch.randn(full.blocks, length, width, device=device)
    optimizer = torch.optim.AdamW(projection.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        with torch.autocast(device, torch.bfloat16):
            projected = projection(states[0], states[1])  # (X, L, C)
        loss = condition_distance(projected.float(), condition)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    seconds = median_seconds(step, full.steps, device)
    return {"samples per second": full.blocks / seconds}


def median_seconds(work: Callable[[], Any], times: int, device: str) -> float:
    """Median wall time, after three that do not count."""
    found = []
    for _ in range(3 + times):
        begin = time.perf_counter()
        work()
        if device == "cuda":
            torch.cuda.synchronize()
        found.append(time.perf_counter() - begin)
    return median(found[3:])
