"""What a user does with a model: `NextGPT`, which chats and edits.

Knows: the options and what they mean. Leaves to others: what happens in a turn (`turn`), the parts
of the model, their training and their files (`model.nextgpt`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, overload

import torch
from PIL import Image

from nextgpt_lite import turn
from nextgpt_lite.decoders.editing import StepCallback
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.media import Audio, Media, Video
from nextgpt_lite.messages import Conversation
from nextgpt_lite.model.modality import MODALITIES, get_modality
from nextgpt_lite.model.nextgpt import NextGPTModel
from nextgpt_lite.reply import Event, Reply
from nextgpt_lite.turn import Options


class NextGPT(NextGPTModel):
    """The whole model. Build it with `from_pretrained` or `from_config`."""

    @overload
    def chat(
        self, message: str | Conversation, *, images: Sequence[str | Path | Image.Image] = ...,
        audios: Sequence[str | Path | Audio] = ..., videos: Sequence[str | Path | Video] = ...,
        seed: int = ..., output_modalities: str | Sequence[str] = ...,
        num_inference_steps: int | None = ..., guidance_scale: float | None = ...,
        max_new_tokens: int = ..., temperature: float = ..., top_p: float = ...,
        stream: Literal[False] = ..., **media: Sequence[Any],
    ) -> Reply: ...  # fmt: skip

    @overload
    def chat(
        self, message: str | Conversation, *, images: Sequence[str | Path | Image.Image] = ...,
        audios: Sequence[str | Path | Audio] = ..., videos: Sequence[str | Path | Video] = ...,
        seed: int = ..., output_modalities: str | Sequence[str] = ...,
        num_inference_steps: int | None = ..., guidance_scale: float | None = ...,
        max_new_tokens: int = ..., temperature: float = ..., top_p: float = ...,
        stream: Literal[True], **media: Sequence[Any],
    ) -> Iterator[Event]: ...  # fmt: skip

    def chat(
        self,
        message: str | Conversation,
        *,
        images: Sequence[str | Path | Image.Image] = (),
        audios: Sequence[str | Path | Audio] = (),
        videos: Sequence[str | Path | Video] = (),
        seed: int = 0,
        output_modalities: str | Sequence[str] = "auto",
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        top_p: float = 1.0,
        stream: bool = False,
        **media: Sequence[Any],
    ) -> Reply | Iterator[Event]:
        """Holds one turn. The same messages, options and seed give the same reply, bit for bit.

        Args:
            message: the user's words, or the conversation as messages ending with a user turn.
            images, audios, videos: files or media objects, put before the words of the last turn.
            seed: of sampling and of every decoder.
            output_modalities: "auto" lets the model decide; a list forces each modality it names
                and forbids the others, so `[]` means words only.
            num_inference_steps: diffusion steps of each decoder; None takes each one's own.
            guidance_scale: None takes each decoder's own.
            max_new_tokens: words of the reply, in tokens.
            temperature, top_p: sampling of words; temperature 0 takes the most likely ones.
            stream: gives, instead of the reply, text, step and media events as they happen, and
                "done" with the reply at last.
            media: of an added modality, under its plural.

        Raises:
            MediaError: a file cannot be read (before anything is generated).
            ConfigError: naming the field of the messages or option that is wrong.
        """
        given = {"images": images, "audios": audios, "videos": videos, **media}
        options = Options(
            output_modalities, num_inference_steps, guidance_scale, max_new_tokens, temperature,
            top_p,
        )  # fmt: skip
        messages = turn.asked(message, _by_modality(given))
        happenings = turn.events(self, messages, seed, options, progress=stream)
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
        output_modalities: str | Sequence[str] = "auto",
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        max_new_tokens: int = 128,
        temperature: float = 0.0,
        top_p: float = 1.0,
        batch_size: int = 16,
    ) -> list[Reply]:
        """The reply to each of many conversations, several at a time.

        They are `chat`'s replies to each conversation alone: the same words and modalities, images
        and videos within one of 255 levels, sounds within 1e-4 of full scale. Bit for bit the same
        they are with `batch_size=1` only: in larger batches matrix products add up in another
        order.

        Args:
            conversations: words, or messages ending with a user turn, media in their parts.
            seeds: one for all, or one for each.
            batch_size: conversations, and then media of one modality, that are worked on at once.
            output_modalities, num_inference_steps, guidance_scale, max_new_tokens, temperature,
                top_p: as for `chat`.

        Raises:
            MediaError: a file cannot be read (before anything is generated).
            ConfigError: naming the field of the messages or option that is wrong.
        """
        options = Options(
            output_modalities, num_inference_steps, guidance_scale, max_new_tokens, temperature,
            top_p,
        )  # fmt: skip
        every = [turn.asked(conversation) for conversation in conversations]
        return turn.replies(self, every, seeds, options, batch_size)

    def edit(
        self,
        modality: str,
        medium: str | Path | Media,
        words: str,
        *,
        messenger: Literal["signals", "caption"] = "signals",
        mask: Any = None,
        strength: float = 0.7,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        seed: int = 0,
        callback: StepCallback | None = None,
    ) -> Media:
        """A medium changed as words say, from its own latents (the paper's Tables 8 to 10).

        Args:
            medium: a file, PIL image, `Audio` or `Video`.
            words: for "signals" an instruction ("Make it blue."), read together with the medium by
                the LLM, whose signal tokens condition the decoder; for "caption" a description of
                the result, read by the decoder's own text encoder.
            messenger: "signals" or "caption".
            mask, strength, num_inference_steps, guidance_scale, callback: as `Decoder.edit` says.

        Raises:
            MediaError: the file cannot be read.
            ConfigError: there is no such messenger, or an option does not fit.
        """
        if isinstance(medium, str | Path):
            medium = get_modality(modality).load(medium)
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
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            generator=torch.Generator().manual_seed(seed),
            callback=callback,
        )[0]
        return edited


def _by_modality(media: dict[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Media given under the plurals of the table's rows, by the rows' names."""
    names = {row.plural: name for name, row in MODALITIES.items()}
    if unknown := [plural for plural in media if plural not in names]:
        raise ConfigError(
            f"chat has no option {unknown[0]!r}; media are given as {', '.join(names)}."
        )
    return {names[plural]: items for plural, items in media.items()}
