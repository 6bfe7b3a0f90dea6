"""The parts of the loss: cross-entropy in pieces, distances of conditions."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nextgpt_lite.model.config import (
    DISTANCES,
)
from nextgpt_lite.model.losses import condition_distance, head_errors
from tests.model.test_batch import open_and_stirred


@pytest.mark.parametrize("chunk", [1, 40 * 11, 10**6])
@pytest.mark.parametrize("bias", [False, True])
def test_pieces_of_the_head_give_the_cross_entropy_of_all_logits(chunk: int, bias: bool) -> None:
    torch.manual_seed(0)
    hidden, rows, amount = torch.randn(70, 8), torch.randn(3, 8), torch.rand(70)
    head, ids = torch.nn.Linear(8, 40, bias), torch.tensor([3, 39, 5])
    labels = torch.randint(40, (70,))
    both = []
    for pieces in (True, False):
        states, new = hidden.clone().requires_grad_(), rows.clone().requires_grad_()
        if pieces:
            errors = head_errors(states, head.weight, head.bias, new, ids, labels, chunk)
        else:
            logits = head(states).index_copy(-1, ids, states @ new.T)
            errors = F.cross_entropy(logits, labels, reduction="none")
        (errors * amount).sum().backward()
        both.append((errors.detach(), states.grad, new.grad))
    for ours, theirs in zip(*both, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_heads_stay_near(dtype: torch.dtype) -> None:
    model = open_and_stirred(2)
    states = torch.randn(50, model.llm.width, requires_grad=True)
    labels = torch.randint(model.llm.vocabulary, (50,))
    found = []
    for half in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", dtype, enabled=half):
            errors = model.llm.errors(states, labels)
        assert errors.dtype == torch.float32
        (gradient,) = torch.autograd.grad(errors.mean(), states)
        found.append((errors.detach(), gradient * 50))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=0.02, rtol=0.02)


def test_distances_are_what_they_say() -> None:
    target = torch.tensor([[[3.0, 4.0]], [[0.0, 2.0]]])  # (X, L, C), lengths 5 and 2
    doubled, turned = 2 * target, torch.tensor([[[-4.0, 3.0]], [[2.0, 0.0]]])
    plain = (3.5, (50**0.5 + 8**0.5) / 2)
    expected = {
        "l2": (1.0, 2.0),
        "plain-l2": plain,
        "cosine": (0.0, 1.0),
        "norm-matched": (1.0, 1.0),
    }
    assert set(expected) == set(DISTANCES)
    for kind, (twice, across) in expected.items():
        assert condition_distance(target, target, kind=kind) == pytest.approx(0.0, abs=1e-6)
        assert condition_distance(doubled, target, kind=kind) == pytest.approx(twice, abs=1e-6)
        assert condition_distance(turned, target, kind=kind) == pytest.approx(across, abs=1e-6)
        shares = [condition_distance(turned[i : i + 1], target[i : i + 1],
                                     target.pow(2).mean(), torch.tensor(2.0), kind)
                  for i in range(2)]  # fmt: skip
        assert sum(shares) == pytest.approx(across, abs=1e-6), "shares of a batch add up"
