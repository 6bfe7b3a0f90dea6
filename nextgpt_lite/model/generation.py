"""The token loop: one reply, with signal blocks that are well formed by construction.

Knows: the KV cache, sampling, and that a block is all or nothing: only its first token can be
chosen, the rest is appended and goes through the LLM in one forward. Leaves to others: where the
prompt comes from and what a block is turned into.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import DynamicCache

from nextgpt_lite.model.llm import LanguageModel


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
    """How tokens are chosen; temperature 0 takes the most likely one."""

    max_new_tokens: int = 128
    max_blocks: int = 4
    temperature: float = 0.0
    top_p: float = 1.0


@torch.inference_mode()  # torch leaves the mode at each yield, so that it cannot leak
def generate(
    llm: LanguageModel,
    prompt: Tensor,
    *,
    allowed: Sequence[str],
    required: Sequence[str] = (),
    sampling: Sampling | None = None,
    generator: torch.Generator | None = None,
) -> Iterator[int | SignalBlock]:
    """Yields word ids and signal blocks, in order, until the reply ends.

    Args:
        prompt: (1, S, D) embeddings, media spliced in.
        allowed: modalities whose blocks may appear.
        required: modalities that must appear; a missing one is appended where the reply would end.
        generator: source of randomness when `sampling.temperature` > 0.

    Raises:
        FloatingPointError: the LLM's logits are not finite.
    """
    sampling = sampling or Sampling()
    missing = list(dict.fromkeys(required))
    first_ids = {llm.signal_ids[modality][0]: modality for modality in allowed}
    cache = DynamicCache()
    hidden = llm.hidden(prompt, cache=cache)[:, -1]  # (1, D)
    words = blocks = 0
    ending = _Ending(llm)
    # No reply is longer than that, so the loop would end even without the masks below.
    for _ in range(sampling.max_new_tokens + sampling.max_blocks + len(missing) + 1):
        open_ids = list(first_ids) if blocks < sampling.max_blocks else []
        token = _choose(llm, hidden, open_ids, sampling, generator)
        if words >= sampling.max_new_tokens and token not in first_ids:
            token = llm.eos_id
        if token not in first_ids and ending.comes_with(token):
            token = llm.eos_id
        if token == llm.eos_id:
            yield from ending.rest()
            if not missing:
                return
            token = llm.signal_ids[missing[0]][0]
        if token not in first_ids:
            words += 1
            yield from ending.words_with(token)
            hidden = llm.hidden(_embed(llm, [token]), cache=cache)[:, -1]
            continue
        yield from ending.rest()
        modality = first_ids[token]
        ids = llm.signal_ids[modality]
        with llm.tapped() as tapped:
            if llm.messenger == "caption":
                ids, states = _write_caption(llm, ids, cache, sampling, generator)
                embedding = _embed(llm, ids)  # (1, N, D)
            else:
                embedding = _embed(llm, ids)  # (1, N, D)
                states = llm.hidden(embedding, cache=cache)  # (1, N, D), one forward for the block
        read = torch.cat(tapped, 1) if tapped else states
        blocks += 1
        if modality in missing:
            missing.remove(modality)
        yield SignalBlock(modality, ids, read[0], embedding[0])
        hidden = states[:, -1]


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


def _write_caption(
    llm: LanguageModel,
    marks: Sequence[int],
    cache: DynamicCache,
    sampling: Sampling,
    generator: torch.Generator | None,
) -> tuple[list[int], Tensor]:
    """A mark, words, the other mark: their ids, and (1, N, D) their last hidden states.

    The end of a reply, or too many words, close the caption too.
    """
    opening, closing = marks
    ids, states = [opening], [llm.hidden(_embed(llm, [opening]), cache=cache)]
    while ids[-1] != closing:
        token = _choose(llm, states[-1][:, -1], [closing], sampling, generator)
        full = len(ids) > sampling.max_new_tokens
        ids.append(closing if full or token == llm.eos_id else token)
        states.append(llm.hidden(_embed(llm, ids[-1:]), cache=cache))
    return ids, torch.cat(states, 1)


def _embed(llm: LanguageModel, ids: Sequence[int]) -> Tensor:
    device = llm.causal_lm.get_input_embeddings().weight.device
    return llm.embed(torch.tensor([list(ids)], device=device))  # (1, S, D)


def _choose(
    llm: LanguageModel,
    hidden: Tensor,
    open_ids: Sequence[int],
    sampling: Sampling,
    generator: torch.Generator | None,
) -> int:
    """The next token among words, the end, and the first tokens of blocks that may open."""
    logits = llm.logits(hidden)[0].float()  # (V,)
    if not torch.isfinite(logits).all():
        raise FloatingPointError(
            "The language model's logits are not finite: set precision to 'float32' (or to "
            "'bfloat16' where the device has it) in the configuration."
        )
    logits[closed_ids(llm, open_ids)] = -torch.inf
    if sampling.temperature <= 0:
        return int(logits.argmax())
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
