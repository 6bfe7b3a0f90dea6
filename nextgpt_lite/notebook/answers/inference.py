"""Judges of the exercises in 06_any_to_any_inference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nextgpt_lite.media import Audio
from nextgpt_lite.model.generation import Prompt, Sampling, generate
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


@dataclass
class _Bigrams:
    """A language model that looks at the last token and at how many there are."""

    table: Tensor  # (V, V)
    begin: int
    end: int

    def __call__(self, ids: Sequence[int]) -> Tensor:
        """Ids of the reply so far -> logits (V,) of the next one."""
        logits = self.table[ids[-1] if ids else self.begin].clone()
        logits[self.end] += 0.1 * len(ids)
        return logits


def _model(random: np.random.Generator) -> tuple[_Bigrams, Signals, int]:
    """Sixteen tokens, ten of them of three blocks, which are likelier than words."""
    _, signal_ids, _ = _step(random)
    table = normal(random, 16, 16)
    table[:, [x for ids in signal_ids.values() for x in ids]] += 0.7
    table[:, 1] -= 0.5
    return _Bigrams(table, begin=0, end=1), signal_ids, 1


def _generated(model: _Bigrams, signal_ids: Signals, end: int) -> list[int]:
    """By the package's own loop."""
    read: list[int] = []

    def hidden(ids: Tensor, *_: Any) -> Tensor:
        read.extend(int(i) for i in ids.flatten())
        return ids

    llm: Any = SimpleNamespace(
        signal_ids=signal_ids, all_signal_ids=[x for ids in signal_ids.values() for x in ids],
        marker_ids=[], tokenizer=SimpleNamespace(pad_token_id=None), eos_id=end, end_mark=None,
        messenger="signal", ways={"chunked"}, device="cpu", new_cache=list, hidden=hidden,
        embed=lambda ids: ids[..., None], tapped=lambda: nullcontext([]),
        logits=lambda last: model(read[1:])[None],
    )  # fmt: skip
    prompt = Prompt(torch.tensor([[model.begin]]), allowed=list(signal_ids))
    items = [item for _, item in generate(llm, [prompt], Sampling(max_blocks=1000))]
    return [x for item in items for x in ([item] if isinstance(item, int) else item.ids)]


def _loop(
    closed: Callable[[Signals], list[int]] = lambda blocks: _to_close(blocks, [*blocks]),
    rest: Callable[[list[int]], list[int]] = lambda ids: ids[1:],
    after_block: bool = True,
    with_end: bool = False,
) -> Callable[..., list[int]]:
    """A loop like the right one, or with a flaw."""

    def written(model: _Bigrams, signal_ids: Signals, end: int) -> list[int]:
        opens = {ids[0]: ids for ids in signal_ids.values()}
        reply: list[int] = []
        while len(reply) < 300:
            token = int(_closed(model(reply), closed(signal_ids)).argmax())
            if token == end:
                return reply + [end] * with_end
            reply += [token, *rest(opens.get(token, [token]))]
            if token in opens and not after_block:
                return reply
        return reply

    return written


write = Function(
    right=_generated,
    draw=_model,
    mistakes={
        "a token from inside a block was chosen: close all but the first of each": (
            _loop(closed=lambda blocks: [])
        ),
        "no block ever opens: its first token may be chosen": (
            _loop(closed=lambda blocks: _to_close(blocks, []))
        ),
        "a chosen first token brings the rest of its block with it": _loop(rest=lambda ids: []),
        "the first token is there twice: append only the rest": (
            _loop(rest=lambda ids: ids if len(ids) > 1 else [])
        ),
        "words may follow a block: the reply ends with the end token": _loop(after_block=False),
        "the end token is no part of the reply": _loop(with_end=True),
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
