"""What happens in a turn of conversation, of one or of many at once: words, then media.

Knows: the order of things. Leaves to others: the token loop (`generation`), the diffusion steps
(`decoders`), files (`media`), and what a user sees of it (`chat`).
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nextgpt_lite.errors import ConfigError
from nextgpt_lite.media import Media
from nextgpt_lite.messages import Conversation, Message, Part
from nextgpt_lite.model.context import newest_turns
from nextgpt_lite.model.conversation import Encoded, content_parts
from nextgpt_lite.model.generation import Prompt, Sampling, SignalBlock, generate
from nextgpt_lite.model.modality import get_modality
from nextgpt_lite.model.nextgpt import NextGPTModel
from nextgpt_lite.reply import Event, Made, Reply


@dataclass(frozen=True)
class Options:
    """How replies are made; `NextGPT.chat` says what each option does."""

    output_modalities: str | Sequence[str] = "auto"
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    max_new_tokens: int = 128
    temperature: float = 0.0
    top_p: float = 1.0

    @property
    def sampling(self) -> Sampling:
        """Of words."""
        return Sampling(self.max_new_tokens, temperature=self.temperature, top_p=self.top_p)

    @property
    def diffusion(self) -> dict[str, Any]:
        """What every decoder is told."""
        return {"num_inference_steps": self.num_inference_steps,
                "guidance_scale": self.guidance_scale}  # fmt: skip

    def modalities(self, known: Sequence[str]) -> tuple[list[str], list[str]]:
        """(allowed, required) output modalities of those that a model knows.

        Raises:
            ConfigError: it knows one of them not.
        """
        if self.output_modalities == "auto":
            return list(known), []
        wanted = self.output_modalities
        names = [wanted] if isinstance(wanted, str) else list(wanted)
        names = [name for name in names if name not in ("text", "none")]
        if unknown := [name for name in names if name not in known]:
            raise ConfigError(
                f"Option output_modalities names {unknown[0]!r}: use 'auto' or some of "
                f"{', '.join(known)}."
            )
        return names, names


def events(
    model: NextGPTModel, messages: Conversation, seed: int, options: Options, *, progress: bool
) -> Iterator[Event]:
    """One turn as it happens, from the first word to the reply.

    Args:
        messages: of `asked`.
        progress: False leaves out the step events. Decoders then run in the calling thread, where a
            clip takes little more than half as long on two cores: a second thread has a second pool
            of OpenMP workers, and more workers than cores no longer wait for each other awake.
    """
    started = time.perf_counter()
    draft = _Draft(model)
    for _, item in _written(model, [_opened(messages)], [seed], options, 1, [draft.reply]):
        if isinstance(item, SignalBlock):
            draft.add_block(item)
        else:
            yield Event("text", text=draft.add_word(item))
    reply = draft.finished()
    for index, (made, part) in enumerate(zip(reply.made, reply.media, strict=True)):
        decode = partial(
            model.decoder(part["type"]).generate,
            made.condition[None],
            generator=torch.Generator().manual_seed(seed + index),
            **options.diffusion,
        )
        media = (yield from _watched(decode, part["type"])) if progress else decode()
        part["data"] = made.media = media[0]
        yield Event("media", modality=part["type"], media=media[0])
    reply.seconds = time.perf_counter() - started
    yield Event("done", reply=reply)


def replies(
    model: NextGPTModel,
    conversations: Sequence[Conversation],
    seeds: int | Sequence[int],
    options: Options,
    batch_size: int,
) -> list[Reply]:
    """The replies to many conversations, media of one modality made together."""
    started = time.perf_counter()
    every = _each(seeds, len(conversations))
    made = drafts(model, conversations, every, options, batch_size)
    waiting = [
        (part, one.condition, seed + index)
        for reply, seed in zip(made, every, strict=True)
        for index, (part, one) in enumerate(zip(reply.media, reply.made, strict=True))
    ]
    decode_each(model, waiting, batch_size, **options.diffusion)
    for reply in made:
        for part, one in zip(reply.media, reply.made, strict=True):
            one.media = part["data"]
        reply.seconds = (time.perf_counter() - started) / len(made)
    return made


def decode_each(
    model: NextGPTModel,
    waiting: Sequence[tuple[Part, Tensor, int]],
    batch_size: int,
    **diffusion: Any,
) -> None:
    """Makes the media of parts from conditions (L, C) and seeds, those of one modality together.

    Args:
        batch_size: media that a decoder makes at once.
        diffusion: options of `Decoder.generate_each`.
    """
    for modality in dict.fromkeys(part["type"] for part, _, _ in waiting):
        items = [each for each in waiting if each[0]["type"] == modality]
        parts, conditions, seeds = zip(*items, strict=True)
        decoder = model.decoder(modality)
        media = decoder.generate_each(conditions, seeds, batch_size, **diffusion)
        for part, medium in zip(parts, media, strict=True):
            part["data"] = medium


def drafts(
    model: NextGPTModel,
    conversations: Sequence[str | Conversation],
    seeds: int | Sequence[int] = 0,
    options: Options | None = None,
    batch_size: int = 64,
) -> list[Reply]:
    """The replies before any decoder runs: media parts lack "data", `made` has their conditions.

    A conversation that ends with a reply has that one read instead of chosen, and so the conditions
    of its media told.

    Args:
        seeds: one for all, or one for each.
        batch_size: conversations that are answered at once.

    Raises:
        MediaError: a file cannot be read (before anything is generated).
        ConfigError: naming the field of the messages or option that is wrong.
    """
    every = _each(seeds, len(conversations))
    opened = [_opened(with_media(conversation)) for conversation in conversations]
    growing = [_Draft(model) for _ in opened]
    begun = [draft.reply for draft in growing]
    for index, item in _written(model, opened, every, options or Options(), batch_size, begun):
        if isinstance(item, SignalBlock):
            growing[index].add_block(item)
        else:
            growing[index].words.append(item)
    return [draft.finished() for draft in growing]


def signal_conditions(
    model: NextGPTModel, conversations: Sequence[str | Conversation], modality: str
) -> Tensor:
    """What the first signal block of a modality, which is forced, tells its decoder: (B, L, C)."""
    written = drafts(model, conversations, options=Options(output_modalities=[modality]))
    return torch.stack([reply.made[0].condition for reply in written])


def asked(
    message: str | Conversation, media: Mapping[str, Sequence[Any]] | None = None
) -> list[Message]:
    """A conversation that ends with a user turn, as it must, which begins with the given media.

    Raises:
        ConfigError: it ends otherwise.
    """
    messages = with_media(message, media)
    if messages[-1]["role"] != "user":
        raise ConfigError("The conversation must end with a message whose role is 'user'.")
    return messages


def with_media(
    message: str | Conversation, media: Mapping[str, Sequence[Any]] | None = None
) -> list[Message]:
    """A list of messages, the last of which begins with the given media."""
    messages: Conversation = (
        [{"role": "user", "content": message}] if isinstance(message, str) else message
    )
    if not messages:
        raise ConfigError("The conversation is empty: it must end with a message of the user's.")
    parts: list[Part] = []
    for modality, items in (media or {}).items():
        for item in items:
            is_file = isinstance(item, str | Path)
            parts.append(
                {"type": modality, "path": item} if is_file else {"type": modality, "data": item}
            )
    *before, last = messages
    return [*before, {"role": last["role"], "content": [*parts, *content_parts(last)]}]


class _Draft:
    """A reply that grows item by item: words, and for each medium its block and condition."""

    def __init__(self, model: NextGPTModel) -> None:
        self.model, self.reply = model, Reply()
        self.words: list[int] = []
        self.blocks: list[SignalBlock] = []

    def add_word(self, token: int) -> str:
        """What it adds to the words."""
        before = self.model.conversation.decode(self.words)
        self.words.append(token)
        return self.model.conversation.decode(self.words)[len(before) :]

    def add_block(self, block: SignalBlock) -> None:
        self._close_words()
        part: Part = {"type": block.modality}
        if self.model.config.messenger == "caption":
            part["caption"] = self.model.conversation.decode(block.ids).strip()
        self.reply.parts.append(part)
        self.reply.signal_tokens += self.model.llm.describe_ids(block.ids)
        self.blocks.append(block)

    @torch.inference_mode()
    def finished(self) -> Reply:
        """The reply, whose media are still to be made."""
        self._close_words()
        self.reply.made = [Made(block, self.model.condition(block)[0]) for block in self.blocks]
        return self.reply

    def _close_words(self) -> None:
        if text := self.model.conversation.decode(self.words).strip():
            self.reply.parts.append({"type": "text", "text": text})
        self.words = []


def _opened(messages: Conversation) -> list[Message]:
    """The same messages with every user medium loaded, so that a bad file stops nothing halfway."""
    return [
        {"role": turn["role"], "content": [_loaded(p, turn["role"]) for p in content_parts(turn)]}
        for turn in messages
    ]


def _loaded(part: Part, role: str) -> Part:
    if part["type"] == "text" or role == "assistant" or part.get("data") is not None:
        return part
    if "path" not in part:
        raise ConfigError(f"Message part of type {part['type']!r} lacks 'path' or 'data'.")
    return {**part, "data": get_modality(part["type"]).load(part["path"])}


def _each(seeds: int | Sequence[int], count: int) -> Sequence[int]:
    every = [seeds] * count if isinstance(seeds, int) else seeds
    if len(every) != count:
        raise ConfigError(f"Option seeds has {len(every)} numbers: give one, or {count}, one each.")
    return every


def _written(
    model: NextGPTModel,
    conversations: Sequence[Conversation],
    seeds: Sequence[int],
    options: Options,
    batch_size: int,
    begun: Sequence[Reply],
) -> Iterator[tuple[int, int | SignalBlock]]:
    """Words and blocks of the replies to conversations whose media are open, with whose it is.

    What a user should know of the way there becomes a warning of the reply that has begun.
    """
    allowed, required = options.modalities(list(model.config.conditions))
    prompts, encoded = [], []
    for conversation, seed, reply in zip(conversations, seeds, begun, strict=True):
        is_told = conversation[-1]["role"] == "assistant"
        before = conversation[:-1] if is_told else conversation
        kept, ids = newest_turns(model.conversation, before, model.llm, options.sampling)
        encoded.append(ids)
        if left_out := len(before) - len(kept):
            reply.warnings.append(
                f"The conversation is longer than the language model's {model.llm.context:,} "
                f"positions: its oldest {left_out} messages were left out."
            )
        told = _told(model, [*kept, conversation[-1]], len(ids)) if is_told else ()
        must = () if is_told else required
        may = allowed
        if not is_told and options.output_modalities == "auto" and _says_nothing(before[-1]):
            may = []
            reply.warnings.append("The message has neither words nor media, so no medium was made.")
        generator = torch.Generator().manual_seed(seed)
        prompts.append(Prompt(torch.empty(0), may, must, told, generator))
    # Those of like length together, so that little is padding.
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
    for first in range(0, len(order), batch_size):
        chosen = order[first : first + batch_size]
        embeddings = prompt_embeddings(model, [encoded[index] for index in chosen])
        for index, prompt in zip(chosen, embeddings, strict=True):
            prompts[index].embeddings = prompt
        for row, item in generate(model.llm, [prompts[i] for i in chosen], options.sampling):
            yield chosen[row], item


def _says_nothing(message: Message) -> bool:
    """Whether a message is empty but for blanks, marks and emoji."""
    return all(
        part["type"] == "text" and not any(map(str.isalnum, part["text"]))
        for part in content_parts(message)
    )


@torch.inference_mode()
def prompt_embeddings(model: NextGPTModel, encoded: Sequence[Encoded]) -> list[Tensor]:
    """(S, D) of each conversation, media in their gaps; all are encoded together, each once."""
    data = [slot.part for each in encoded for slot in each.media]
    items = {id(part["data"]): (part["type"], part["data"]) for part in data}
    vectors = model.encoder.encode([*items.values()]).to(model.device) if items else ()  # (M, E)
    features = dict(zip(items, vectors, strict=True))
    prompts = []
    for each in encoded:
        embeddings = model.llm.embed(torch.tensor([each.ids], device=model.device))  # (1, S, D)
        if each.media:
            given = torch.stack([features[id(slot.part["data"])] for slot in each.media])  # (M, E)
            starts = torch.tensor([slot.start for slot in each.media], device=model.device)
            embeddings = model.splice(embeddings, torch.zeros_like(starts), starts, given)
        prompts.append(embeddings[0])
    return prompts


def _told(model: NextGPTModel, conversation: Conversation, begin: int) -> list[int]:
    """Token ids of the last reply, which begins there, without the end token."""
    encoded = model.conversation.encode(conversation)
    ids = [token for token in encoded.labels[begin:] if token >= 0]
    return ids[:-1] if ids[-1:] == [model.llm.eos_id] else ids


class _BrokenOff(Exception):
    """Nobody waits for the medium any more."""


def _watched(
    decode: Callable[..., list[Media]], modality: str
) -> Generator[Event, None, list[Media]]:
    """Runs a decoder in a thread, so that its callback can become a stream of events.

    A stream that is broken off ends the decoder after its step, and waits for that.
    """
    broken_off = threading.Event()
    happenings: queue.Queue[Event | list[Media] | BaseException] = queue.Queue()

    def tell(step: int, total: int) -> None:
        if broken_off.is_set():
            raise _BrokenOff
        happenings.put(Event("step", modality=modality, step=step, total=total))

    def work() -> None:
        try:
            happenings.put(decode(callback=tell))
        except BaseException as error:
            happenings.put(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    try:
        while isinstance(happening := happenings.get(), Event):
            yield happening
    finally:
        broken_off.set()
        worker.join()
    if isinstance(happening, BaseException):
        raise happening
    return happening
