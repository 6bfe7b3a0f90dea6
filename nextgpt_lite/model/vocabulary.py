"""A language model's tokenizer, and the tokens that modalities add to it.

Knows: chat templates of those that come without one, which tokens are new, which ids are whose.
Leaves to others: the rows of new ids (`llm`), how messages become ids (`conversation`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from transformers import AutoTokenizer, PreTrainedTokenizerBase as Tokenizer

from nextgpt_lite.errors import ConfigError
from nextgpt_lite.model.modality import BUILT_IN, get_modality, markers
from nextgpt_lite.reading import reading

_TURNS = (
    "{{% for m in messages %}}{{% if m['role'] == 'system' %}}{{{{ m['content'] }}}}{after}"
    "{{% elif m['role'] == 'user' %}}{user}{{{{ m['content'] }}}}{after}"
    "{{% else %}}{reply} {{{{ m['content'] }}}}{end}{{% endif %}}{{% endfor %}}"
    "{{% if add_generation_prompt %}}{reply}{{% endif %}}"
)
# Vicuna's tokenizers come without a template. Both end a reply with the end token, which v0's base
# writes after its "###" only once it was trained to.
CHAT_TEMPLATES = {
    "vicuna-v1": _TURNS.format(user="USER: ", after=" ", reply="ASSISTANT:", end="{{ eos_token }}"),
    "vicuna-v0": _TURNS.format(
        user="### Human: ", after="\n", reply="### Assistant:", end="\n###{{ eos_token }}\n"
    ),
}
# What ends a reply in words, by template, besides the end token.
END_MARKS = {CHAT_TEMPLATES["vicuna-v0"]: "###"}


class Added(NamedTuple):
    """Ids of what modalities add.

    Attributes:
        new: those whose rows learn: the signal tokens, and markers the base did not know.
        unknown: those of them that the tokenizer did not have.
        signal, markers: `LanguageModel.signal_ids` and `marker_ids`.
    """

    new: list[int]
    unknown: list[int]
    signal: dict[str, list[int]]
    markers: list[int]


def load_tokenizer(folder: Path, chat_format: str | None = None) -> Tokenizer:
    """The tokenizer of a language model's folder, with a chat template.

    Args:
        chat_format: of `CHAT_TEMPLATES`; None takes the tokenizer's own, or "vicuna-v1".

    Raises:
        ConfigError: it cannot be used, or the format is unknown.
    """
    with reading(folder, "token*", "special_tokens*", "*.jinja", "vocab*", "merges*"):
        tokenizer: Tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    if tokenizer.eos_token_id is None or not tokenizer.is_fast:
        raise ConfigError(
            f"{folder}: its tokenizer lacks "
            + ("an end token: set its eos_token." if tokenizer.is_fast else "a tokenizer.json.")
        )
    if chat_format is not None or tokenizer.chat_template is None:
        tokenizer.chat_template = _template(chat_format or "vicuna-v1")
    return tokenizer


def add_tokens(tokenizer: Tokenizer, signal_tokens: Mapping[str, int], messenger: str) -> Added:
    """Adds the tokens of a model's modalities.

    Args:
        signal_tokens, messenger: of `NextGPTConfig`.
    """
    # No call changes a tokenizer that neither cuts nor pads, so that threads may share it.
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    blocks: dict[str, list[str]] = {}
    vocabulary, new = tokenizer.get_vocab(), []
    for modality, count in signal_tokens.items():
        row = get_modality(modality)
        by_caption = messenger != "signal" and count
        blocks[modality] = row.caption_marks() if by_caption else row.signal_tokens(count)
        new += [marker for marker in (row.open, row.close) if marker not in vocabulary]
        new += blocks[modality]
    tokenizer.add_tokens(new, special_tokens=True)
    unknown = [token for token in new if token not in vocabulary]  # the rest keep their rows
    known = tokenizer.get_vocab()
    around = markers(dict.fromkeys([*BUILT_IN, *signal_tokens]))
    return Added(
        tokenizer.convert_tokens_to_ids(new),
        tokenizer.convert_tokens_to_ids(unknown),
        {modality: tokenizer.convert_tokens_to_ids(block) for modality, block in blocks.items()},
        [known[marker] for marker in around if marker in known],
    )


def _template(chat_format: str) -> str:
    if chat_format not in CHAT_TEMPLATES:
        names = ", ".join(CHAT_TEMPLATES)
        raise ConfigError(f"chat_format is {chat_format!r}: use one of {names}.")
    return CHAT_TEMPLATES[chat_format]
