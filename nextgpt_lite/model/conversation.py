"""Messages to token ids and back: chat templates, gaps for media, signal blocks.

Knows: where each media item and each signal block sits in a token sequence, and which tokens are
trained on. Leaves to others: what media look like, embeddings, generation.

A media item in a user turn becomes its open marker, a gap of K positions, and its close marker; a
media part in an assistant turn becomes its modality's signal block, whatever was painted from it.
Any chat template of transformers works: replies are found by rendering them once more, marked.
Where a template has no place for a system turn, as that of the lite model, its words begin the
first user turn.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from transformers import PreTrainedTokenizerBase as Tokenizer

from nextgpt_lite.errors import ConfigError, DamagedError
from nextgpt_lite.messages import Conversation, Message, Part, Role
from nextgpt_lite.model.harmless import REPLY, REPLY_END, SLOT, SLOT_END, Harmless
from nextgpt_lite.model.losses import IGNORE
from nextgpt_lite.model.modality import get_modality
from nextgpt_lite.reading import reading

Spans = list[tuple[int, int]]  # from and to in a text
_SLOT = re.compile(f"{SLOT}(\\d+){SLOT_END}")


@dataclass
class MediaSlot:
    """A gap of K positions from `start`, to be filled with the projection of `part`'s media."""

    start: int
    part: Part


@dataclass
class SignalSlot:
    """A block from `start` whose states are projected: signal tokens, or a caption in its marks.

    `caption` is the text whose condition it should produce.

    `part` is the message part it stands for, with the medium where there is one.
    """

    start: int
    modality: str
    caption: str | None
    part: Part
    length: int


@dataclass
class Encoded:
    """One conversation as ids. `labels` equal `ids` where a token is trained on, else -100."""

    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    media: list[MediaSlot] = field(default_factory=list)
    signals: list[SignalSlot] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)


def content_parts(message: Message) -> Sequence[Part]:
    """The parts of a message; a plain string is one text part.

    Raises:
        ConfigError: naming the field that is wrong.
    """
    if message.get("role") not in ("system", "user", "assistant"):
        raise ConfigError(
            f"Message role is {message.get('role')!r}: use 'system', 'user' or 'assistant'."
        )
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list | tuple):
        raise ConfigError("Message field 'content' must be a string or a list of parts.")
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind is None:
            raise ConfigError(f"Message part {part!r:.80} has no 'type': use 'text' or a modality.")
        if kind != "text":
            get_modality(kind)
        if kind == "text" and not isinstance(part.get("text"), str):
            raise ConfigError("Message part of type 'text' lacks the field 'text'.")
    return content


class ConversationTokenizer:
    """Encodes messages for one tokenizer.

    Args:
        tokenizer: with a chat template, the new tokens already added.
        signal_ids: ids of each modality's block.
        input_tokens: K, the positions one media item takes.
        messenger: "caption" and "caption-states" write a part's caption between two marks instead
            of signal tokens.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        signal_ids: dict[str, list[int]],
        input_tokens: int,
        messenger: str = "signal",
    ) -> None:
        self.tokenizer = tokenizer
        self.signal_ids = signal_ids
        self.input_tokens = input_tokens
        self.messenger = messenger
        with reading(Path(tokenizer.name_or_path), "token*.json", "*.jinja"):
            self.harmless = Harmless(tokenizer, self._between_turns())

    def encode(self, messages: Conversation, *, reply_follows: bool = False) -> Encoded:
        """Ids, labels and slots of a conversation.

        Args:
            messages: user and assistant turns in order, perhaps a system turn before them.
            reply_follows: ends with the template's prompt for a reply; nothing is trained on.
        """
        slots: list[tuple[str, Part]] = []
        flat: list[Message] = [
            {"role": message["role"], "content": self._flatten(message, slots)}
            for message in messages
        ]
        flat = self._with_system_placed(flat)
        text = self.render(flat, reply_follows)
        replies = [] if reply_follows else self._reply_spans(flat, text)
        encoded, at = Encoded(), 0
        for slot in _SLOT.finditer(text):
            self._encode_words(text[at : slot.start()], at, replies, encoded)
            self._encode_slot(*slots[int(slot[1])], _within(slot.start(), replies), encoded)
            at = slot.end()
        self._encode_words(text[at:], at, replies, encoded)
        return encoded

    def cut(self, encoded: Encoded, room: int | None) -> bool:
        """Shortens a conversation to `room` positions, never within a slot; whether it had to."""
        if room is None or len(encoded) <= room:
            return False
        ends = [(s.start, s.start + self.input_tokens) for s in encoded.media]
        ends += [(s.start, s.start + s.length) for s in encoded.signals]
        room = min([room, *(start for start, end in ends if end > room)])
        del encoded.ids[room:], encoded.labels[room:]
        encoded.media = [slot for slot in encoded.media if slot.start < room]
        encoded.signals = [slot for slot in encoded.signals if slot.start < room]
        return True

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids that hold no signal tokens; markers and end tokens are left out."""
        return self.tokenizer.decode(list(ids), skip_special_tokens=True)

    def _flatten(self, message: Message, slots: list[tuple[str, Part]]) -> str:
        """One string with a numbered slot for each media part."""
        text = ""
        for part in content_parts(message):
            if part["type"] == "text":
                piece = self.harmless(part["text"].strip())
                text += (" " if text and piece else "") + piece
                continue
            if message["role"] == "system":
                raise ConfigError("A system turn holds words only: give media in a user turn.")
            self._check_known(part["type"], message["role"])
            slot = f"{SLOT}{len(slots)}{SLOT_END}"
            slots.append((message["role"], part))
            if message["role"] == "user":
                row = get_modality(part["type"])
                text += (" " if text else "") + row.open + slot + row.close
            else:
                text += slot  # glued to the words: no space has to be predicted before a block
        return text

    def _with_system_placed(self, flat: list[Message]) -> list[Message]:
        """Messages whose content is a string, as the chat template can lay them out."""
        if any(message["role"] == "system" for message in flat[1:]):
            raise ConfigError("A system turn stands before all others: move it there.")
        if not flat or flat[0]["role"] != "system" or self._places_system:
            return flat
        warnings.warn(
            "This model's chat template has no place for a system turn: its words are put before "
            "those of the first user turn, and nothing trained the model to follow them.",
            stacklevel=2,
        )
        words, turns = flat[0]["content"], flat[1:]
        first = next((n for n, turn in enumerate(turns) if turn["role"] == "user"), None)
        if first is None:
            raise ConfigError("After a system turn a user turn must come: add one.")
        turns[first] = {"role": "user", "content": f"{words} {turns[first]['content']}".strip()}
        return turns

    @cached_property
    def _places_system(self) -> bool:
        """Whether the chat template writes a system turn, and not as if it were a reply."""
        asked: Message = {"role": "user", "content": REPLY_END}
        texts = []
        for role in ("system", "assistant"):
            try:
                texts.append(self.render([{"role": role, "content": REPLY}, asked], True))
            except DamagedError:  # some refuse a role, or a reply before all else
                texts.append("")
        return REPLY in texts[0] and texts[0] != texts[1]

    def _check_known(self, modality: str, role: str) -> None:
        """Refuses a modality that the table has and this model was not built with."""
        made = [name for name, ids in self.signal_ids.items() if ids]
        known = list(self.signal_ids) if role == "user" else made
        if modality not in known:
            raise ConfigError(
                f"This model does not {'read' if role == 'user' else 'make'} the modality "
                f"{modality!r}, only {', '.join(known)}: add it with from_pretrained(..., "
                f"decoders={{{modality!r}: ...}}) and train it."
            )

    def render(self, messages: Conversation, reply_follows: bool) -> str:
        """Messages whose content is a string, laid out by the chat template.

        Raises:
            DamagedError: the template refuses them, or is none.
        """
        with reading(Path(self.tokenizer.name_or_path), "*.jinja", "tokenizer_config.json"):
            return str(
                self.tokenizer.apply_chat_template(
                    messages,
                    tokenize=False,
                    add_generation_prompt=reply_follows,
                    enable_thinking=False,  # Qwen3's: replies begin at once, in training as in use
                )
            )

    def _reply_spans(self, messages: Conversation, text: str) -> Spans:
        """Where replies stand in the rendered text: their words, and what ends them.

        Each reply is marked and the text rendered once more, so that a template may treat its last
        turn in a way of its own, as Qwen3's does.
        """
        replies = [message for message in messages if message["role"] == "assistant"]
        if not replies:
            return []
        marked: list[Message] = [
            {**m, "content": f"{REPLY}{m['content']}{REPLY_END}"} if m["role"] == "assistant" else m
            for m in messages
        ]
        pieces = re.split(f"{REPLY}|{REPLY_END}", self.render(marked, False))
        if "".join(pieces) != text or len(pieces) != 2 * len(replies) + 1:
            raise ConfigError(
                "The tokenizer's chat template leaves out or rewrites replies, so they cannot be "
                "found in it: give the tokenizer a template that keeps them."
            )
        prompt, end = self._prompt_and_end()
        spans, at = [], 0
        for before, reply, after in zip(pieces[::2], pieces[1::2], pieces[2::2], strict=False):
            start, stop = at + len(before), at + len(before) + len(reply)
            room = len(before) - len(before.rstrip(" "))  # a space between prompt and reply is its
            start -= next((n for n in range(room + 1) if text[: start - n].endswith(prompt)), 0)
            spans.append((start, stop + (len(end) if after.startswith(end) else 0)))
            at = stop
        return spans

    def _prompt_and_end(self) -> tuple[str, str]:
        """What the template writes to ask for a reply, and what it writes behind one."""
        asked: list[Message] = [{"role": "user", "content": REPLY}]
        said: list[Message] = [*asked, {"role": "assistant", "content": REPLY_END}]
        without = self.render(asked, False)
        return (
            self.render(asked, True).removeprefix(without),
            self.render(said, False).rpartition(REPLY_END)[2],
        )

    def _between_turns(self) -> list[str]:
        """What the template writes between turns and to ask for a reply."""
        roles: list[Role] = ["user", "assistant", "user"]
        talk: list[Message] = [{"role": role, "content": SLOT} for role in roles]
        _, *between = self.render(talk, True).split(SLOT)
        if not between:  # an empty file, for one
            raise ConfigError("the chat template leaves out all that is said")
        return between

    def _encode_words(self, text: str, start: int, replies: Spans, encoded: Encoded) -> None:
        """Text without slots, cut into tokens as a whole, so that no reply is cut out of it."""
        words = self.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        for token, (at, _) in zip(words["input_ids"], words["offset_mapping"], strict=True):
            self._append(encoded, [token], _within(start + at, replies))

    def _encode_slot(self, role: str, part: Part, is_reply: bool, encoded: Encoded) -> None:
        if role == "user":
            encoded.media.append(MediaSlot(len(encoded), part))
            self._append(encoded, [self.tokenizer.pad_token_id or 0] * self.input_tokens, False)
            return
        modality = part["type"]
        written = self.messenger != "signal"
        ids = self._caption(part) if written else self.signal_ids[modality]
        if self.messenger != "caption":
            slot = SignalSlot(len(encoded), modality, part.get("caption"), part, len(ids))
            encoded.signals.append(slot)
        self._append(encoded, ids, is_reply)

    def _caption(self, part: Part) -> list[int]:
        if not part.get("caption"):
            raise ConfigError(
                f"Message part of type {part['type']!r} in a reply lacks 'caption': this model's "
                "messenger is the caption."
            )
        opening, closing = self.signal_ids[part["type"]]
        words = self.harmless(part["caption"].strip())
        return [opening, *self.tokenizer.encode(f" {words}", add_special_tokens=False), closing]

    @staticmethod
    def _append(encoded: Encoded, ids: list[int], trained: bool) -> None:
        encoded.ids += ids
        encoded.labels += ids if trained else [IGNORE] * len(ids)


def _within(position: int, spans: Spans) -> bool:
    return any(start <= position < end for start, end in spans)
