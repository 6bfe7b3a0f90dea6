"""A turn of conversation: messages and media in, events and a reply out.

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
from nextgpt_lite.model.conversation import Encoded, content_parts
from nextgpt_lite.model.generation import Sampling, SignalBlock, generate
from nextgpt_lite.model.modality import MODALITIES, get_modality
from nextgpt_lite.reply import Event, Made, Reply

if TYPE_CHECKING:
    from nextgpt_lite.model.nextgpt import NextGPT


def events(
    model: NextGPT,
    message: str | Sequence[dict[str, Any]],
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
        ValueError: naming the field of the messages or option that is wrong.
    """
    started = time.perf_counter()
    given = by_modality(images=images, audios=audios, videos=videos, **media)
    messages = _open_media(_as_messages(message, given))
    allowed, required = _modalities(model, output_modalities)
    sampling = Sampling(max_new_tokens, temperature=temperature, top_p=top_p)
    reply = Reply()
    yield from _words(model, messages, reply, allowed, required, sampling, seed)
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


def draft(
    model: NextGPT,
    messages: Sequence[dict[str, Any]],
    *,
    seed: int = 0,
    max_new_tokens: int = 128,
    output_modalities: str | Sequence[str] = "auto",
) -> Reply:
    """The reply before any decoder runs: media parts lack "data", `made` has their conditions.

    Arguments and errors as of `events`; for whoever lets decoders work on many replies at once.
    """
    reply = Reply()
    allowed, required = _modalities(model, output_modalities)
    opened = _open_media(_as_messages(messages, {}))
    for _ in _words(model, opened, reply, allowed, required, Sampling(max_new_tokens), seed):
        pass
    return reply


def _words(
    model: NextGPT,
    messages: list[dict[str, Any]],
    reply: Reply,
    allowed: Sequence[str],
    required: Sequence[str],
    sampling: Sampling,
    seed: int,
) -> Iterator[Event]:
    """What the LLM says, put into `reply`: words, and for each medium its block and condition."""
    words: list[int] = []
    blocks: list[SignalBlock] = []
    for item in generate(
        model.llm,
        _prompt(model, model.conversation.encode(messages, reply_follows=True)),
        allowed=allowed,
        required=required,
        sampling=sampling,
        generator=torch.Generator().manual_seed(seed),
    ):
        if isinstance(item, SignalBlock):
            _close_text(model, reply, words)
            part: dict[str, Any] = {"type": item.modality}
            if model.config.messenger == "caption":
                part["caption"] = model.conversation.decode(item.ids).strip()
            reply.parts.append(part)
            reply.signal_tokens += model.llm.describe_ids(item.ids)
            blocks.append(item)
            continue
        before = model.conversation.decode(words)
        words.append(item)
        yield Event("text", text=model.conversation.decode(words)[len(before) :])
    _close_text(model, reply, words)
    with torch.inference_mode():
        reply.made += [Made(block, model.condition(block)[0]) for block in blocks]


@torch.inference_mode()
def signal_condition(
    model: NextGPT,
    message: str | Sequence[dict[str, Any]],
    modality: str,
    media: Sequence[Any] = (),
) -> Tensor:
    """What the reply's first signal block of a modality tells its decoder, nothing decoded.

    Args:
        message: as for `events`; the modality is forced, words are greedy.
        media: of the same modality, put before the words of the last turn.

    Returns:
        (L, C), as `Decoder.generate` and `Decoder.edit` take it.
    """
    messages = _open_media(_as_messages(message, {modality: media}))
    allowed, required = _modalities(model, [modality])
    prompt = _prompt(model, model.conversation.encode(messages, reply_follows=True))
    for item in generate(model.llm, prompt, allowed=allowed, required=required):
        if isinstance(item, SignalBlock):
            return model.condition(item)[0]
    raise AssertionError("a required modality always comes")  # see `generate`


def _as_messages(
    message: str | Sequence[dict[str, Any]], media: dict[str, Sequence[Any]]
) -> list[dict[str, Any]]:
    """A list of messages whose last user turn begins with the given media."""
    if isinstance(message, str):
        messages: list[dict[str, Any]] = [{"role": "user", "content": message}]
    else:
        messages = [dict(turn) for turn in message]
    if not messages or messages[-1].get("role") != "user":
        raise ValueError("The conversation must end with a message whose role is 'user'.")
    parts = [
        {"type": modality, "path" if isinstance(item, str | Path) else "data": item}
        for modality, items in media.items()
        for item in items
    ]
    messages[-1]["content"] = parts + content_parts(messages[-1])
    return messages


def _open_media(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same messages with every user medium loaded, so that a bad file stops nothing halfway."""
    return [
        {**turn, "content": [_opened(part, turn["role"]) for part in content_parts(turn)]}
        for turn in messages
    ]


def _opened(part: dict[str, Any], role: str) -> dict[str, Any]:
    if part["type"] == "text" or role == "assistant" or part.get("data") is not None:
        return part
    if "path" not in part:
        raise ValueError(f"Message part of type {part['type']!r} lacks 'path' or 'data'.")
    return {**part, "data": get_modality(part["type"]).load(part["path"])}


def _modalities(model: NextGPT, wanted: str | Sequence[str]) -> tuple[list[str], list[str]]:
    """(allowed, required) output modalities."""
    known = list(model.config.conditions)
    if wanted == "auto":
        return known, []
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    names = [name for name in names if name not in ("text", "none")]
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"Option output_modalities names {unknown[0]!r}: use 'auto' or some of "
            f"{', '.join(known)}."
        )
    return names, names


@torch.inference_mode()
def _prompt(model: NextGPT, encoded: Encoded) -> Tensor:
    """(1, S, D) embeddings of a conversation, media in their gaps."""
    ids = torch.tensor([encoded.ids], device=model.device)  # (1, S)
    embeddings = model.llm.embed(ids)  # (1, S, D)
    if not encoded.media:
        return embeddings
    items = [(slot.part["type"], slot.part["data"]) for slot in encoded.media]
    features = model.encoder.encode(items).to(model.device)  # (M, E)
    starts = torch.tensor([slot.start for slot in encoded.media], device=model.device)  # (M,)
    return model.splice(embeddings, torch.zeros_like(starts), starts, features)


def _close_text(model: NextGPT, reply: Reply, words: list[int]) -> None:
    if text := model.conversation.decode(words).strip():
        reply.parts.append({"type": "text", "text": text})
    words.clear()


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
