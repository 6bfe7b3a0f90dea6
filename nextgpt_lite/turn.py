"""What happens in a turn of conversation, of one or of many at once: words, then media.

Knows: the order of things. Leaves to others: the token loop (`generation`), the diffusion steps
(`decoders`), files (`media`), and what a user sees of it (`chat`).
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from os import PathLike
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nextgpt_lite.errors import ConfigError
from nextgpt_lite.media import Media, note, noted, remarks, several
from nextgpt_lite.messages import Conversation, Message, Part, in_our_form
from nextgpt_lite.model.context import newest_turns
from nextgpt_lite.model.conversation import Encoded, content_parts
from nextgpt_lite.model.generation import Prompt, SignalBlock, generate
from nextgpt_lite.model.modality import get_modality
from nextgpt_lite.model.nextgpt import NextGPTModel
from nextgpt_lite.options import Options, seed_of
from nextgpt_lite.reply import Event, Made, Reply

LONGEST_NAME = 300  # what is longer is no path but a data: URL

if TYPE_CHECKING:
    from transformers.generation.streamers import BaseStreamer


def events(
    model: NextGPTModel,
    messages: Conversation,
    seed: int,
    options: Options,
    *,
    progress: bool,
    previews: int = 0,
    streamer: BaseStreamer | None = None,
) -> Iterator[Event]:
    """One turn as it happens, from the first word to the reply.

    Args:
        messages: of `asked`.
        progress: False leaves out the step events. Decoders then run in the calling thread, where a
            clip takes little more than half as long on two cores: a second thread has a second pool
            of OpenMP workers, and more workers than cores no longer wait for each other awake.
        previews: every so many steps a step event has the medium as it is by then; 0 for never.
        streamer: of transformers; gets the prompt's ids, then each word's.
    """
    started = time.perf_counter()
    draft = _Draft(model)
    opened = read_media(messages, draft.reply)
    if streamer is not None:
        streamer.put(torch.tensor(model.conversation.encode(opened, reply_follows=True).ids))
    try:
        for _, item in _written(model, [opened], [seed], options, 1, [draft.reply]):
            if isinstance(item, SignalBlock):
                if held := draft.tell(whole=False):
                    yield Event("text", text=held)
                draft.add_block(item)
                continue
            if streamer is not None:
                streamer.put(torch.tensor([item]))
            draft.words.append(item)
            yield Event("text", text=draft.tell())
    finally:  # whoever reads from it must not wait for words that do not come
        if streamer is not None:
            streamer.end()
    if held := draft.tell(whole=False):
        yield Event("text", text=held)
    reply = draft.finished()
    for index, (made, part) in enumerate(zip(reply.made, reply.media, strict=True)):
        decode = partial(
            model.decoder(part["type"]).generate,
            made.condition[None],
            generator=torch.Generator().manual_seed(seed + index),
            **_guided(model, part, options.diffusion),
        )
        shown = partial(decode, previews=previews) if previews else decode
        media = (yield from _watched(shown, part["type"])) if progress else decode()
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
        decoder, guided = model.decoder(modality), _guided(model, parts[0], diffusion)
        media = decoder.generate_each(conditions, seeds, batch_size, **guided)
        for part, medium in zip(parts, media, strict=True):
            part["data"] = medium


def _guided(model: NextGPTModel, part: Part, diffusion: Mapping[str, Any]) -> dict[str, Any]:
    """How a medium is made; signal tokens may have an opposite of their own, captions have not."""
    if diffusion.get("negative_prompt") is None and "caption" not in part:
        nothing = model.unconditional(part["type"])
        return {**diffusion, **({} if nothing is None else {"negative_prompt": nothing})}
    return {**diffusion}


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
    growing = [_Draft(model) for _ in conversations]
    begun = [draft.reply for draft in growing]
    opened = [
        read_media(with_media(c), reply) for c, reply in zip(conversations, begun, strict=True)
    ]
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


def asked(message: str | Conversation, media: Mapping[str, Any] | None = None) -> list[Message]:
    """A conversation that ends with a user turn, as it must, which begins with the given media.

    Raises:
        ConfigError: it ends otherwise.
    """
    messages = with_media(message, media)
    if messages[-1]["role"] != "user":
        raise ConfigError("The conversation must end with a message whose role is 'user'.")
    return messages


def with_media(
    message: str | Conversation, media: Mapping[str, Any] | None = None
) -> list[Message]:
    """A list of messages in our form with the given media in them.

    They fill those parts of user turns that name no medium of theirs, as transformers' processors
    do, in order; where there are none, they begin the last turn.

    Args:
        media: by modality, several or one.

    Raises:
        ConfigError: there are more or fewer of them than parts to fill.
    """
    messages: Sequence[Any] = (
        [{"role": "user", "content": message}] if isinstance(message, str) else message
    )
    if not isinstance(messages, list | tuple) or not all(isinstance(m, dict) for m in messages):
        raise ConfigError(
            f"The message is of type {type(message).__name__}: give words, or a list of messages "
            "{'role': ..., 'content': ...}."
        )
    if not messages:
        raise ConfigError("The conversation is empty: it must end with a message of the user's.")
    turns = [([*content_parts(m)], m["role"]) for m in map(in_our_form, messages)]
    begin: list[Part] = []
    for modality, held in (media or {}).items():
        items = several(held)
        empty = [
            part
            for parts, role in turns
            for part in parts
            if role == "user" and part["type"] == modality and not _names_medium(part)
        ]
        if items and empty and len(items) != len(empty):
            raise ConfigError(
                f"{len(items)} given as {modality} for {len(empty)} parts of that type without a "
                "medium: give one for each."
            )
        for part, item in zip(empty, items, strict=False):
            part["data"] = item  # ours: the user's own messages stay as they are
        begin += [] if empty else [{"type": modality, "data": item} for item in items]
    turns[-1][0][:0] = begin
    return [{"role": role, "content": parts} for parts, role in turns]


class _Draft:
    """A reply that grows item by item: words, and for each medium its block and condition."""

    def __init__(self, model: NextGPTModel) -> None:
        self.model, self.reply = model, Reply()
        self.words: list[int] = []
        self.blocks: list[SignalBlock] = []
        self._last, self._told = 0, 0  # where the piece told last begins and ends in the words

    def tell(self, whole: bool = True) -> str:
        """What of the words is new; `whole` holds it back while a letter lacks some of its tokens.

        Only the last pieces are decoded again: they say whether the new one begins with a space.
        """
        decode = self.model.conversation.decode
        told, text = decode(self.words[self._last : self._told]), decode(self.words[self._last :])
        if whole and (len(text) <= len(told) or text.endswith("\ufffd")):
            return ""
        self._last, self._told = self._told, len(self.words)
        return text[len(told) :]

    def add_block(self, block: SignalBlock) -> None:
        self._close_words()
        part: Part = {"type": block.modality}
        if self.model.config.messenger != "signal":
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
        self.words, self._last, self._told = [], 0, 0


def read_media(messages: Conversation, begun: Reply) -> list[Message]:
    """The same messages with every user medium loaded, so that a bad file stops nothing halfway.

    What there is to say of media becomes warnings of the reply that has begun.
    """
    with noted() as begun.warnings:
        return [
            {"role": message["role"],
             "content": [_loaded(part, message["role"]) for part in content_parts(message)]}
            for message in messages
        ]  # fmt: skip


def _loaded(part: Part, role: str) -> Part:
    if part["type"] == "text" or role != "user":
        return part
    if not _names_medium(part):
        raise ConfigError(
            f"Message part of type {part['type']!r} with the fields {', '.join(part)} names no "
            f"medium: give it as {part['type']!r}, 'path', 'url', 'base64' or 'data'."
        )
    held = next((part[name] for name in ("data", "path") if part.get(name) is not None), None)
    held = part["source"].open() if held is None else held
    medium = get_modality(part["type"]).take(held)
    is_file = isinstance(held, PathLike | str) and len(str(held)) < LONGEST_NAME
    name = held if is_file else f"The {part['type']} given"
    for remark in remarks(medium):
        note(f"{name} {remark}.")
    return {**part, "data": medium}


def _names_medium(part: Part) -> bool:
    return any(part.get(name) is not None for name in ("data", "path", "source"))


def _each(seeds: int | Sequence[int], count: int) -> Sequence[int]:
    try:
        every = [*seeds]  # type: ignore[misc]
    except TypeError:  # one number
        every = [seeds] * count
    if len(every) != count:
        raise ConfigError(f"Option seeds has {len(every)} numbers: give one, or {count}, one each.")
    return [seed_of(seed) for seed in every]


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
        embeddings, strange = prompt_embeddings(model, [encoded[index] for index in chosen])
        for index, warnings in zip(chosen, strange, strict=True):
            begun[index].warnings += warnings
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
def prompt_embeddings(
    model: NextGPTModel, encoded: Sequence[Encoded]
) -> tuple[list[Tensor], list[list[str]]]:
    """(S, D) of each conversation, media in their gaps, and the warnings of media it cannot know.

    All media are encoded together, each once.
    """
    data = [slot.part for each in encoded for slot in each.media]
    items = {id(part["data"]): (part["type"], part["data"]) for part in data}
    # Without media the encoder is not even loaded.
    vectors, looks = model.encoder.look([*items.values()]) if items else (torch.zeros(0), [])
    features = dict(zip(items, vectors.to(model.device), strict=True))  # (E,) each
    strange = {
        key
        for (key, (modality, _)), look in zip(items.items(), looks, strict=True)
        if not model.known_media.knows(modality, look)
    }
    prompts = []
    for each in encoded:
        embeddings = model.llm.embed(torch.tensor([each.ids], device=model.device))  # (1, S, D)
        if each.media:
            given = torch.stack([features[id(slot.part["data"])] for slot in each.media])  # (M, E)
            starts = torch.tensor([slot.start for slot in each.media], device=model.device)
            embeddings = model.splice(embeddings, torch.zeros_like(starts), starts, given)
        prompts.append(embeddings[0])
    return prompts, [_warnings(each, strange) for each in encoded]


def _warnings(encoded: Encoded, strange: set[int]) -> list[str]:
    which = "The given {0}" if len(encoded.media) == 1 else "Given medium {1}, of type {0},"
    return [
        f"{which.format(slot.part['type'], number)} is unlike all media that this model was "
        "trained on: what the reply says of it is a guess."
        for number, slot in enumerate(encoded.media, 1)
        if id(slot.part["data"]) in strange
    ]


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

    def tell(step: int, total: int, media: Sequence[Any] = (None,)) -> None:
        if broken_off.is_set():
            raise _BrokenOff
        happenings.put(Event("step", modality=modality, step=step, total=total, media=media[0]))

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
