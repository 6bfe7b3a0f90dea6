"""What a user does with a model: `NextGPT`, which chats and edits.

Knows: the options and what they mean. Leaves to others: what happens in a turn (`turn`), the parts
of the model, their training and their files (`model.nextgpt`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, overload

import torch

from nextgpt_lite import turn
from nextgpt_lite.decoders.editing import StepCallback
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.media import Media
from nextgpt_lite.messages import Conversation
from nextgpt_lite.model import hub
from nextgpt_lite.model.generation import Processor
from nextgpt_lite.model.modality import MODALITIES, get_modality
from nextgpt_lite.model.nextgpt import NextGPTModel
from nextgpt_lite.options import Options, seed_of, whole
from nextgpt_lite.processor import NextGPTProcessor
from nextgpt_lite.reply import Event, Reply

if TYPE_CHECKING:
    from transformers import GenerationConfig
    from transformers.generation.streamers import BaseStreamer


class NextGPT(NextGPTModel):
    """The whole model. Build it with `from_pretrained` or `from_config`."""

    @overload
    def chat(
        self, message: str | Conversation, *, images: Any = ..., audios: Any = ...,
        videos: Any = ..., seed: int = ..., stream: Literal[False] = ..., **options: Any,
    ) -> Reply: ...  # fmt: skip

    @overload
    def chat(
        self, message: str | Conversation, *, images: Any = ..., audios: Any = ...,
        videos: Any = ..., seed: int = ..., stream: Literal[True], **options: Any,
    ) -> Iterator[Event]: ...  # fmt: skip

    def chat(
        self,
        message: str | Conversation,
        *,
        images: Any = (),
        audios: Any = (),
        videos: Any = (),
        seed: int = 0,
        generator: torch.Generator | None = None,
        output_modalities: str | Sequence[str] = "auto",
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        negative_prompt: str | None = None,
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        top_p: float = 1.0,
        top_k: int | None = None,
        repetition_penalty: float = 1.0,
        logits_processor: Sequence[Processor] = (),
        generation_config: GenerationConfig | None = None,
        streamer: BaseStreamer | None = None,
        stream: bool = False,
        previews: int = 0,
        **media: Any,
    ) -> Reply | Iterator[Event]:
        """Holds one turn. The same messages, options and seed give the same reply, bit for bit.

        Args:
            message: the user's words, or the conversation as messages ending with a user turn, in
                our form, transformers' or OpenAI's (`messages.in_our_form`). A system turn may come
                first; the lite model reads its words before the user's, untrained to follow them.
            images, audios, videos: one or several, as paths, URLs (file:// and data:), bytes, file
                objects, PIL images, arrays of numpy or torch, (array, rate), lists of frames,
                `Audio` or `Video`: all are read as their file would be. They fill the parts of the
                messages that name no medium, else they are put before the words of the last turn.
            seed: of sampling and of every decoder.
            generator: draws the seed instead, another one at each call.
            output_modalities: "auto" lets the model decide; a list forces each modality it names
                and forbids the others, so `[]` means words only.
            num_inference_steps: diffusion steps of each decoder; None takes each one's own.
            guidance_scale: None takes each decoder's own.
            negative_prompt: what the media should not show, for the decoders' own text encoders.
            max_new_tokens: words of the reply, in tokens.
            temperature, top_p, top_k: sampling of words; temperature 0 takes the most likely ones.
            repetition_penalty, logits_processor: as in transformers; they see the reply so far.
            generation_config: says those of transformers' options that are not given here.
            streamer: of transformers, such as `TextIteratorStreamer`: gets the ids of prompt and
                words as they come.
            stream: gives, instead of the reply, text, step and media events as they happen, and
                "done" with the reply at last.
            previews: every so many steps a step event of a stream has the medium as it is by then,
                full of noise; 0 for never.
            media: of an added modality, under its plural.

        Raises:
            MediaError: a medium cannot be read (before anything is generated).
            ConfigError: naming the field of the messages or option that is wrong.
        """
        given = {"images": images, "audios": audios, "videos": videos, **media}
        options = Options(
            output_modalities, num_inference_steps, guidance_scale, max_new_tokens, temperature,
            top_p, top_k, repetition_penalty, logits_processor, negative_prompt,
        ).under(generation_config)  # fmt: skip
        if not (streamer is None or (hasattr(streamer, "put") and hasattr(streamer, "end"))):
            raise ConfigError(f"Option streamer is {streamer!r}: use one of transformers.")
        messages = turn.asked(message, _by_modality(given))
        happenings = turn.events(
            self, messages, seed_of(seed, generator), options, progress=stream,
            previews=whole("previews", previews, 0), streamer=streamer,
        )  # fmt: skip
        if stream:
            return happenings
        *_, last = happenings
        assert last.reply is not None
        return last.reply

    def chat_batch(
        self,
        conversations: Sequence[str | Conversation],
        *,
        seeds: int | Sequence[int] = 0,
        batch_size: int = 16,
        generation_config: GenerationConfig | None = None,
        **options: Any,
    ) -> list[Reply]:
        """The reply to each of many conversations, several at a time.

        They are `chat`'s replies to each conversation alone: the same words and modalities, images
        and videos mostly within one of 255 levels (up to 10 were seen in single pixels), sounds
        within 1e-4 of full scale. They are the same bit for bit with `batch_size=1` only: in larger
        batches matrix products add up in another order.

        Args:
            conversations: words, or messages ending with a user turn, media in their parts.
            seeds: one for all, or one for each.
            batch_size: conversations, and then media of one modality, that are worked on at once.
            generation_config: as for `chat`.
            options: those of `chat` that are fields of `Options`.

        Raises:
            MediaError: a file cannot be read (before anything is generated).
            ConfigError: naming the field of the messages or option that is wrong.
        """
        if unknown := sorted(set(options) - {field.name for field in fields(Options)}):
            raise ConfigError(f"chat_batch has no option {unknown[0]!r}.")
        every = [turn.asked(conversation) for conversation in conversations]
        chosen = Options(**options).under(generation_config)
        return turn.replies(self, every, seeds, chosen, whole("batch_size", batch_size, 1))

    def edit(
        self,
        modality: str,
        medium: Any,
        words: str,
        *,
        messenger: Literal["signals", "caption"] = "signals",
        mask: Any = None,
        strength: float = 0.7,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        negative_prompt: str | None = None,
        seed: int = 0,
        generator: torch.Generator | None = None,
        callback: StepCallback | None = None,
    ) -> Media:
        """A medium changed as words say, from its own latents (the paper's Tables 8 to 10).

        Args:
            medium: in any form that `chat` takes.
            words: for "signals" an instruction ("Make it blue."), read together with the medium by
                the LLM, whose signal tokens condition the decoder; for "caption" a description of
                the result, read by the decoder's own text encoder.
            messenger: "signals" or "caption".
            mask, strength, num_inference_steps, guidance_scale, negative_prompt, callback: as
                `Decoder.edit` says.
            seed, generator: as for `chat`.

        Raises:
            MediaError: the file cannot be read.
            ConfigError: there is no such messenger, or an option does not fit.
        """
        options = Options(
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            negative_prompt=negative_prompt,
        )
        if not (callback is None or callable(callback)):
            raise ConfigError(f"Option callback is {callback!r}: use a function.")
        chance = torch.Generator().manual_seed(seed_of(seed, generator))
        medium = get_modality(modality).take(medium)
        if messenger == "signals":
            messages = turn.asked(words, {modality: [medium]})
            condition = turn.signal_conditions(self, [messages], modality)  # (1, L, C)
        elif messenger == "caption":
            condition = self.decoder(modality).encode_text([words])
        else:
            raise ConfigError(f"messenger is {messenger!r}: use 'signals' or 'caption'.")
        edited: Media = self.decoder(modality).edit(
            [medium],
            condition,
            masks=None if mask is None else [mask],
            strength=strength,
            generator=chance,
            callback=callback,
            **options.diffusion,
        )[0]
        return edited


def _by_modality(media: dict[str, Any]) -> dict[str, Any]:
    """Media given under the plurals of the table's rows, by the rows' names."""
    names = {row.plural: name for name, row in MODALITIES.items()}
    if unknown := [plural for plural in media if plural not in names]:
        raise ConfigError(
            f"chat has no option {unknown[0]!r}; media are given as {', '.join(names)}."
        )
    return {names[plural]: items for plural, items in media.items()}


hub.register(NextGPT, NextGPTProcessor)
