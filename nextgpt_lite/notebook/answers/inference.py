"""Judges of the exercises in 06_any_to_any_inference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from nextgpt_lite.media import Audio


def close(answer: Callable[[Tensor, dict[str, list[int]], Sequence[str]], Tensor]) -> str | None:
    """A function that closes all signal tokens but the first of each allowed block."""
    if not callable(answer):
        return f"a function is asked for, not {type(answer).__name__}"
    signal_ids = {"image": [4, 5, 6], "audio": [7, 8]}
    logits = torch.arange(10.0)
    result = answer(logits, signal_ids, ["image"])
    if not isinstance(result, Tensor):
        return "it must return the new logits"
    if not torch.equal(logits, torch.arange(10.0)):
        return "it changed the logits that were given: work on logits.clone()"
    isfinite = torch.isfinite(result)
    if isfinite[5] or isfinite[6]:
        return "a token inside a block can still be chosen: only its first token may"
    if isfinite[7]:
        return "the audio block can still open, though only image is allowed"
    if isfinite[8]:
        return "a block that may not open is closed as a whole, its inner tokens too"
    if not isfinite[4]:
        return "the first token of the image block is closed, though image is allowed"
    if not torch.equal(result[[0, 1, 2, 3, 4, 9]], logits[[0, 1, 2, 3, 4, 9]]):
        return "a token that is no signal token changed"
    if torch.isfinite(answer(logits, signal_ids, [])[4]):
        return "with nothing allowed, the image block can still open"
    return None


def history(answer: Any) -> str | None:
    """Three messages: an audio clip with a question, its answer, a wish."""
    from nextgpt_lite.model.conversation import content_parts

    if not isinstance(answer, list) or len(answer) != 3:
        return "a list of three messages is asked for: user, assistant, user"
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
    return None
