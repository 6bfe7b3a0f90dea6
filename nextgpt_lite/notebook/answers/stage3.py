"""Judges of the exercises in 05_stage3_instruction_tuning."""

from __future__ import annotations

import numpy as np
from torch import Tensor

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
