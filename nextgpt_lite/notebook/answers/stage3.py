"""Judges of the exercises in 05_stage3_instruction_tuning."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from peft import LoraConfig
from peft.tuners.lora import Linear as PeftLinear
from torch import Tensor, nn

from nextgpt_lite.notebook.exercises import Function, normal


def _matrices(random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, float]:
    out, into, r = 6, 5, int(random.integers(2, 5))
    w, a, b = normal(random, out, into), normal(random, r, into), normal(random, out, r)
    return w, a, b, float(random.integers(6, 20))


merge = Function(
    right=lambda w, a, b, alpha: w + alpha / len(a) * b @ a,
    draw=_matrices,
    mistakes={
        "the scale alpha / r is missing": lambda w, a, b, alpha: w + b @ a,
        "divide alpha by r: it is the number of rows of A": (
            lambda w, a, b, alpha: w + alpha * b @ a
        ),
        "W itself is missing from the sum": lambda w, a, b, alpha: alpha / len(a) * b @ a,
        "alpha is divided by the width; divide by r, the number of rows of A": (
            lambda w, a, b, alpha: w + alpha / a.shape[1] * b @ a
        ),
        "that is W alone: B A is missing": lambda w, a, b, alpha: w,
        "it is added: LoRA begins as no change at all": (
            lambda w, a, b, alpha: w - alpha / len(a) * b @ a
        ),
    },
)

Turns = list[tuple[str, list[str]]]


def _turns(random: np.random.Generator) -> tuple[Turns]:
    words = ("hello", "yes", "here")
    turns: Turns = []
    for _ in range(int(random.integers(1, 4))):
        turns.append(("user", ["hi", "you", "there"][: int(random.integers(1, 4))]))
        signals = ["[IMG0]", "[IMG1]"] if random.random() < 0.6 else []
        turns.append(("assistant", [*words[: int(random.integers(1, 4))], *signals, "</s>"]))
    return (turns,)


trained = Function(
    right=lambda turns: [role == "assistant" for role, tokens in turns for _ in tokens],
    draw=_turns,
    mistakes={
        "the other way round: the model learns to answer, not to ask": (
            lambda turns: [role == "user" for role, tokens in turns for _ in tokens]
        ),
        "what the user says is not trained on": (
            lambda turns: [True for _, tokens in turns for _ in tokens]
        ),
        "the end token is trained on too: else the model never learns to stop": (
            lambda turns: [r == "assistant" and t != "</s>" for r, tokens in turns for t in tokens]
        ),
        "signal tokens are trained on too: the model must learn to choose them": (
            lambda turns: [r == "assistant" and t[0] != "[" for r, tokens in turns for t in tokens]
        ),
        "every reply of a conversation is trained on, not only the last": (
            lambda turns: [i == len(turns) - 1 for i, (_, t) in enumerate(turns) for _ in t]
        ),
        "one answer a token is asked for, not one a turn": (
            lambda turns: [role == "assistant" for role, _ in turns]
        ),
    },
)


def _layers(random: np.random.Generator) -> tuple[Any, ...]:
    """weight and bias of a frozen layer, inputs, what A and B become, alpha."""
    out, into, r = 6, 5, int(random.integers(2, 5))
    base = normal(random, out, into), normal(random, out)
    ab = normal(random, r, into), normal(random, out, r)
    return *base, normal(random, 2, 3, into), *ab, float(random.integers(6, 20))


def _tuned(answer: Any, w: Tensor, bias: Tensor, x: Tensor, a: Tensor, b: Tensor, to: float) -> Any:
    """Everything that is asked of the layer, as numbers."""
    base = nn.Linear(w.shape[1], w.shape[0])
    base.load_state_dict({"weight": w, "bias": bias})
    layer = answer(base, len(a), to)
    fresh = layer(x)
    begins = [float(layer.A.abs().max() > 0), float(layer.B.abs().max() > 0)]
    layer.A.data.copy_(a)
    layer.B.data.copy_(b)
    made = layer(x)
    made.sum().backward()
    asked = (layer.A, layer.B, base.weight, base.bias)
    known = {id(p) for p in layer.parameters()}  # as an optimiser will know them
    learns = [float(p.grad is not None and id(p) in known) for p in asked]
    return torch.cat([torch.tensor([*begins, *learns]), fresh.flatten(), made.flatten()])


class _Peft(PeftLinear):  # type: ignore[misc]
    """peft's layer under the exercise's names."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__(base, "default", LoraConfig(), r=rank, lora_alpha=alpha)
        base.requires_grad_(False)

    A = property(lambda self: self.lora_A["default"].weight)
    B = property(lambda self: self.lora_B["default"].weight)


def _flawed(
    scale: Any = lambda alpha, rank: alpha / rank,
    a: float = 1,
    b: float = 0,
    frozen: bool = True,
    base: bool = True,
) -> type[nn.Module]:
    """A layer of the reader's kind, with a flaw."""

    class Layer(nn.Module):
        def __init__(self, inner: nn.Linear, rank: int, alpha: float) -> None:
            super().__init__()
            self.inner, self.scale = inner.requires_grad_(not frozen), scale(alpha, rank)
            self.A = nn.Parameter(a * torch.ones(rank, inner.in_features))
            self.B = nn.Parameter(b * torch.ones(inner.out_features, rank))

        def forward(self, x: Tensor) -> Tensor:
            return base * self.inner(x) + self.scale * x @ self.A.T @ self.B.T

    return Layer


LoRA = Function(
    right=_Peft,
    draw=_layers,
    use=_tuned,
    mistakes={
        "A and B both begin at zero: then neither ever gets a gradient": _flawed(a=0),
        "B begins at zero, A at random: yours are the other way round": _flawed(a=0, b=1),
        "training must begin at the frozen model: B begins at zero": _flawed(b=1),
        "W is not frozen: requires_grad_(False) on the base layer": _flawed(frozen=False),
        "the scale alpha / r is missing": _flawed(lambda alpha, rank: 1),
        "divide alpha by the rank": _flawed(lambda alpha, rank: alpha),
        "the base layer's own answer is missing: W x + ...": _flawed(base=False),
    },
    trials=5,
)
