"""Messages to token ids and back: chat templates, gaps for media, signal blocks.

Knows: where each media item and each signal block sits in a token sequence, and which tokens are
trained on. Leaves to others: what media look like, embeddings, generation.

A media item in a user turn becomes its open marker, a gap of K positions, and its close marker; a
media part in an assistant turn becomes its modality's signal block, whatever was painted from it.
Any chat template of transformers works: spans of the reply are found by rendering prefixes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from transformers import PreTrainedTokenizerBase as Tokenizer

from nextgpt_lite.losses import IGNORE
from nextgpt_lite.modality import MODALITIES

Message = dict[str, Any]
_SLOT = re.compile("\ue000(\\d+)\ue001")  # private-use characters: no tokenizer gives them meaning


@dataclass
class MediaSlot:
    """A gap of K positions from `start`, to be filled with the projection of `part`'s media."""

    start: int
    part: dict[str, Any]


@dataclass
class SignalSlot:
    """A signal block from `start`; `caption` is the text whose condition it should produce."""

    start: int
    modality: str
    caption: str | None


@dataclass
class Encoded:
    """One conversation as ids. `labels` equal `ids` where a token is trained on, else -100."""

    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    media: list[MediaSlot] = field(default_factory=list)
    signals: list[SignalSlot] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)


def content_parts(message: Message) -> list[dict[str, Any]]:
    """The parts of a message; a plain string is one text part.

    Raises:
        ValueError: naming the field that is wrong.
    """
    if message.get("role") not in ("user", "assistant"):
        raise ValueError(f"Message role is {message.get('role')!r}: use 'user' or 'assistant'.")
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise ValueError("Message field 'content' must be a string or a list of parts.")
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind != "text" and kind not in MODALITIES:
            names = ", ".join(("text", *MODALITIES))
            raise ValueError(f"Message part type is {kind!r}: use one of {names}.")
        if kind == "text" and not isinstance(part.get("text"), str):
            raise ValueError("Message part of type 'text' lacks the field 'text'.")
    return content


class Conversation:
    """Encodes messages for one tokenizer.

    Args:
        tokenizer: with a chat template, the new tokens already added.
        signal_ids: ids of each modality's block.
        input_tokens: K, the positions one media item takes.
    """

    def __init__(
        self, tokenizer: Tokenizer, signal_ids: dict[str, list[int]], input_tokens: int
    ) -> None:
        self.tokenizer = tokenizer
        self.signal_ids = signal_ids
        self.input_tokens = input_tokens
        special = sorted(tokenizer.get_added_vocab(), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, special)) or "(?!)")

    def encode(self, messages: Sequence[Message], *, reply_follows: bool = False) -> Encoded:
        """Ids, labels and slots of a conversation.

        Args:
            messages: user and assistant turns in order.
            reply_follows: ends with the template's prompt for a reply; nothing is trained on.
        """
        slots: list[dict[str, Any]] = []
        flat = [
            {"role": message["role"], "content": self._flatten(message, slots)}
            for message in messages
            if content_parts(message) is not None
        ]
        text = self._render(flat, reply_follows)
        trained = [] if reply_follows else self._reply_spans(flat, text)
        encoded = Encoded()
        for start, end, is_reply in _pieces(len(text), trained):
            self._encode_piece(text[start:end], is_reply, slots, encoded)
        return encoded

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids that hold no signal tokens; markers and end tokens are left out."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)

    def _flatten(self, message: Message, slots: list[dict[str, Any]]) -> str:
        """One string with a numbered slot for each media part."""
        text = ""
        for part in content_parts(message):
            if part["type"] == "text":
                piece = self._harmless(part["text"].strip())
                text += (" " if text and piece else "") + piece
                continue
            slot = f"\ue000{len(slots)}\ue001"
            slots.append({**part, "role": message["role"]})
            if message["role"] == "user":
                row = MODALITIES[part["type"]]
                text += (" " if text else "") + row.open + slot + row.close
            else:
                text += slot  # glued to the words: no space has to be predicted before a block
        return text

    def _harmless(self, text: str) -> str:
        """Special tokens typed by a person are words, not commands."""
        text = text.replace("\ue000", "").replace("\ue001", "")
        return self._special.sub(lambda found: " ".join(found.group()), text)

    def _render(self, messages: list[Message], reply_follows: bool) -> str:
        return str(
            self.tokenizer.apply_chat_template(
                messages, tokenize=False, add_generation_prompt=reply_follows
            )
        )

    def _reply_spans(self, messages: list[Message], text: str) -> list[tuple[int, int]]:
        spans = []
        for index, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            before = self._render(messages[:index], True) if index else ""
            upto = self._render(messages[: index + 1], False)
            if not (text.startswith(before) and text.startswith(upto)):
                raise ValueError(
                    "The tokenizer's chat template rewrites earlier turns, so replies cannot be "
                    "found in it: give the tokenizer a template that only appends."
                )
            spans.append((len(before), len(upto)))
        return spans

    def _encode_piece(
        self, text: str, is_reply: bool, slots: list[dict[str, Any]], encoded: Encoded
    ) -> None:
        for index, piece in enumerate(_SLOT.split(text)):
            if index % 2 == 0:
                ids = self.tokenizer.encode(piece, add_special_tokens=False) if piece else []
                self._append(encoded, ids, is_reply)
                continue
            part = slots[int(piece)]
            if part["role"] == "user":
                encoded.media.append(MediaSlot(len(encoded), part))
                gap = [self.tokenizer.pad_token_id or 0] * self.input_tokens
                self._append(encoded, gap, False)
            else:
                modality = part["type"]
                encoded.signals.append(SignalSlot(len(encoded), modality, part.get("caption")))
                self._append(encoded, self.signal_ids[modality], is_reply)

    @staticmethod
    def _append(encoded: Encoded, ids: list[int], trained: bool) -> None:
        encoded.ids += ids
        encoded.labels += ids if trained else [IGNORE] * len(ids)


def _pieces(length: int, spans: list[tuple[int, int]]) -> list[tuple[int, int, bool]]:
    """Cuts [0, length) at the spans; each piece knows whether it lies in one."""
    pieces, at = [], 0
    for start, end in spans:
        pieces += [(at, start, False), (start, end, True)]
        at = end
    return [piece for piece in [*pieces, (at, length, False)] if piece[0] < piece[1]]
