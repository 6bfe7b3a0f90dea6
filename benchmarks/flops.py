"""FLOPs that a training step needs, and how many a matrix product reaches.

A frozen matrix costs 4 FLOPs a weight and token: 2 forward, 2 for the gradient of its input. A
learning one costs 6. The frozen prefixes of stage 2 need no backward pass: 2. Padding, attention
weights that are only stored, and gradients of matrices that need not learn do not count: a loop
that spends time on them has a low utilisation, as it should.
"""

from __future__ import annotations

import time

import torch

from benchmarks.setting import Sizes
from nextgpt_lite.chat import NextGPT
from nextgpt_lite.model.batch import Batch
from nextgpt_lite.model.losses import IGNORE
from nextgpt_lite.training.loop import Trainer


def step_flops(trainer: Trainer, sizes: Sizes) -> float:
    """Mean over the conversations of a benchmark, of one step."""
    steps = max(1, sizes.records // sizes.batch)
    batches = [batch for index in range(steps) for batch in parts(trainer, index)]
    return sum(batch_flops(trainer.model, batch, sizes) for batch in batches) / steps


def parts(trainer: Trainer, step: int) -> list[Batch]:
    """What a step reads, in one pass or several."""
    return [trainer.batch(step, part)[0] for part in range(trainer.schedule.accumulate)]


def batch_flops(model: NextGPT, batch: Batch, sizes: Sizes) -> float:
    """Of forward and backward on one batch."""
    config = model.llm.causal_lm.config
    width, layers = config.hidden_size, config.num_hidden_layers
    weights = layers * (4 * width**2 + 3 * width * config.intermediate_size)
    tokens = float(batch.attention_mask.sum())
    backward = tokens  # positions that a gradient visits
    lora = layers * 4 * 2 * width * sizes.rank
    learns_lora = any(p.requires_grad for n, p in model.named_parameters() if "lora_" in n)
    if model.prefixes_frozen:
        signal = torch.isin(batch.ids, torch.tensor(model.llm.new_ids, device=batch.ids.device))
        backward = float((signal.cumsum(1) > 0).logical_and(batch.attention_mask > 0).sum())
    total = 2 * weights * (tokens + backward)
    total += 2 * lora * tokens + (4 if learns_lora else 2) * lora * backward
    total += _attention(batch, width, layers) * (1 + 2 * backward / tokens)
    total += 4 * width * model.llm.vocabulary * float((batch.labels[:, 1:] != IGNORE).sum())
    for modality, target in batch.signals.items():
        total += 6 * len(target.rows) * _projection(model, modality, sizes)
    return total


def _attention(batch: Batch, width: int, layers: int) -> float:
    """Forward: scores and weighted sums, half of each under the causal mask."""
    if batch.positions is None:
        lengths = batch.attention_mask.sum(1).float()
    else:
        begins = (batch.positions == 0) & (batch.attention_mask > 0)
        number = begins.flatten().cumsum(0)[batch.attention_mask.flatten() > 0]
        lengths = torch.bincount(number)[1:].float()
    return float(2 * width * layers * lengths.pow(2).sum())


def _projection(model: NextGPT, modality: str, sizes: Sizes) -> float:
    """Weights times positions of one output projection and one block."""
    h, f = sizes.projection["hidden"], sizes.projection["feed_forward"]
    asks, gives = len(model.llm.signal_ids[modality]), sizes.conditions[modality]
    layers = sizes.projection["layers"]
    encoder = layers * (4 * h**2 + 2 * h * f) * asks
    decoder = layers * ((6 * h**2 + 2 * h * f) * gives[0] + 2 * h**2 * asks)
    return encoder + decoder + model.llm.width * h * asks + h * gives[1] * gives[0]


def matmul_speed(dtype: torch.dtype, size: int = 1536, device: str = "cpu") -> float:
    """FLOP/s of one square matrix product; on a CPU, of the time that this process got."""
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    left @ right
    _wait(device)
    clock = time.process_time if device == "cpu" else time.perf_counter
    begin = clock()
    for _ in range(3):
        left @ right
    _wait(device)
    return 3 * 2 * size**3 / (clock() - begin)


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
