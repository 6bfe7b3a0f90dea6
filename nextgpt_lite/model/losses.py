"""The parts of the training loss, under the names every log line and test uses.

Knows: tensors. Leaves to others: where they come from (`model`) and which of them a stage uses
(`training.stages`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = -100
CHUNK = 2**25, 2**22  # logits that exist at once: on an accelerator, on a CPU with its caches
TINY = 1e-8


class Losses(NamedTuple):
    """Loss of one batch; each part is a scalar, zero where the batch holds none of it.

    Attributes:
        total: what is minimised, `text + signal + condition`.
        text: cross-entropy on words, the sum over word positions / all trained positions.
        signal: cross-entropy on signal tokens, divided the same way, so that
            `text + signal` is the plain mean cross-entropy (paper section 4, equation for L_CE).
        condition: distance between projected signal tokens and the decoder's own caption
            condition, averaged over blocks (paper section 4.2), and what `denoising` adds.
    """

    total: Tensor
    text: Tensor
    signal: Tensor
    condition: Tensor

    def floats(self) -> dict[str, float]:
        """Plain numbers for a log line."""
        return {name: float(value.detach()) for name, value in self._asdict().items()}


class Divisors(NamedTuple):
    """What the sums of a batch's losses are divided by.

    They add up. A batch that is spread over processes, or over several backward passes, gives each
    share the mean of all shares' divisors; the mean of the losses, and so of the gradients, is
    then that of the whole batch, however unequal the shares.

    Attributes:
        positions: () trained positions.
        blocks: (modalities,) signal blocks of each modality.
        squares: (modalities,) sum over those blocks of the condition's mean square.
    """

    positions: Tensor
    blocks: Tensor
    squares: Tensor

    def sizes(self) -> Tensor:
        """(modalities,) the mean square of a condition."""
        return (self.squares / self.blocks.clamp_min(TINY)).clamp_min(TINY)


def token_losses(
    errors: Tensor, labels: Tensor, signal_ids: Tensor, positions: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Cross-entropy split into words and signal tokens.

    Args:
        errors: (P,) cross-entropy of each trained position.
        labels: (P,) the token to be predicted there.
        signal_ids: (X,) every signal token id.
        positions: () divisor of both sums; None means P.

    Returns:
        (text, signal), whose sum is the mean cross-entropy over the positions.
    """
    if positions is None:
        positions = torch.tensor(float(len(labels)), device=errors.device)
    shares = errors / positions.clamp_min(TINY)
    is_signal = torch.isin(labels, signal_ids)  # (P,)
    return shares[~is_signal].sum(), shares[is_signal].sum()


def head_errors(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    rows: Tensor,
    ids: Tensor,
    labels: Tensor,
    chunk: int | None = None,
) -> Tensor:
    """Cross-entropy of a frozen output matrix some of whose rows learn, never holding all logits.

    Each position's gradient is known as soon as its logits are, so it is computed at once and the
    logits are forgotten: with a vocabulary of 32,000 the logits of 8,192 positions, their softmax
    and its gradient would be 3 GB. Only `hidden` and `rows` get a gradient.

    Args:
        hidden: (P, D) states.
        weight: (V, D) output matrix; what stands at `ids` does not count.
        bias: (V,) of the output matrix.
        rows: (n, D) learning rows that stand at `ids` instead.
        ids: (n,) where.
        labels: (P,) the token to be predicted.
        chunk: logits that exist at once.

    Returns:
        float32 (P,).
    """
    kind = hidden.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype
    size = max(1, (chunk or CHUNK[kind == "cpu"]) // len(weight))
    errors: Tensor = _HeadErrors.apply(  # type: ignore[no-untyped-call]
        hidden, weight.detach(), bias, rows, ids, labels, dtype, size, torch.is_grad_enabled()
    )
    return errors


class _HeadErrors(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, rows: Tensor, ids: Tensor,
        labels: Tensor, dtype: torch.dtype, size: int, learning: bool,
    ) -> Tensor:  # fmt: skip
        is_new = labels[:, None] == ids  # (P, n)
        with torch.autocast(hidden.device.type, enabled=False):
            states, known, new = (t.to(dtype) for t in (hidden, weight, rows))
            wanted = torch.where(is_new.any(1, keepdim=True), is_new.to(dtype) @ new, known[labels])
            errors = hidden.new_empty(len(labels), dtype=torch.float32)
            slopes = torch.empty_like(hidden) if learning else None  # (P, D) of each own error
            onto_new = hidden.new_empty(len(labels), len(ids), dtype=torch.float32)  # (P, n)
            for first in range(0, len(labels), size):
                here = slice(first, first + size)
                logits = F.linear(states[here], known, bias)  # (p, V)
                logits[:, ids] = states[here] @ new.T
                logits = logits.float()
                right = logits.gather(-1, labels[here, None])  # (p, 1)
                most = logits.amax(-1, keepdim=True)
                weights = logits.sub_(most).exp_()  # probabilities, but for their sum
                total = weights.sum(-1, keepdim=True)  # (p, 1)
                errors[here] = (most + total.log() - right)[:, 0]
                if slopes is None:
                    continue
                onto_new[here] = weights[:, ids] / total - is_new[here].float()
                mixed = weights[:, ids].to(dtype) @ new
                weights[:, ids] = 0.0
                mixed = mixed.float() + (weights.to(dtype) @ known).float()
                slopes[here] = (mixed / total - wanted[here].float()).to(hidden.dtype)
        ctx.save_for_backward(slopes, onto_new, hidden)
        return errors

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        slopes, onto_new, hidden = ctx.saved_tensors
        amount = upstream[0][:, None]  # (P, 1)
        with torch.autocast(hidden.device.type, enabled=False):
            onto_rows = (onto_new * amount).T @ hidden.float()  # (n, D)
            onto_hidden = (slopes.float() * amount).to(hidden.dtype)
        return onto_hidden, None, None, onto_rows, None, None, None, None, None


def condition_distance(
    projected: Tensor,
    condition: Tensor,
    size: Tensor | None = None,
    blocks: Tensor | None = None,
    kind: str = "l2",
) -> Tensor:
    """How far projected signal tokens are from the condition they should become.

    "l2" is the paper's, scaled. Conditions differ in scale (AudioLDM's has unit length over 512
    numbers, CLIP's about one per number), so the squared error is divided by the mean square of the
    target: 1.0 means "no better than zeros" for every modality. "plain-l2" is the mean length of
    the L differences, divided by nothing, as the authors' code has it. "cosine" is one minus the
    cosine of the L pairs of vectors, which leaves their lengths free; "norm-matched" adds the
    squared relative error of the lengths.

    Args:
        projected: (X, L, C) output of the projection.
        condition: (X, L, C) the decoder's caption condition.
        size: () mean square to divide by; None takes that of `condition`.
        blocks: () what the sum over blocks is divided by; None means X.
        kind: one of `config.DISTANCES`.
    """
    if kind == "l2":
        if size is None:
            size = condition.pow(2).mean().clamp_min(TINY)
        error = (projected - condition).pow(2).flatten(1).mean(1).sum() / size
    elif kind == "plain-l2":
        error = (projected - condition).norm(dim=-1).mean(1).sum()
    else:
        errors = 1 - F.cosine_similarity(projected, condition, dim=-1)  # (X, L)
        if kind == "norm-matched":
            lengths = condition.norm(dim=-1).clamp_min(TINY)  # (X, L)
            errors = errors + (projected.norm(dim=-1) / lengths - 1).pow(2)
        error = errors.mean(1).sum()
    return error / (len(condition) if blocks is None else blocks)
