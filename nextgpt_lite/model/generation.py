"""The token loop: replies side by side, with signal blocks that are well formed by construction.

Knows: the KV cache, sampling row by row, and that a block is all or nothing: only its first token
can be chosen, the rest follows. Leaves to others: where prompts come from and what a block is
turned into.

All rows read the same number of tokens in each forward: as many as the row with the fewest to read
has chosen. One row alone so reads a whole block at once, and words one by one.

Letters: B rows, S positions, D width, V vocabulary, N tokens of a block.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TopKLogitsWarper,
)

from nextgpt_lite.errors import NumericsError
from nextgpt_lite.model.llm import LanguageModel

Processor: TypeAlias = Callable[[Tensor, Tensor], Tensor]  # (1, S) ids, (1, V) scores -> scores


@dataclass
class SignalBlock:
    """A complete run of signal tokens and what the output projection needs of it.

    Where the messenger is a caption, the run is the caption between its two marks.
    """

    modality: str
    ids: list[int]
    hidden: Tensor  # (N, D) hidden states at the signal tokens, of the configured layer
    embedding: Tensor  # (N, D) their input embeddings


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen; temperature 0 takes the most likely one.

    Attributes:
        top_k: how many tokens are drawn from; None draws from all.
        repetition_penalty: above 1 makes tokens that the reply has already less likely.
        processors: of transformers, or functions like them; they see the ids of the reply so far.
    """

    max_new_tokens: int = 128
    max_blocks: int = 4
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int | None = None
    repetition_penalty: float = 1.0
    processors: tuple[Processor, ...] = ()

    @cached_property
    def changes(self) -> LogitsProcessorList:
        """What is done to the logits of each token, in transformers' order."""
        penalty = self.repetition_penalty
        first = [] if penalty == 1 else [RepetitionPenaltyLogitsProcessor(penalty)]
        return LogitsProcessorList([*first, *self.processors])


@dataclass
class Prompt:
    """What one reply follows, and what may be in it.

    Attributes:
        embeddings: (S, D), media spliced in.
        allowed: modalities whose blocks may appear.
        required: modalities that must appear; a missing one is appended where the reply would end.
        told: token ids of the whole reply, without the end token, where it is not to be chosen but
            only read, for its blocks.
        generator: source of randomness when `Sampling.temperature` > 0.
    """

    embeddings: Tensor
    allowed: Sequence[str] = ()
    required: Sequence[str] = ()
    told: Sequence[int] = ()
    generator: torch.Generator | None = None


@torch.inference_mode()  # torch leaves the mode at each yield, so that it cannot leak
def generate(
    llm: LanguageModel, prompts: Sequence[Prompt], sampling: Sampling | None = None
) -> Iterator[tuple[int, int | SignalBlock]]:
    """Yields (number of the prompt, word id or signal block) until every reply has ended.

    The items of one reply come in their order.

    Raises:
        NumericsError: the LLM's logits are not finite.
    """
    if "padded" not in llm.ways and len({len(prompt.embeddings) for prompt in prompts}) > 1:
        for number, prompt in enumerate(prompts):
            yield from ((number, item) for _, item in generate(llm, [prompt], sampling))
        return
    rows = [_Row(n, llm, prompt, sampling or Sampling()) for n, prompt in enumerate(prompts)]
    reader = _Reader(llm)
    last = reader.begin([prompt.embeddings for prompt in prompts])  # (B, D)
    while True:
        if not all(row.unread for row in rows):
            for row, logits in zip(rows, _logits(llm, last), strict=True):
                if not row.unread:
                    row.choose(logits)
                    yield from row.news()
        going = [index for index, row in enumerate(rows) if row.unread]
        if not going:
            return
        if len(going) < len(rows):
            reader.keep(going)
            rows = [rows[index] for index in going]
        length = min(len(row.unread) for row in rows) if "chunked" in llm.ways else 1
        ids = [[row.unread.popleft() for _ in range(length)] for row in rows]
        last, states, embeddings = reader.read(ids)
        for row, tokens, *vectors in zip(rows, ids, states, embeddings, strict=True):
            for token, state, embedding in zip(tokens, *vectors, strict=True):
                row.see(token, state, embedding)
            yield from row.news()


class _Row:
    """One reply as it grows: chosen tokens wait in `unread` until the LLM has read them."""

    def __init__(self, number: int, llm: LanguageModel, prompt: Prompt, sampling: Sampling) -> None:
        self.number, self.llm, self.sampling = number, llm, sampling
        self.generator = prompt.generator
        self.openers = {llm.signal_ids[modality][0]: modality for modality in prompt.allowed}
        self.missing = list(dict.fromkeys(prompt.required))
        # No reply is longer than that, so it would end even if no token were forbidden.
        self.left = sampling.max_new_tokens + sampling.max_blocks + len(self.missing) + 1
        self.unread = deque(prompt.told)
        self.told = bool(prompt.told)
        self.words = self.blocks = 0
        self.read: list[int] = []
        self._block: _Open | None = None
        self._ending = _Ending(llm)
        self._news: list[int | SignalBlock] = []

    def news(self) -> Iterator[tuple[int, int | SignalBlock]]:
        """What was added to the reply since the last call."""
        news, self._news = self._news, []
        return ((self.number, item) for item in news)

    def choose(self, logits: Tensor) -> None:
        """Puts what is read next into `unread`; nothing, when the reply ends."""
        llm, limits = self.llm, self.sampling
        if self._block is not None:
            closing = llm.signal_ids[self._block.modality][-1]
            token = _choose(llm, logits, [closing], limits, self.generator, self.read)
            full = len(self._block.ids) > limits.max_new_tokens
            self.unread.append(closing if full or token == llm.eos_id else token)
            return
        self.left -= 1
        if self.told or self.left < 0:
            self._news += self._ending.rest()
            return
        open_ids = list(self.openers) if self.blocks < limits.max_blocks else []
        token = _choose(llm, logits, open_ids, limits, self.generator, self.read)
        if token not in self.openers and (
            self.words >= limits.max_new_tokens or self._ending.comes_with(token)
        ):
            token = llm.eos_id
        if token == llm.eos_id:
            self._news += self._ending.rest()
            if not self.missing:
                return
            token = llm.signal_ids[self.missing[0]][0]
        whole = token in self.openers and llm.messenger == "signal"
        self.unread.extend(llm.signal_ids[self.openers[token]] if whole else [token])

    def see(self, token: int, state: Tensor, embedding: Tensor) -> None:
        """Takes note of a token that was read: its state and input embedding, (D,) each."""
        self.read.append(token)
        if self._block is None:
            if token not in self.openers:
                self.words += 1
                self._news += self._ending.words_with(token)
                return
            self._news += self._ending.rest()
            self._block = _Open(self.openers[token])
        block = self._block
        block.add(token, state, embedding)
        if token != self.llm.signal_ids[block.modality][-1]:
            return
        self._news.append(block.closed())
        self._block = None
        self.blocks += 1
        if block.modality in self.missing:
            self.missing.remove(block.modality)


@dataclass
class _Open:
    """A block whose tokens are being read."""

    modality: str
    ids: list[int] = field(default_factory=list)
    hidden: list[Tensor] = field(default_factory=list)  # (D,) each
    embedding: list[Tensor] = field(default_factory=list)  # (D,) each

    def add(self, token: int, state: Tensor, embedding: Tensor) -> None:
        self.ids.append(token)
        self.hidden.append(state)
        self.embedding.append(embedding)

    def closed(self) -> SignalBlock:
        hidden, embedding = torch.stack(self.hidden), torch.stack(self.embedding)
        return SignalBlock(self.modality, self.ids, hidden, embedding)


class _Reader:
    """The LLM with the cache of those rows whose replies have not ended.

    Shorter prompts are padded on the left. Without padding there is neither a mask nor positions:
    then the numbers are, to the last bit, those of a row alone.
    """

    def __init__(self, llm: LanguageModel) -> None:
        self.llm, self.cache = llm, llm.new_cache()
        self.mask: Tensor | None = None  # (B, positions so far)
        self.lengths: Tensor | None = None  # (B, 1) of them no padding

    def begin(self, prompts: Sequence[Tensor]) -> Tensor:
        """(S, D) embeddings of each row -> (B, D) states at their ends."""
        longest = max(len(prompt) for prompt in prompts)
        padding = [longest - len(prompt) for prompt in prompts]
        embeddings = torch.stack(
            [F.pad(prompt, (0, 0, n, 0)) for prompt, n in zip(prompts, padding, strict=True)]
        )  # (B, S, D)
        if any(padding):
            device = embeddings.device
            begins = torch.tensor(padding, device=device)[:, None]  # (B, 1)
            self.mask = (torch.arange(longest, device=device) >= begins).long()  # (B, S)
            self.lengths = longest - begins
        positions = None if self.mask is None else (self.mask.cumsum(1) - 1).clamp_min(0)
        return self.llm.hidden(embeddings, self.mask, self.cache, positions)[:, -1]

    def read(self, ids: list[list[int]]) -> tuple[Tensor, Tensor, Tensor]:
        """n tokens a row -> last hidden states (B, D); of the configured layer, and embeddings,
        (B, n, D) each."""
        device = self.llm.device
        tokens = torch.tensor(ids, device=device)  # (B, n)
        positions = None
        if self.mask is not None and self.lengths is not None:
            self.mask = F.pad(self.mask, (0, tokens.shape[1]), value=1)
            positions = self.lengths + torch.arange(tokens.shape[1], device=device)  # (B, n)
            self.lengths = self.lengths + tokens.shape[1]
        embeddings = self.llm.embed(tokens)  # (B, n, D)
        with self.llm.tapped() as tapped:
            hidden = self.llm.hidden(embeddings, self.mask, self.cache, positions)  # (B, n, D)
        return hidden[:, -1], tapped[0] if tapped else hidden, embeddings

    def keep(self, rows: list[int]) -> None:
        """Forgets all other rows."""
        kept = torch.tensor(rows, device=self.llm.device)
        self.cache.reorder_cache(kept)  # which may also take fewer rows
        if self.mask is not None and self.lengths is not None:
            self.mask, self.lengths = self.mask[kept], self.lengths[kept]


class _Ending:
    """Holds words back as long as they may be the beginning of the mark that ends a reply.

    Vicuna v0 writes "###" there, of one token or of two, and the end token only if trained to.
    """

    def __init__(self, llm: LanguageModel) -> None:
        self.llm = llm
        self.held: list[int] = []

    def comes_with(self, token: int) -> bool:
        """Whether the token completes the mark, which is then dropped."""
        if self.llm.end_mark is None or not self._said(token).startswith(self.llm.end_mark):
            return False
        self.held = []
        return True

    def words_with(self, token: int) -> list[int]:
        """What is certain to be words now that the token has come."""
        said = "" if self.llm.end_mark is None else self._said(token)
        self.held.append(token)
        may_be = said and self.llm.end_mark is not None and self.llm.end_mark.startswith(said)
        return [] if may_be else self.rest()

    def rest(self) -> list[int]:
        """What was held back and no mark came of."""
        held, self.held = self.held, []
        return held

    def _said(self, token: int) -> str:
        return self.llm.tokenizer.decode([*self.held, token]).strip()


def _logits(llm: LanguageModel, hidden: Tensor) -> Tensor:
    """(B, D) -> (B, V), refused where they are not numbers."""
    logits = llm.logits(hidden).float()
    if not torch.isfinite(logits).all():
        raise NumericsError(
            "The language model's logits are not finite: set precision to 'float32' (or to "
            "'bfloat16' where the device has it) in the configuration."
        )
    return logits


def _choose(
    llm: LanguageModel,
    logits: Tensor,
    open_ids: Sequence[int],
    sampling: Sampling,
    generator: torch.Generator | None,
    read: Sequence[int],
) -> int:
    """The next token among words, the end, and the first tokens of blocks that may open.

    Args:
        logits: (V,), changed in place.
        read: ids of the reply so far.
    """
    if sampling.changes:
        ids = torch.tensor([read], dtype=torch.long, device=logits.device)  # (1, S)
        logits = sampling.changes(ids, logits[None])[0]
    logits[closed_ids(llm, open_ids)] = -torch.inf
    if sampling.changes and not logits.max().isfinite():
        raise NumericsError(
            "Option logits_processor leaves no token that could be chosen, or scores that are no "
            "numbers: let it keep some scores finite."
        )
    if sampling.temperature <= 0:
        return int(logits.argmax())
    if sampling.top_k is not None:
        logits = TopKLogitsWarper(sampling.top_k)(None, logits[None])[0]
    probabilities = torch.softmax(logits / sampling.temperature, -1)  # (V,)
    ordered, order = probabilities.sort(descending=True)
    ordered[ordered.cumsum(0) - ordered >= sampling.top_p] = 0.0
    pick = torch.multinomial(ordered.cpu(), 1, generator=generator)
    return int(order[pick.to(order.device)])


def closed_ids(llm: LanguageModel, open_ids: Sequence[int]) -> list[int]:
    """Ids that can never be chosen here: signal tokens, markers of input media, padding."""
    closed = set(llm.all_signal_ids) - set(open_ids)
    closed |= set(llm.marker_ids)
    if llm.tokenizer.pad_token_id not in (None, llm.eos_id):
        closed.add(int(llm.tokenizer.pad_token_id))
    return sorted(closed)
