"""A turn of conversation: messages and media in, events and a reply out; one, or many at once.

Knows: the order of things in one turn. Leaves to others: the token loop (`generation`), the
diffusion steps (`decoders`), files (`media`).
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nextgpt_lite.errors import ConfigError
from nextgpt_lite.model.conversation import Encoded, Message, content_parts
from nextgpt_lite.model.generation import Prompt, Sampling, SignalBlock, generate
from nextgpt_lite.model.modality import MODALITIES, get_modality
from nextgpt_lite.reply import Event, Made, Reply

if TYPE_CHECKING:
    from nextgpt_lite.model.nextgpt import NextGPT


def events(
    model: NextGPT,
    message: str | Sequence[Message],
    *,
    images: Sequence[Any] = (),
    audios: Sequence[Any] = (),
    videos: Sequence[Any] = (),
    seed: int = 0,
    output_modalities: str | Sequence[str] = "auto",
    num_inference_steps: int | None = None,
    guidance_scale: float | None = None,
    max_new_tokens: int = 128,
    temperature: float = 0.0,
    top_p: float = 1.0,
    progress: bool = True,
    **media: Sequence[Any],
) -> Iterator[Event]:
    """Holds one turn. The same messages, options and seed give the same reply, bit for bit.

    Args:
        message: the user's words, or the whole conversation as messages ending with a user turn.
        images, audios, videos, media: files or media objects, put before the words of the last
            turn; of an added modality under its plural.
        seed: of sampling and of every decoder.
        output_modalities: "auto" lets the model decide; a list forces each modality it names and
            forbids the others, so `[]` means words only.
        num_inference_steps: diffusion steps of each decoder; None takes each one's own.
        guidance_scale: None takes each decoder's own.
        max_new_tokens, temperature, top_p: sampling of words; temperature 0 is greedy.
        progress: False leaves out the step events. Decoders then run in the calling thread, where a
            clip takes little more than half as long on two cores: a second thread has a second pool
            of OpenMP workers, and more workers than cores no longer wait for each other awake.

    Yields:
        text, step and media events as they happen, and "done" with the `Reply` at last.

    Raises:
        MediaError: a file cannot be read (before anything is generated).
        ConfigError: naming the field of the messages or option that is wrong.
    """
    started = time.perf_counter()
    given = by_modality(images=images, audios=audios, videos=videos, **media)
    messages = _with_media(message, given)
    _check_last_turn(messages)
    sampling = Sampling(max_new_tokens, temperature=temperature, top_p=top_p)
    draft = _Draft(model)
    for _, item in _written(model, [_open_media(messages)], [seed], output_modalities, sampling):
        if isinstance(item, SignalBlock):
            draft.add_block(item)
        else:
            yield Event("text", text=draft.add_word(item))
    reply = draft.finished()
    for index, (made, part) in enumerate(zip(reply.made, reply.media, strict=True)):
        decode = partial(
            model.decoder(part["type"]).generate,
            made.condition[None],
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            generator=torch.Generator().manual_seed(seed + index),
        )
        decoded = (yield from _watched(decode, part["type"])) if progress else decode()
        part["data"] = made.media = decoded[0]
        yield Event("media", modality=part["type"], media=decoded[0])
    reply.seconds = time.perf_counter() - started
    yield Event("done", reply=reply)


def by_modality(**media: Sequence[Any]) -> dict[str, Sequence[Any]]:
    """Media given under the plurals of the table's rows, by the rows' names.

    Raises:
        ConfigError: no row has such a plural.
    """
    names = {row.plural: name for name, row in MODALITIES.items()}
    if unknown := [plural for plural in media if plural not in names]:
        raise ConfigError(
            f"chat has no option {unknown[0]!r}; media are given as {', '.join(names)}."
        )
    return {names[plural]: items for plural, items in media.items()}


def chat_batch(
    model: NextGPT,
    conversations: Sequence[str | Sequence[Message]],
    *,
    seeds: int | Sequence[int] = 0,
    output_modalities: str | Sequence[str] = "auto",
    num_inference_steps: int | None = None,
    guidance_scale: float | None = None,
    max_new_tokens: int = 128,
    temperature: float = 0.0,
    top_p: float = 1.0,
    batch_size: int = 16,
) -> list[Reply]:
    """The reply to each of many conversations, several at a time.

    They are `chat`'s replies to each conversation alone: the same words and modalities, pictures
    and clips within one of 255 levels, sounds within 1e-4 of full scale. Bit for bit the same they
    are with `batch_size=1` only: in larger batches matrix products add up in another order.

    Args:
        conversations: the user's words, or messages ending with a user turn, media in their parts.
        seeds: one for all, or one for each.
        batch_size: conversations, and later media of one modality, that are worked on at once.
        output_modalities, num_inference_steps, guidance_scale, max_new_tokens, temperature, top_p:
            as for `chat`.

    Raises:
        MediaError: a file cannot be read (before anything is generated).
        ConfigError: naming the field of the messages or option that is wrong.
    """
    started = time.perf_counter()
    every = _each(seeds, len(conversations))
    for conversation in conversations:
        _check_last_turn(_with_media(conversation, {}))
    replies = drafts(
        model, conversations, seeds=every, output_modalities=output_modalities,
        max_new_tokens=max_new_tokens, temperature=temperature, top_p=top_p, batch_size=batch_size,
    )  # fmt: skip
    waiting: dict[str, list[tuple[dict[str, Any], Made, int]]] = {}
    for reply, seed in zip(replies, every, strict=True):
        for index, (part, made) in enumerate(zip(reply.media, reply.made, strict=True)):
            waiting.setdefault(part["type"], []).append((part, made, seed + index))
    for modality, items in waiting.items():
        media = model.decoder(modality).generate_each(
            [made.condition for _, made, _ in items],
            [seed for *_, seed in items],
            batch_size,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
        )
        for (part, made, _), medium in zip(items, media, strict=True):
            part["data"] = made.media = medium
    for reply in replies:
        reply.seconds = (time.perf_counter() - started) / len(replies)
    return replies


def drafts(
    model: NextGPT,
    conversations: Sequence[str | Sequence[Message]],
    *,
    seeds: int | Sequence[int] = 0,
    output_modalities: str | Sequence[str] = "auto",
    max_new_tokens: int = 128,
    temperature: float = 0.0,
    top_p: float = 1.0,
    batch_size: int = 64,
) -> list[Reply]:
    """The replies before any decoder runs: media parts lack "data", `made` has their conditions.

    A conversation that ends with a reply has that one read instead of chosen, and so the conditions
    of its media told.

    Arguments and errors as of `chat_batch`.
    """
    every = _each(seeds, len(conversations))
    opened = [_open_media(_with_media(conversation, {})) for conversation in conversations]
    sampling = Sampling(max_new_tokens, temperature=temperature, top_p=top_p)
    growing = [_Draft(model) for _ in opened]
    for index, item in _written(model, opened, every, output_modalities, sampling, batch_size):
        if isinstance(item, SignalBlock):
            growing[index].add_block(item)
        else:
            growing[index].words.append(item)
    return [draft.finished() for draft in growing]


class _Draft:
    """A reply that grows item by item: words, and for each medium its block and condition."""

    def __init__(self, model: NextGPT) -> None:
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
        part: dict[str, Any] = {"type": block.modality}
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


def signal_condition(
    model: NextGPT, message: str | Sequence[Message], modality: str, media: Sequence[Any] = ()
) -> Tensor:
    """What the reply's first signal block of a modality tells its decoder, nothing decoded.

    Args:
        message: as for `events`; the modality is forced, words are greedy.
        media: of the same modality, put before the words of the last turn.

    Returns:
        (L, C), as `Decoder.generate` and `Decoder.edit` take it.
    """
    asked = _with_media(message, {modality: media})
    return drafts(model, [asked], output_modalities=[modality])[0].made[0].condition


def _with_media(message: str | Sequence[Message], media: dict[str, Sequence[Any]]) -> list[Message]:
    """A list of messages whose last turn begins with the given media."""
    if isinstance(message, str):
        message = [{"role": "user", "content": message}]
    if not message:
        raise ConfigError("The conversation has no message: it must end with one of the user's.")
    parts: list[dict[str, Any]] = [
        {"type": modality, "path" if isinstance(item, str | Path) else "data": item}
        for modality, items in media.items()
        for item in items
    ]
    *before, last = message
    return [*before, {"role": last["role"], "content": [*parts, *content_parts(last)]}]


def _check_last_turn(messages: Sequence[Message]) -> None:
    if messages[-1]["role"] != "user":
        raise ConfigError("The conversation must end with a message whose role is 'user'.")


def _open_media(messages: Sequence[Message]) -> list[Message]:
    """The same messages with every user medium loaded, so that a bad file stops nothing halfway."""
    return [
        {"role": turn["role"], "content": [_opened(p, turn["role"]) for p in content_parts(turn)]}
        for turn in messages
    ]


def _opened(part: dict[str, Any], role: str) -> dict[str, Any]:
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


def _modalities(model: NextGPT, wanted: str | Sequence[str]) -> tuple[list[str], list[str]]:
    """(allowed, required) output modalities."""
    known = list(model.config.conditions)
    if wanted == "auto":
        return known, []
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    names = [name for name in names if name not in ("text", "none")]
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(
            f"Option output_modalities names {unknown[0]!r}: use 'auto' or some of "
            f"{', '.join(known)}."
        )
    return names, names


def _written(
    model: NextGPT,
    conversations: Sequence[Sequence[Message]],
    seeds: Sequence[int],
    output_modalities: str | Sequence[str],
    sampling: Sampling,
    batch_size: int = 1,
) -> Iterator[tuple[int, int | SignalBlock]]:
    """Words and blocks of the replies to conversations whose media are open, with whose it is."""
    allowed, required = _modalities(model, output_modalities)
    prompts, encoded = [], []
    for conversation, seed in zip(conversations, seeds, strict=True):
        asks = conversation[-1]["role"] == "user"
        asked = conversation if asks else conversation[:-1]
        encoded.append(model.conversation.encode(asked, reply_follows=True))
        told = () if asks else _told(model, conversation, len(encoded[-1]))
        generator = torch.Generator().manual_seed(seed)
        prompts.append(Prompt(torch.empty(0), allowed, required if asks else (), told, generator))
    # Those of like length together, so that little is padding.
    order = sorted(range(len(encoded)), key=lambda index: len(encoded[index]))
    for first in range(0, len(order), batch_size):
        chosen = order[first : first + batch_size]
        embeddings = prompt_embeddings(model, [encoded[index] for index in chosen])
        for index, prompt in zip(chosen, embeddings, strict=True):
            prompts[index].embeddings = prompt
        for row, item in generate(model.llm, [prompts[index] for index in chosen], sampling):
            yield chosen[row], item


@torch.inference_mode()
def prompt_embeddings(model: NextGPT, encoded: Sequence[Encoded]) -> list[Tensor]:
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


def _told(model: NextGPT, conversation: Sequence[Message], begin: int) -> list[int]:
    """Token ids of the last reply, which begins there, without the end token."""
    encoded = model.conversation.encode(conversation)
    ids = [token for token in encoded.labels[begin:] if token >= 0]
    return ids[:-1] if ids[-1:] == [model.llm.eos_id] else ids


def _watched(decode: Callable[..., list[Any]], modality: str) -> Generator[Event, None, list[Any]]:
    """Runs a decoder in a thread, so that its callback can become a stream of events."""
    happenings: queue.Queue[Event | list[Any] | BaseException] = queue.Queue()

    def tell(step: int, total: int) -> None:
        happenings.put(Event("step", modality=modality, step=step, total=total))

    def work() -> None:
        try:
            happenings.put(decode(callback=tell))
        except BaseException as error:
            happenings.put(error)

    threading.Thread(target=work, daemon=True).start()
    while isinstance(happening := happenings.get(), Event):
        yield happening
    if isinstance(happening, BaseException):
        raise happening
    return happening
