"""One reply from inside: every position, where it came from, and the forward it went through.

Knows: how to watch the LLM while it answers, so that a trace tells what ran and not what should
have. Leaves to others: the turn itself (`chat`), the token loop (`generation`), figures.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

from torch import Tensor, nn

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.messages import Conversation
from nextgpt_lite.options import Options, seed_of
from nextgpt_lite.reply import Reply
from nextgpt_lite.turn import asked, events

Origin = Literal["text", "media", "signal"]


@dataclass(frozen=True)
class Row:
    """One position of the conversation.

    Attributes:
        position: from 0, prompt and reply counted through.
        token: what stands there; for a projected vector its item, such as "image 1/8".
        origin: words and template, an item the user gave, or a signal token.
        forward: number of the LLM's forward that read this position; the prompt is forward 0.
    """

    position: int
    token: str
    origin: Origin
    forward: int


@dataclass(frozen=True)
class TracedBlock:
    """A signal block of the reply and what became of it."""

    modality: str
    start: int
    tokens: list[str]
    condition: Tensor  # (L, C) what the output projection made of it
    film: list[tuple[int, Any]]  # steps, and the medium as it was after each


@dataclass(frozen=True)
class Trace:
    """What `trace` saw. Printed, it is one line a forward.

    Attributes:
        prompt_length: positions of the prompt, media included.
        forwards: for each forward of the LLM how many positions it read.
        ids: the reply's token ids, signal tokens included, without the end token.
    """

    rows: list[Row]
    blocks: list[TracedBlock]
    prompt_length: int
    forwards: list[int]
    ids: list[int]
    reply: Reply

    def __str__(self) -> str:
        lines = ["forward  positions  tokens"]
        for forward, group in groupby(self.rows, key=lambda row: row.forward):
            rows = list(group)
            first, last = rows[0].position, rows[-1].position
            span = str(first) if first == last else f"{first}-{last}"
            lead = f"{forward:7d}  {span:>9s}  "
            lines += textwrap.wrap(lead + _joined(rows), 76, subsequent_indent=" " * 20)
        return "\n".join(lines)


def trace(
    model: NextGPT,
    messages: str | Conversation,
    *,
    seed: int = 0,
    previews: int = 0,
    **options: Any,
) -> Trace:
    """Holds one turn as `model.chat` does and tells what went through the LLM.

    Args:
        messages: the user's words, or messages that end with a user turn; media stand in them.
        seed, options: as for `chat`.
        previews: every so many steps of a decoder its film has a frame; 0 for never.
    """
    turns = asked(messages)
    films: list[list[tuple[int, Any]]] = [[]]
    with _watched(model) as (read, forwards):
        for event in events(
            model, turns, seed_of(seed), Options(**options),
            progress=previews > 0, previews=previews,
        ):  # fmt: skip
            if event.type == "media":
                films.append([])
            elif event.type == "step" and event.media is not None:
                films[-1].append((event.step, event.media))
    reply = event.reply
    assert reply is not None
    prompt, *rest = read
    encoded = model.conversation.encode(turns, reply_follows=True)
    gaps = {
        slot.start + offset: f"{slot.part['type']} {offset + 1}/{model.config.input_tokens}"
        for slot in encoded.media
        for offset in range(model.config.input_tokens)
    }
    signal = set(model.llm.all_signal_ids)
    rows: list[Row] = []
    for forward, ids in enumerate(read):
        for token in ids:
            name = model.llm.tokenizer.decode([token])
            origin: Origin = "signal" if token in signal else "text"
            if len(rows) in gaps:
                name, origin = gaps[len(rows)], "media"
            rows.append(Row(len(rows), name, origin, forward))
    starts = _starts(len(prompt), rest, model)
    blocks = [
        TracedBlock(
            made.block.modality, start, model.llm.describe_ids(made.block.ids), made.condition, film
        )
        for start, made, film in zip(starts, reply.made, films, strict=False)
    ]
    reply_ids = [token for ids in rest for token in ids]
    return Trace(rows, blocks, len(prompt), forwards, reply_ids, reply)


@contextmanager
def _watched(model: NextGPT) -> Iterator[tuple[list[list[int]], list[int]]]:
    """Collects the ids that are embedded and the lengths of the LLM's forwards."""
    read: list[list[int]] = []
    forwards: list[int] = []

    def on_embed(_: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        read.append(arguments[0][0].tolist())  # (1, S)

    def on_forward(_: nn.Module, __: Any, named: dict[str, Any]) -> None:
        forwards.append(named["inputs_embeds"].shape[1])  # (1, S, D)

    causal_lm = model.llm.causal_lm
    table = causal_lm.get_input_embeddings().token_adapter.base_layer  # below the new rows
    hooks = (
        table.register_forward_pre_hook(on_embed),
        causal_lm.get_decoder().register_forward_pre_hook(on_forward, with_kwargs=True),
    )
    try:
        yield read, forwards
    finally:
        for hook in hooks:
            hook.remove()


def _starts(position: int, read: list[list[int]], model: NextGPT) -> list[int]:
    """First positions of the blocks in what followed the prompt."""
    openers = {ids[0] for ids in model.llm.signal_ids.values()}
    starts = []
    for ids in read:
        if ids[0] in openers:
            starts.append(position)
        position += len(ids)
    return starts


def _joined(rows: list[Row]) -> str:
    """Tokens as they are read; items and blocks as their first and last."""
    pieces = []
    for origin, group in groupby(rows, key=lambda row: row.origin):
        names = [row.token for row in group]
        if origin == "text":
            pieces.append("".join(names))
        elif origin == "signal":
            pieces.append(f"{names[0]} .. {names[-1]} ({len(names)} at once)")
        else:
            pieces.append(f"({len(names)} projected vectors)")
    return "".join(pieces).strip() or repr("".join(pieces))
