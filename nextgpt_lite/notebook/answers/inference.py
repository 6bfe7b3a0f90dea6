"""Judges of the exercises in 06_any_to_any_inference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nextgpt_lite.media import Audio
from nextgpt_lite.notebook.exercises import Function, normal

Signals = dict[str, list[int]]


def _closed(logits: Tensor, ids: list[int], value: float = -torch.inf) -> Tensor:
    return logits.index_fill(0, torch.tensor(ids, dtype=torch.long), value)


def _to_close(signal_ids: Signals, allowed: Sequence[str]) -> list[int]:
    return [x for name, ids in signal_ids.items() for x in ids[name in allowed :]]


def _step(random: np.random.Generator) -> tuple[Tensor, Signals, list[str]]:
    ids = [int(x) for x in 4 + random.permutation(12)]
    cuts = [0, *sorted(int(c) for c in random.choice(range(2, 9), 2, False))]
    names = ("image", "audio", "video")
    signal_ids = {n: ids[a:b] for n, a, b in zip(names, cuts, [*cuts[1:], 10], strict=True)}
    return normal(random, 16), signal_ids, [n for n in names if random.random() < 0.5]


close = Function(
    right=lambda logits, signal_ids, allowed: _closed(logits, _to_close(signal_ids, allowed)),
    draw=_step,
    mistakes={
        "infinity opens a token instead of closing it: minus infinity": (
            lambda logits, ids, allowed: _closed(logits, _to_close(ids, allowed), torch.inf)
        ),
        "NaN is no likelihood: closed is minus infinity": (
            lambda logits, ids, allowed: _closed(logits, _to_close(ids, allowed), torch.nan)
        ),
        "zero is a likelihood like any other: closed is minus infinity": (
            lambda logits, ids, allowed: _closed(logits, _to_close(ids, allowed), 0.0)
        ),
        "a token inside a block can still be chosen: only its first token may": (
            lambda logits, ids, allowed: _closed(
                logits, [x for name in ids if name not in allowed for x in ids[name]]
            )
        ),
        "a block that may not open is closed as a whole, its inner tokens too": (
            lambda logits, ids, allowed: _closed(
                logits,
                [x for n, b in ids.items() for x in (b[1:] if n in allowed else b[:1])],
            )
        ),
        "a block that may not open still can: its first token is to be closed, too": (
            lambda logits, ids, allowed: _closed(logits, [x for b in ids.values() for x in b[1:]])
        ),
        "the first token of an allowed block is closed": (
            lambda logits, ids, allowed: _closed(
                logits, [x for block in ids.values() for x in block]
            )
        ),
        "nothing is closed": lambda logits, ids, allowed: logits.clone(),
    },
)


def history(answer: Any) -> str | None:
    """Three messages: an audio clip with a question, its answer, a wish."""
    from nextgpt_lite.model.conversation import content_parts

    if not isinstance(answer, list | tuple) or len(answer) != 3:
        return "a list of three messages is asked for: user, assistant, user"
    if not all(
        isinstance(message, dict) and {"role", "content"} <= set(message) for message in answer
    ):
        return 'each message is a dict with "role" and "content"'
    parts = [content_parts(message) for message in answer]
    if [message["role"] for message in answer] != ["user", "assistant", "user"]:
        return "the roles are user, assistant, user, in this order"
    audios = [part for part in parts[0] if part["type"] == "audio"]
    if not audios:
        return "the first message lacks the audio: a part of type audio"
    if not isinstance(audios[0].get("data"), Audio):
        return 'the audio goes under the key "data"; "path" is for files'
    texts = [" ".join(p["text"] for p in part if p["type"] == "text") for part in parts]
    wanted = ["What is this?", "A dog barks twice in a low pitch.", "Draw it."]
    for index, (text, words) in enumerate(zip(texts, wanted, strict=True)):
        if text.strip() != words:
            return f'message {index} says "{text}", not "{words}"'
    if any(part["type"] != "text" for part in parts[2]):
        return "the last message needs no audio: the model still has the first one"
    if len(audios) > 1 or any(part["type"] not in ("text", "audio") for part in parts[0]):
        return "the user showed one audio and nothing else"
    if any(part["type"] != "text" for part in parts[1]):
        return "the model answered in words: no medium belongs to its message"
    return None
