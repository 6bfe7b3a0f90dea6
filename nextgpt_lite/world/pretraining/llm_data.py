"""Conversations as packed rows of token ids, for the language model to read before it is frozen.

Knows: how alt text stands between the markers, as words or as soft vectors, what is trained on,
and how rows are packed. Leaves to others: which conversations (`world.dialogue`), the model.

Later a projection fills the place of the alt text with K vectors that lie near, but never on, the
embeddings of words. So that the frozen model reads such vectors, part of the alt text here
becomes K mixtures of word embeddings with noise ("soft words").

Letters: B rows, S positions in a row, N soft items in a batch, K vectors an item, M words mixed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedTokenizerBase as Tokenizer

from nextgpt_lite.messages import Message, text_of
from nextgpt_lite.model.modality import get_modality
from nextgpt_lite.world.scene import MODALITIES

ROW = 192  # ids, which 99 in 100 conversations fit
GAP = 60  # positions skipped between turns at most: later, signal tokens and media stand there
SOFT_VECTORS = 8  # K
MAX_WORDS = 24  # M
SOFT = 0.45  # share of the alt texts that become soft words
MOST_NOISE = 0.6  # in units of the embeddings' own deviation
LOOSE = 0.4  # share of the user's turns with words cut into other pieces than the tokenizer's
CUT = 0.06  # chance of a cut between two letters of such a turn
GLUE = frozenset(("a", "an", "the", "in", "on", "and", "of", "times", "pitch"))
_OPEN = "|".join(get_modality(name).open for name in MODALITIES)
_CLOSE = "|".join(get_modality(name).close for name in MODALITIES)
_ALT_TEXT = re.compile(rf"({_OPEN})\s*(.*?)\s*({_CLOSE})")


class Batch(NamedTuple):
    """Packed rows. `document` tells the conversations of a row apart (-1: padding)."""

    ids: Tensor  # (B, S)
    said: Tensor  # (B, S) True where the assistant says the id: what is learnt to be foretold
    position: Tensor  # (B, S) counted from the conversation's begin
    document: Tensor  # (B, S)
    soft_at: Tensor  # (N, K) places in the flattened rows
    soft_words: Tensor  # (N, M) ids
    soft_mix: Tensor  # (N, K, M) weights
    soft_noise: Tensor  # (N,) standard deviation, in units of the embeddings' own


class SoftWords(NamedTuple):
    """One alt text as K vectors: where they begin, the words mixed, weights (K, words), noise."""

    begin: int
    ids: list[int]
    mix: np.ndarray
    noise: float


@dataclass
class Reading:
    """One conversation as ids."""

    ids: list[int] = field(default_factory=list)
    position: list[int] = field(default_factory=list)
    said: list[bool] = field(default_factory=list)
    soft: list[SoftWords] = field(default_factory=list)

    gaps: int = 0

    def add(self, ids: list[int], said: bool = False) -> None:
        begin = len(self.ids) + self.gaps
        self.ids += ids
        self.position += range(begin, begin + len(ids))
        self.said += [said] * len(ids)


class Reader:
    """Turns conversations into readings.

    Only what the assistant says is to be foretold. The user's words cannot be, and to learn how
    often which of them comes drowns the little that tells which of two things is the green one.

    Args:
        tokenizer: of `tokenizers.llm_tokenizer`.
        soft: share of the alt texts that become soft words, and of the turns followed by a gap.
        loose: share of the user's turns whose words are cut at random places, so that the model
            learns how its pieces are spelt and reads mistyped words ("subword regularization").
    """

    def __init__(self, tokenizer: Tokenizer, soft: float = SOFT, loose: float = 0.0) -> None:
        self.tokenizer = tokenizer
        self.soft = soft
        self.loose = loose

    def read(self, messages: list[Message], rng: Random) -> Reading:
        """The ids of a conversation, laid out as the tokenizer's chat template does.

        A last turn of the user ends with the prompt for a reply.
        """
        reading = Reading()
        self._add(reading, self.tokenizer.bos_token)
        for message in messages:
            if message["role"] == "user":
                self._read_user(reading, text_of(message), rng)
                self._add(reading, " ASSISTANT:")
            else:
                reply = f" {message['content']}{self.tokenizer.eos_token}"
                self._add(reading, reply, said=True)
                if rng.random() < self.soft:
                    reading.gaps += rng.randrange(GAP)
        return reading

    def _read_user(self, reading: Reading, content: str, rng: Random) -> None:
        begin = "USER:"
        pieces = _ALT_TEXT.split(f" {content}")  # words, open, alt text, close, words, ...
        cut = CUT if self.loose and rng.random() < self.loose else 0.0
        for index in range(0, len(pieces) - 1, 4):
            words, opening, alt_text, closing = pieces[index : index + 4]
            self._add_cut(reading, begin, words, opening, cut, rng)
            if rng.random() < self.soft:
                self._add_soft(reading, alt_text, rng)
            else:
                self._add(reading, f" {alt_text}")
            begin = closing
        self._add_cut(reading, begin, pieces[-1], "", cut, rng)

    def _add_cut(
        self, reading: Reading, before: str, words: str, behind: str, cut: float, rng: Random
    ) -> None:
        """Adds `before + words + behind`, the words cut between letters with chance `cut`."""
        first = 0
        for place in range(1, len(words) if cut else 0):
            if words[place - 1 : place + 1].isalpha() and rng.random() < cut:
                self._add(reading, before + words[first:place])
                before, first = "", place
        self._add(reading, before + words[first:] + behind)

    def _add_soft(self, reading: Reading, alt_text: str, rng: Random) -> None:
        words = [word.strip(",") for word in alt_text.split()]
        ids = self._ids("".join(f" {word}" for word in words if word not in GLUE))[:MAX_WORDS]
        noise = rng.uniform(0.0, MOST_NOISE)
        reading.soft.append(SoftWords(len(reading.ids), ids, soft_mix(len(ids), rng), noise))
        reading.add([self.tokenizer.pad_token_id] * SOFT_VECTORS)

    def _add(self, reading: Reading, text: str, said: bool = False) -> None:
        reading.add(self._ids(text), said)

    def _ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False)


def soft_mix(words: int, rng: Random) -> np.ndarray:
    """Weights (K, words) with which K vectors mix neighbouring words, some of them unevenly.

    The words lie evenly along the K vectors; each vector takes those near it, a little of the
    others, and has a length of its own.
    """
    noise = np.random.default_rng(rng.getrandbits(32))
    centres = np.linspace(0, words - 1, SOFT_VECTORS)
    width = rng.uniform(0.2, 0.9)
    distance = centres[:, None] - np.arange(words)[None]
    mix = np.exp(-0.5 * (distance / width) ** 2) + rng.uniform(0, 0.15) * noise.random(
        (SOFT_VECTORS, words)
    )
    mix *= noise.uniform(0.5, 1.5, mix.shape)
    mix /= np.sqrt((mix**2).sum(1, keepdims=True))  # independent embeddings: the usual length
    return (mix * rng.uniform(0.6, 1.6)).astype(np.float32)


def pack(readings: Iterator[Reading], rows: int, length: int = ROW) -> Batch:
    """Fills rows first-fit up to the first reading that fits nowhere; too long ones are skipped."""
    filled: list[list[Reading]] = [[] for _ in range(rows)]
    room = [length] * rows
    for reading in readings:
        size = len(reading.ids)
        if size > length:
            continue
        row = next((r for r in range(rows) if room[r] >= size), None)
        if row is None:
            break
        filled[row].append(reading)
        room[row] -= size
    ids = torch.zeros(rows, length, dtype=torch.long)
    said = torch.zeros(rows, length, dtype=torch.bool)
    position = torch.zeros(rows, length, dtype=torch.long)
    document = torch.full((rows, length), -1)
    soft: list[SoftWords] = []
    for row, readings_of_row in enumerate(filled):
        at = 0
        for number, reading in enumerate(readings_of_row):
            end = at + len(reading.ids)
            ids[row, at:end] = torch.tensor(reading.ids)
            said[row, at:end] = torch.tensor(reading.said)
            position[row, at:end] = torch.tensor(reading.position)
            document[row, at:end] = number
            soft += [s._replace(begin=row * length + at + s.begin) for s in reading.soft]
            at = end
    return Batch(ids, said, position, document, *_stack(soft))


def _stack(soft: list[SoftWords]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    count = len(soft)
    words = torch.zeros(count, MAX_WORDS, dtype=torch.long)
    mix = torch.zeros(count, SOFT_VECTORS, MAX_WORDS)
    begins, noise = torch.zeros(count, dtype=torch.long), torch.zeros(count)
    for index, (begin, ids, weights, deviation) in enumerate(soft):
        words[index, : len(ids)] = torch.tensor(ids)
        mix[index, :, : len(ids)] = torch.from_numpy(weights)
        begins[index], noise[index] = begin, deviation
    return begins[:, None] + torch.arange(SOFT_VECTORS), words, mix, noise


def embed(table: Tensor, batch: Batch, generator: torch.Generator) -> Tensor:
    """(B, S, D) input embeddings, soft words laid into their places.

    Args:
        table: (V, D) the model's embeddings.
        batch: on the table's device.
        generator: of the noise, on the CPU.
    """
    embeddings = F.embedding(batch.ids, table)  # (B, S, D)
    if not len(batch.soft_at):
        return embeddings
    words = F.embedding(batch.soft_words, table)  # (N, M, D)
    soft = batch.soft_mix.to(words.dtype) @ words  # (N, K, D)
    noise = torch.randn(soft.shape, generator=generator).to(soft)
    soft = soft + noise * batch.soft_noise[:, None, None].to(soft) * table.detach().std()
    flat = embeddings.flatten(0, 1)  # (B*S, D)
    flat = flat.index_copy(0, batch.soft_at.flatten(), soft.flatten(0, 1).to(flat.dtype))
    return flat.view_as(embeddings)


def batches(
    reader: Reader, corpus: Callable[[Random], Iterator[list[Message]]], rows: int
) -> Callable[[torch.Generator], Batch]:
    """The trainer's data function: each batch depends on the generator alone."""

    def draw(generator: torch.Generator) -> Batch:
        rng = Random(int(torch.randint(2**62, (1,), generator=generator)))
        return pack((reader.read(messages, rng) for messages in corpus(rng)), rows)

    return draw
