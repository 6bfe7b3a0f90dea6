"""Which of several answers a model finds likeliest.

Knows: the loss of a given reply. Leaves to others: questions (`benchmarks.choices`), scores
(`choosing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from nextgpt_lite.model.losses import IGNORE
from nextgpt_lite.model.nextgpt import NextGPT


@torch.inference_mode()
def answer_losses(
    model: NextGPT,
    content: Sequence[dict[str, Any]],
    answers: Sequence[str],
    *,
    whole: bool = True,
) -> list[float]:
    """Mean cross-entropy in nats a token of each answer, as the reply to one user turn.

    Args:
        content: parts of the user's message, media as "data".
        answers: texts of replies, at least two.
        whole: the reply must end there; False leaves out the tokens with which all answers end, so
            that a reply may go on ("Yes" of "Yes, it is a dog.").
    """
    asked = {"role": "user", "content": [*content]}
    each = [
        model.conversation.encode([asked, {"role": "assistant", "content": answer}])
        for answer in answers
    ]
    items = [(slot.part["type"], slot.part["data"]) for slot in each[0].media]
    features = model.encoder.encode(items).to(model.device) if items else None  # (M, E)
    replies = [[label for label in encoded.labels if label != IGNORE] for encoded in each]
    end = 0 if whole else _shared_end(replies)
    losses = []
    for encoded, reply in zip(each, replies, strict=True):
        ids = torch.tensor([encoded.ids], device=model.device)  # (1, S)
        embeddings = model.llm.embed(ids)  # (1, S, D)
        if features is not None:
            starts = torch.tensor([slot.start for slot in encoded.media], device=model.device)
            embeddings = model.splice(embeddings, torch.zeros_like(starts), starts, features)
        labels = torch.tensor(encoded.labels[1:], device=model.device)  # (S - 1,)
        places = (labels != IGNORE).nonzero()[: len(reply) - end, 0]  # (P,)
        hidden = model.llm.hidden(embeddings)[0, places]  # (P, D)
        losses.append(float(model.llm.errors(hidden, labels[places]).mean()))
    return losses


def _shared_end(rows: Sequence[Sequence[int]]) -> int:
    """With how many equal tokens all rows end; each keeps one at least."""
    longest = min(len(row) for row in rows) - 1
    return next((n for n in range(longest) if len({row[-1 - n] for row in rows}) > 1), longest)
