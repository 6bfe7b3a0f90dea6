"""Trains one module by itself: a decoder's parts, an encoder, a language model, a projection.

Knows: one process, a loss made of named parts, an average of the weights (EMA). Leaves to others:
what the module is, where its batches come from and what its loss means; the steps (`engine`).

    trainer = PartTrainer(part, loss, data, "runs/image", PartRecipe(steps=10_000))
    trainer.run(resume=True)
    trainer.average          # the part with averaged weights, ready for export
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_model, save_model
from torch import Tensor, nn

from nextgpt_lite.errors import NumericsError
from nextgpt_lite.reading import reading
from nextgpt_lite.training.engine import Engine, Line
from nextgpt_lite.training.schedule import Recipe, optimizers

WEIGHTS_FILE = "weights.safetensors"
AVERAGE_FILE = "average.safetensors"

Batch = Any
LossParts = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class PartRecipe(Recipe):
    """The numbers of a part's run.

    Attributes:
        ema: how much of the average a step keeps; 0 keeps no average besides the weights.
        bf16: whether the loss is computed under bfloat16 autocast.
    """

    learning_rate: float = 1e-3
    warmup: int = 200
    log_every: int = 50
    checkpoint_every: int = 200
    keep: int = 1
    ema: float = 0.999
    device: str = "cpu"
    bf16: bool = True


class PartTrainer(Engine):
    """Trains one module.

    Args:
        module: what learns; every parameter with `requires_grad` must receive a gradient.
        loss: `loss(module, batch, generator) -> {name: scalar}`; their sum is minimised. Called
            under autocast; `generator` (CPU) is the source of noise.
        data: `data(generator) -> batch`, on the CPU or already on the device; must depend on
            nothing but the generator, the step, and what is fixed for the run.
        output: folder of the run.
        schedule: the numbers.
        muon: matrices inside the network that Muon trains instead of AdamW.
        betas: of AdamW.
    """

    schedule: PartRecipe

    def __init__(
        self,
        module: nn.Module,
        loss: Callable[[nn.Module, Batch, torch.Generator], LossParts],
        data: Callable[[torch.Generator], Batch],
        output: str | Path,
        schedule: PartRecipe,
        muon: Iterable[nn.Parameter] = (),
        betas: tuple[float, float] = (0.9, 0.99),
    ) -> None:
        module.to(schedule.device)
        learning = {n: [p] for n, p in module.named_parameters() if p.requires_grad}
        parameters = [parameter for (parameter,) in learning.values()]
        made = optimizers(parameters, schedule.weight_decay, betas, muon)
        super().__init__(module, learning, made, Path(output), schedule)
        self.title = self.output.name
        self.compute_loss, self.data = loss, data
        self.average = module
        if schedule.ema:
            self.average = copy.deepcopy(module).requires_grad_(False).eval()

    def backward(self) -> tuple[Line, Line, bool]:
        """Of one batch; see `Engine`."""
        schedule, generator = self.schedule, torch.Generator().manual_seed(self.seed_of_step())
        batch = self.data(generator)
        self.module.train()
        kind = torch.device(schedule.device).type
        with torch.autocast(kind, torch.bfloat16, enabled=schedule.bf16):
            parts = self.compute_loss(self.module, batch, generator)
        total = torch.stack([part.float() for part in parts.values()]).sum()
        if not torch.isfinite(total):
            raise NumericsError(
                f"The loss of step {self.step} is not finite in "
                f"{'bf16' if schedule.bf16 else 'float32'}: lower the rate"
                f"{', or train in float32' if schedule.bf16 else ''}."
            )
        total.backward()
        losses = {name: value.item() for name, value in parts.items()}
        return {"total": total.item(), **losses}, {}, self.stop.is_set()

    @torch.no_grad()
    def after_step(self) -> None:
        """Moves the average towards the weights."""
        if self.average is self.module:
            return
        keep = min(self.schedule.ema, (1 + self.step) / (10 + self.step))
        ours: list[Tensor] = list(self.average.parameters())
        torch._foreach_lerp_(ours, list(self.module.parameters()), 1 - keep)
        for mine, theirs in zip(self.average.buffers(), self.module.buffers(), strict=True):
            mine.copy_(theirs)

    def summary(self, lines: Sequence[Line]) -> Line:
        """Means since the last line: a batch is small here, and its loss rough."""
        last = lines[-1]
        meant = [*last][1 : [*last].index("rate")]  # losses and gradient
        return {**last, **{name: sum(each[name] for each in lines) / len(lines) for name in meant}}

    def close(self) -> None:
        """The module is in use from now on."""
        self.module.eval()

    def write(self, folder: Path | None) -> None:
        """The weights, and their average."""
        assert folder is not None
        save_model(self.module, str(folder / WEIGHTS_FILE))
        if self.average is not self.module:
            save_model(self.average, str(folder / AVERAGE_FILE))

    def read(self, folder: Path) -> None:
        """Inverts `write`."""
        for module, name in ((self.module, WEIGHTS_FILE), (self.average, AVERAGE_FILE)):
            if name == WEIGHTS_FILE or module is not self.module:
                with reading(folder / name):
                    load_model(module, folder / name)
