"""Words typed by a person stay words: no text of theirs becomes a special token or a turn.

Knows: what one tokenizer and its chat template read as a command, by asking them. Leaves to others:
where such text stands in a conversation (`conversation`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from transformers import PreTrainedTokenizerBase as Tokenizer

# Private-use characters that stand for media and replies while a conversation is laid out.
SLOT, SLOT_END, REPLY, REPLY_END = SENTINELS = "\ue000\ue001\ue002\ue003"
_NO_SENTINELS = dict.fromkeys(map(ord, SENTINELS))


class Harmless:
    """Rewrites text until nothing in it is a command; text without commands stays as it is.

    Args:
        tokenizer: with all added tokens.
        between: what the chat template writes between turns, see `turn_marks`.
    """

    def __init__(self, tokenizer: Tokenizer, between: Iterable[str] = ()) -> None:
        self.tokenizer = tokenizer
        added = {token: i for token, i in tokenizer.get_added_vocab().items() if token.strip()}
        self._ids = {*added.values(), *tokenizer.all_special_ids}
        if tokenizer.unk_token_id not in (tokenizer.eos_token_id, tokenizer.pad_token_id):
            self._ids.discard(tokenizer.unk_token_id)  # which unknown words may become
        special = "|".join(map(re.escape, _longest_first(added)))
        commands = {*added, *tokenizer.all_special_tokens, *turn_marks(between, special)}
        same_case = tokenizer.encode("USER", add_special_tokens=False) != tokenizer.encode(
            "user", add_special_tokens=False
        )
        self._command = re.compile(
            "|".join(map(re.escape, _longest_first(commands))) or "(?!)",
            re.NOFLAG if same_case else re.IGNORECASE,
        )

    def __call__(self, text: str) -> str:
        """The text as words."""
        text = text.encode("utf-8", "replace").decode().translate(_NO_SENTINELS)
        plain = unicodedata.normalize("NFKC", text)  # which some tokenizers do, or drop Cf
        plain = "".join(letter for letter in plain if unicodedata.category(letter) != "Cf")
        if self._command.search(plain):
            text = self._command.sub(lambda found: _in_pieces(found.group()), plain)
        while spans := self._special_spans(text):  # whatever else this tokenizer does to text
            for start, end in reversed(spans):
                text = text[:start] + text[end:]
        return text

    def _special_spans(self, text: str) -> list[tuple[int, int]]:
        """Where the tokenizer, which knows best, still finds special tokens."""
        found = self.tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
        pairs = zip(found["input_ids"], found["offset_mapping"], strict=True)
        spans = {tuple(span) for token, span in pairs if token in self._ids}
        return sorted((start, end) for start, end in spans if start < end)


def turn_marks(between: Iterable[str], special: str) -> set[str]:
    """What of a template's text between turns is more than a word, such as "USER:" or "[INST]".

    A plain word ("user" behind `<|im_start|>`) opens no turn without the special token before it.

    Args:
        between: pieces of rendered text.
        special: a pattern of the special tokens, which are left out.
    """
    parts = (part for text in between for part in re.split(f"{special or '(?!)'}|\n", text))
    return {part.strip() for part in parts if re.search(r"[^\w\s]", part)}


def _in_pieces(command: str) -> str:
    """ "</s>" -> "< / s >", "USER:" -> "USER :", and a mere word letter by letter."""
    pieces = re.findall(r"\w+|[^\w\s]", command)
    return " ".join(pieces if len(pieces) > 1 else command)


def _longest_first(texts: Iterable[str]) -> list[str]:
    return sorted(filter(None, texts), key=len, reverse=True)
