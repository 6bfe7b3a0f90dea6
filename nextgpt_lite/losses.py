"""The parts of the training loss, under the names every log line and test uses.

Knows: tensors. Leaves to others: where they come from (`model`) and which of them a stage uses
(`training.stages`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = -100


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


def token_losses(logits: Tensor, labels: Tensor, signal_ids: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy split into words and signal tokens.

    Args:
        logits: (P, V) one row for each trained position.
        labels: (P,) the token to be predicted there.
        signal_ids: (X,) every signal token id.

    Returns:
        (text, signal), whose sum is the mean cross-entropy over the P positions.
    """
    if not len(labels):
        return logits.sum() * 0.0, logits.sum() * 0.0
    losses = F.cross_entropy(logits.float(), labels, reduction="none")  # (P,)
    is_signal = torch.isin(labels, signal_ids)  # (P,)
    return losses[~is_signal].sum() / len(losses), losses[is_signal].sum() / len(losses)


def condition_distance(projected: Tensor, condition: Tensor) -> Tensor:
    """Squared error relative to the condition's own size.

    The paper asks for an l2 distance. Conditions differ in scale (AudioLDM's has unit length over
    512 numbers, CLIP's about one per number), so the error is divided by the mean square of the
    target: 1.0 means "no better than zeros" for every modality.

    Args:
        projected: (X, L, C) output of the projection.
        condition: (X, L, C) the decoder's caption condition.
    """
    error = (projected - condition).pow(2).mean()
    return error / condition.pow(2).mean().clamp_min(1e-8)
