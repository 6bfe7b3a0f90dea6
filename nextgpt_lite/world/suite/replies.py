"""Many replies at once: what `model.chat` gives one by one, in a tenth of the time.

Knows: padded prompts, greedy choice row by row, batches of equal media with a seed each.
Leaves to others: what is asked, and what is right (`evaluation.lite`, the examinations).

A signal block goes through the LLM token by token here, so that all rows keep one step; `chat`
takes it in one forward. The states are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache

from nextgpt_lite.decoders.base import Decoder, bf16_is_fast
from nextgpt_lite.model.generation import Sampling, closed_ids
from nextgpt_lite.model.nextgpt import NextGPT
from nextgpt_lite.reply import Reply

Message = dict[str, Any]
ROWS = 64  # conversations that are answered at once
MEDIA = {"image": 32, "audio": 32, "video": 4}  # media that are made at once, as a CPU likes best


@torch.inference_mode()
def draft_all(model: NextGPT, conversations: Sequence[Sequence[Message]]) -> list[Reply]:
    """The greedy reply to each conversation; a media part has its "condition" (L, C), no "data".

    Args:
        conversations: messages that end with a user's; media of the user's are loaded ("data").
    """
    encoded = [model.conversation.encode(c, reply_follows=True) for c in conversations]
    slots = [slot for each in encoded for slot in each.media]
    unique = {id(slot.part["data"]): (slot.part["type"], slot.part["data"]) for slot in slots}
    features: dict[int, Tensor] = {}  # (E,) each
    if unique:
        vectors = model.encoder.encode([*unique.values()], batch_size=ROWS)  # (M, E)
        features = dict(zip(unique, vectors, strict=True))
    prompts = []
    for each in encoded:
        embeddings = model.llm.embed(torch.tensor([each.ids], device=model.device))  # (1, S, D)
        if each.media:
            starts = torch.tensor([slot.start for slot in each.media], device=model.device)
            seen = torch.stack([features[id(slot.part["data"])] for slot in each.media])  # (M, E)
            rows = torch.zeros_like(starts)
            embeddings = model.splice(embeddings, rows, starts, seen.to(model.device))
        prompts.append(embeddings[0])  # (S, D)
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    drafts: dict[int, Reply] = {}
    for first in range(0, len(order), ROWS):
        chosen = order[first : first + ROWS]
        drafts.update(zip(chosen, _answer(model, [prompts[i] for i in chosen]), strict=True))
    return [drafts[index] for index in range(len(prompts))]


def make(
    decoder: Decoder, conditions: Sequence[Tensor], seeds: Sequence[int], steps: int | None = None
) -> list[Any]:
    """The media of conditions (L, C), each from its own seed, as `chat` makes them.

    Runs under bf16 autocast where the processor has it.
    """
    with autocast(decoder.device):
        size = MEDIA[decoder.modality]
        return [*decoder.generate_each(conditions, seeds, size, num_inference_steps=steps)]


def autocast(device: torch.device) -> AbstractContextManager[Any]:
    """bf16 where it is faster than float32."""
    fast = device.type == "cuda" or bf16_is_fast(device)
    return torch.autocast(device.type, torch.bfloat16, enabled=fast)


class _Writer:
    """One row's reply as it grows; the rules are those of `generation.generate`."""

    def __init__(self, model: NextGPT, limits: Sampling) -> None:
        self.model, self.limits = model, limits
        self.openers = {ids[0]: name for name, ids in model.llm.signal_ids.items()}
        self.draft = Reply()
        self.done = False
        self._words: list[int] = []
        self._said = self._blocks = 0
        self._rest: list[int] = []  # what is left of the open block
        self._modality = ""
        self._states: list[tuple[Tensor, Tensor]] = []  # hidden and embedding (D,) of its tokens

    def take(self, logits: Tensor) -> int:
        """The next token to read, for the logits (V,) behind the last one."""
        if self._rest:
            return self._rest.pop(0)
        token = int(logits.argmax())
        if token in self.openers and self._blocks == self.limits.max_blocks:
            logits[list(self.openers)] = -torch.inf
            token = int(logits.argmax())
        if self._said == self.limits.max_new_tokens and token not in self.openers:
            token = self.model.llm.eos_id
        if token == self.model.llm.eos_id:
            self._close_words()
            self.done = True
        elif token in self.openers:
            self._close_words()
            self._blocks += 1
            self._modality = self.openers[token]
            self._rest = self.model.llm.signal_ids[self._modality][1:]
            self._states = []
        else:
            self._modality = ""
            self._said += 1
            self._words.append(token)
        return token

    def see(self, hidden: Tensor, embedding: Tensor) -> None:
        """State and embedding (D,) of the token that was read."""
        if self.done or not self._modality:
            return
        self._states.append((hidden, embedding))
        if self._rest:
            return
        states, embeddings = (torch.stack(each)[None] for each in zip(*self._states, strict=True))
        condition = self.model.project(self._modality, states, embeddings)[0]  # (L, C)
        self.draft.parts.append({"type": self._modality, "condition": condition})
        self._modality = ""

    def _close_words(self) -> None:
        if text := self.model.conversation.decode(self._words).strip():
            self.draft.parts.append({"type": "text", "text": text})
        self._words = []


def _answer(model: NextGPT, prompts: list[Tensor]) -> list[Reply]:
    """Replies to prompts (S, D) of like length."""
    llm, limits = model.llm, Sampling()
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=model.device)  # (B,)
    longest = int(lengths.max())
    embeddings = torch.stack([F.pad(p, (0, 0, longest - len(p), 0)) for p in prompts])  # (B, S, D)
    places = torch.arange(longest, device=model.device)[None] - (longest - lengths)[:, None]
    mask = (places >= 0).long()  # (B, S)
    cache = DynamicCache()
    hidden = llm.hidden(embeddings, mask, cache, places.clamp_min(0))[:, -1]  # (B, D)
    writers = [_Writer(model, limits) for _ in prompts]
    active = writers
    closed = closed_ids(llm, [ids[0] for ids in llm.signal_ids.values()])
    while True:
        logits = llm.logits(hidden).float()  # (B, V)
        logits[:, closed] = -torch.inf
        tokens = [writer.take(row) for writer, row in zip(active, logits, strict=True)]
        going = [index for index, writer in enumerate(active) if not writer.done]
        if not going:
            return [writer.draft for writer in writers]
        if len(going) < len(active):
            keep = torch.tensor(going, device=model.device)
            cache.batch_select_indices(keep)
            mask, lengths = mask[keep], lengths[keep]
            active, tokens = [active[i] for i in going], [tokens[i] for i in going]
        mask = F.pad(mask, (0, 1), value=1)
        read = llm.embed(torch.tensor(tokens, device=model.device)[:, None])  # (B, 1, D)
        with llm.tapped() as tapped:
            hidden = llm.hidden(read, mask, cache, lengths[:, None])[:, 0]
        states = tapped[0][:, 0] if tapped else hidden
        lengths = lengths + 1
        for writer, state, embedding in zip(active, states, read[:, 0], strict=True):
            writer.see(state, embedding)


@torch.inference_mode()
def told_conditions(model: NextGPT, conversations: Sequence[Sequence[Message]]) -> list[Tensor]:
    """The condition (L, C) of each conversation's last medium, all words being given.

    Args:
        conversations: in words, up to and including the reply whose last part is the medium.
    """
    encoded = [model.conversation.encode(c) for c in conversations]
    conditions: list[Tensor] = []
    for first in range(0, len(encoded), ROWS):
        some = encoded[first : first + ROWS]
        longest = max(len(each) for each in some)
        ids = torch.tensor([[*each.ids, *[0] * (longest - len(each))] for each in some])
        mask = torch.tensor([[1] * len(each) + [0] * (longest - len(each)) for each in some])
        embeddings = model.llm.embed(ids.to(model.device))  # (B, S, D)
        with model.llm.tapped() as tapped:
            hidden = model.llm.hidden(embeddings, mask.to(model.device))  # (B, S, D)
        hidden = tapped[0] if tapped else hidden
        for row, each in enumerate(some):
            slot = each.signals[-1]
            block = slice(slot.start, slot.start + len(model.llm.signal_ids[slot.modality]))
            states = hidden[row : row + 1, block], embeddings[row : row + 1, block]  # (1, N, D)
            conditions.append(model.project(slot.modality, *states)[0])
    return conditions
