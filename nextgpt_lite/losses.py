"""The parts of the training loss, under the names every log line and test uses.

Knows: tensors. Leaves to others: where they come from (`model`) and which of them a stage uses
(`training.stages`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

IGNORE = -100
CHUNK = 2**24  # logits that exist at once: 64 MB of float32
TINY = 1e-8


class Losses(NamedTuple):
    """Loss of one batch; each part is a scalar, zero where the batch holds none of it.

    Attributes:
        total: what is minimised, `text + signal + condition`.
        text: cross-entropy on words, the sum over word positions / all trained positions.
        signal: cross-entropy on signal tokens, divided the same way, so that
            `text + signal` is the plain mean cross-entropy (paper section 4, equation for L_CE).
        condition: distance between projected signal tokens and the decoder's own caption
            condition, averaged over blocks (paper section 4.2).
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


def chunked_token_losses(
    head: Callable[[Tensor], Tensor],
    hidden: Tensor,
    labels: Tensor,
    signal_ids: Tensor,
    positions: Tensor,
    vocabulary: int,
    chunk: int = CHUNK,
) -> tuple[Tensor, Tensor]:
    """`token_losses` of `head(hidden)` without ever holding all of its logits.

    With a vocabulary of 32,000 the logits of 8,192 positions, their softmax and its gradient are
    3 GB. Where they are more than `chunk`, the positions go through the head piece by piece, and
    the backward pass computes each piece's logits again.

    Args:
        head: (P, D) -> (P, V).
        hidden: (P, D) states of the trained positions.
        labels, signal_ids, positions: as in `token_losses`.
        vocabulary: V.
        chunk: logits that may exist at once.
    """

    def part(states: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        return token_losses(head(states), wanted, signal_ids, positions)

    size = max(1, chunk // vocabulary)
    if len(labels) <= size:
        return part(hidden, labels)
    pieces = [
        checkpoint(part, states, wanted, use_reentrant=False)
        for states, wanted in zip(hidden.split(size), labels.split(size), strict=True)
    ]
    text, signal = zip(*pieces, strict=True)
    return torch.stack(text).sum(), torch.stack(signal).sum()


def token_losses(
    logits: Tensor, labels: Tensor, signal_ids: Tensor, positions: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Cross-entropy split into words and signal tokens.

    Args:
        logits: (P, V) one row for each trained position.
        labels: (P,) the token to be predicted there.
        signal_ids: (X,) every signal token id.
        positions: () divisor of both sums; None means P.

    Returns:
        (text, signal), whose sum is the mean cross-entropy over the positions.
    """
    if positions is None:
        positions = torch.tensor(float(len(labels)), device=logits.device)
    losses = F.cross_entropy(logits.float(), labels, reduction="none")  # (P,)
    losses = losses / positions.clamp_min(TINY)
    is_signal = torch.isin(labels, signal_ids)  # (P,)
    return losses[~is_signal].sum(), losses[is_signal].sum()


def condition_distance(
    projected: Tensor,
    condition: Tensor,
    size: Tensor | None = None,
    blocks: Tensor | None = None,
) -> Tensor:
    """Squared error relative to the condition's own size.

    The paper asks for an l2 distance. Conditions differ in scale (AudioLDM's has unit length over
    512 numbers, CLIP's about one per number), so the error is divided by the mean square of the
    target: 1.0 means "no better than zeros" for every modality.

    Args:
        projected: (X, L, C) output of the projection.
        condition: (X, L, C) the decoder's caption condition.
        size: () mean square to divide by; None takes that of `condition`.
        blocks: () what the sum over blocks is divided by; None means X.
    """
    if size is None:
        size = condition.pow(2).mean().clamp_min(TINY)
    error = (projected - condition).pow(2).flatten(1).mean(1).sum()
    return error / size / (len(condition) if blocks is None else blocks)
