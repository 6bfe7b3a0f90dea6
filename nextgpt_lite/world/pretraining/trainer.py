"""One small loop that trains every lite part.

Knows: AdamW and Muon, warmup and cosine, bf16 autocast, gradient clipping, an average of the
weights (EMA), a checkpoint that is written whole or not at all, and the check that every tensor
really learns.
Leaves to others: what the part is, where its batches come from and what its loss means.

Every random number of step n comes from (seed, n) alone, so a run that was stopped and resumed
takes bit for bit the same steps as one that was not.

    trainer = Pretrainer(part, loss, data, "runs/image", steps=10_000)
    trainer.run(resume=True)
    trainer.average          # the part with averaged weights, ready for export
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from nextgpt_lite.training.checkpoint import append, beside, stopping
from nextgpt_lite.training.schedule import optimizers

CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.jsonl"

Batch = Any
LossParts = dict[str, Tensor]


@dataclass(frozen=True)
class Recipe:
    """The numbers of a run. Changing `steps` of a resumed run stretches its cosine."""

    steps: int
    learning_rate: float = 1e-3
    final_rate: float = 0.05  # of learning_rate, reached at the last step
    warmup: int = 200
    weight_decay: float = 0.01  # on matrices only
    clip: float = 1.0
    ema: float = 0.999
    seed: int = 0
    device: str = "cpu"
    bf16: bool = True
    checkpoint_seconds: float = 120.0
    log_every: int = 50
    gradient_check_steps: int = 50

    def rate(self, step: int) -> float:
        """Learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        progress = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        cosine = 0.5 * (1 + math.cos(math.pi * progress))
        return self.learning_rate * (self.final_rate + (1 - self.final_rate) * cosine)


class Pretrainer:
    """Trains one module.

    Args:
        module: what learns; every parameter with `requires_grad` must receive a gradient.
        loss: `loss(module, batch, generator) -> {name: scalar}`; their sum is minimised. Called
            under autocast; `generator` (CPU) is the source of noise.
        data: `data(generator) -> batch`, on the CPU or already on the device; must depend on
            nothing but the generator (and what is fixed for the run).
        directory: gets `checkpoint.pt` and `metrics.jsonl`.
        recipe: the numbers.
        muon: matrices inside the network that Muon trains instead of AdamW.
    """

    def __init__(
        self,
        module: nn.Module,
        loss: Callable[[nn.Module, Batch, torch.Generator], LossParts],
        data: Callable[[torch.Generator], Batch],
        directory: str | Path,
        recipe: Recipe,
        muon: Iterable[nn.Parameter] = (),
    ) -> None:
        self.recipe = recipe
        self.module = module.to(recipe.device)
        self.average = copy.deepcopy(self.module).requires_grad_(False).eval()
        self.loss = loss
        self.data = data
        self.directory = Path(directory)
        self.step = 0
        self.seconds = 0.0
        learning = [p for p in self.module.parameters() if p.requires_grad]
        self.optimizers = optimizers(learning, recipe.weight_decay, (0.9, 0.99), muon)
        self._learning = learning

    def run(self, resume: bool = False) -> dict[str, float]:
        """Trains up to `recipe.steps`, or until SIGINT or SIGTERM; returns the last logged means.

        Raises:
            RuntimeError: a parameter tensor got no gradient in the first steps.
            FloatingPointError: the loss is not finite.
            FileExistsError: there is a checkpoint and `resume` is False.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / CHECKPOINT
        if path.exists():
            if not resume:
                raise FileExistsError(f"{path} exists: pass resume or choose another output")
            self.load(path)
        first, means, idle = self.step, {}, self._names()
        saved, sums, clock = time.monotonic(), _Means(), time.monotonic()
        bar = tqdm(total=self.recipe.steps, initial=first, mininterval=5)
        with stopping() as stop, bar:
            while self.step < self.recipe.steps and not stop.is_set():
                sums.add(self._one_step())
                self._check_gradients(idle, self.step - first)
                self.seconds += time.monotonic() - clock
                clock = time.monotonic()
                bar.update()
                if self.step % self.recipe.log_every == 0 or self.step == self.recipe.steps:
                    means = sums.take()
                    bar.set_postfix({k: f"{v:.4f}" for k, v in means.items()}, refresh=False)
                    self._log(means)
                if clock - saved > self.recipe.checkpoint_seconds:
                    self.save(path)
                    saved = time.monotonic()
        self.save(path)
        return means

    def save(self, path: Path) -> None:
        """Writes the whole state; a write that is cut off leaves the last one as it was."""
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "module": self.module.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        with beside(path) as draft:
            torch.save(state, draft)

    def load(self, path: Path) -> None:
        """Takes up a state written by `save`."""
        state = torch.load(path, map_location=self.recipe.device, weights_only=True)
        self.step, self.seconds = state["step"], state["seconds"]
        self.module.load_state_dict(state["module"])
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)

    def _one_step(self) -> dict[str, float]:
        recipe = self.recipe
        seed = recipe.seed * 1_000_003 + self.step
        torch.manual_seed(seed)  # dropout
        generator = torch.Generator().manual_seed(seed)
        batch = self.data(generator)
        self.module.train()
        kind = torch.device(recipe.device).type
        with torch.autocast(kind, torch.bfloat16, enabled=recipe.bf16):
            parts = self.loss(self.module, batch, generator)
        total = torch.stack([part.float() for part in parts.values()]).sum()
        if not torch.isfinite(total):
            precision = "bf16" if recipe.bf16 else "float32"
            raise FloatingPointError(
                f"The loss of step {self.step} is not finite in {precision}: lower the rate"
                f"{', or train in float32' if recipe.bf16 else ''}."
            )
        self.module.zero_grad(set_to_none=True)
        total.backward()
        norm = nn.utils.clip_grad_norm_(self._learning, recipe.clip)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate(self.step)
            optimizer.step()
        self.step += 1
        self._update_average()
        return {**{k: v.item() for k, v in parts.items()}, "gradient": norm.item()}

    @torch.no_grad()
    def _update_average(self) -> None:
        keep = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        ours: list[Tensor] = list(self.average.parameters())
        torch._foreach_lerp_(ours, list(self.module.parameters()), 1 - keep)
        for mine, theirs in zip(self.average.buffers(), self.module.buffers(), strict=True):
            mine.copy_(theirs)

    def _names(self) -> dict[str, nn.Parameter]:
        return {n: p for n, p in self.module.named_parameters() if p.requires_grad}

    def _check_gradients(self, idle: dict[str, nn.Parameter], taken: int) -> None:
        """Strikes from `idle` what has a gradient; whatever is left in the end never learns."""
        if taken > self.recipe.gradient_check_steps:
            return
        for name in [n for n, p in idle.items() if p.grad is not None and p.grad.any()]:
            del idle[name]
        if taken == self.recipe.gradient_check_steps and idle:
            raise RuntimeError(
                f"no gradient in {taken} steps reached {', '.join(sorted(idle))}: "
                "freeze these tensors or connect them to the loss"
            )

    def _log(self, means: dict[str, float]) -> None:
        line = {"step": self.step, "seconds": round(self.seconds, 1), **means}
        line["rate"] = self.recipe.rate(self.step - 1)
        values = {k: float(f"{v:.6g}") for k, v in line.items()}
        append(self.directory / METRICS, json.dumps(values) + "\n")


class _Means:
    """Running means of named numbers."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = 0

    def add(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def take(self) -> dict[str, float]:
        means = {name: total / max(1, self._count) for name, total in self._sums.items()}
        self._sums, self._count = {}, 0
        return means
