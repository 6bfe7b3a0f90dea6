"""The tokenizers of the lite parts.

Knows: how decoders and encoder cut a caption into words, and how the language model cuts a
conversation into pieces and lays out its turns. Leaves to others: which words there are
(`world.describe`) and which conversations (`world.dialogue`).
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from nextgpt_lite.model.modality import markers

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

PAD, BOS, EOS, UNKNOWN = "[PAD]", "[BOS]", "[EOS]", "[UNK]"
LLM_PAD, LLM_BOS, LLM_EOS = "<pad>", "<s>", "</s>"
LLM_VOCABULARY = 1024

# The turns of Vicuna v1 without its system message: USER: .. ASSISTANT: ..</s>USER: ..
# The generation marks let `return_assistant_tokens_mask` find what the assistant says.
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ 'USER: ' + message['content'] }}{% else %}{{ ' ASSISTANT:' }}"
    "{% generation %}{{ ' ' + message['content'] + eos_token }}{% endgeneration %}"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ ' ASSISTANT:' }}{% endif %}"
)


def caption_tokenizer(max_length: int) -> PreTrainedTokenizerFast:
    """Builds the tokenizer of all the world's captions.

    Args:
        max_length: number of positions a caption is cut or padded to, marks included.

    Returns:
        a tokenizer with ids 0-3 for [PAD], [BOS], [EOS], [UNK], then the words in order.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    from nextgpt_lite.world.describe import vocabulary

    pieces = pre_tokenizers.Whitespace()  # words and punctuation marks
    words = {
        piece for entry in vocabulary() for piece, _ in pieces.pre_tokenize_str(entry.lower())
    } | {",", ".", "!", "?"}
    ids = {word: i for i, word in enumerate([PAD, BOS, EOS, UNKNOWN, *sorted(words)])}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pieces
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A {EOS}", special_tokens=[(BOS, ids[BOS]), (EOS, ids[EOS])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=max_length,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        unk_token=UNKNOWN,
        padding_side="right",
        truncation_side="right",
    )


def llm_tokenizer(corpus_texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """Trains the language model's byte-level BPE tokenizer.

    Any text can be written with it; numbers are cut into digits, so that arithmetic is done on
    digits; the markers of the modalities are single ids of the base vocabulary.

    Args:
        corpus_texts: what it is trained on; the same texts in the same order give the same ids.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=LLM_VOCABULARY,
        special_tokens=[LLM_PAD, LLM_BOS, LLM_EOS, *markers()],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus_texts, trainer)
    return _fast(tokenizer)


def _fast(backend: Tokenizer) -> PreTrainedTokenizerFast:
    """With the special tokens and the turns of the LLM."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=1024,
        pad_token=LLM_PAD,
        bos_token=LLM_BOS,
        eos_token=LLM_EOS,
        additional_special_tokens=markers(),
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def extended(
    tokenizer: PreTrainedTokenizerFast, corpus_texts: Iterable[str], size: int
) -> PreTrainedTokenizerFast:
    """The same tokenizer with further merges, learnt on top of those that it has.

    Every id stays what it was, so that a model keeps the rows it has learnt; only words that were
    cut into several pieces become fewer.

    Args:
        tokenizer: of `llm_tokenizer`.
        corpus_texts: what the further merges are learnt from.
        size: ids in all, at most.
    """
    from tokenizers import Tokenizer

    backend = tokenizer.backend_tokenizer
    counts: Counter[str] = Counter()
    for text in corpus_texts:
        counts.update(piece for piece, _ in backend.pre_tokenizer.pre_tokenize_str(text))
    words = [[t.value for t in backend.model.tokenize(piece)] for piece in counts]
    often = list(counts.values())
    state = json.loads(backend.to_str())
    vocabulary, merges = state["model"]["vocab"], state["model"]["merges"]
    pairs: Counter[tuple[str, str]] = Counter()
    where: dict[tuple[str, str], set[int]] = defaultdict(set)

    def count(index: int, sign: int) -> None:
        for pair in pairwise(words[index]):
            pairs[pair] += sign * often[index]
            where[pair].add(index)

    for index in range(len(words)):
        count(index, 1)
    while len(vocabulary) < size and pairs:
        best = max(pairs, key=lambda pair: (pairs[pair], pair))
        merged = "".join(best)
        merges.append([*best])
        vocabulary.setdefault(merged, len(vocabulary))
        for index in where.pop(best):
            count(index, -1)
            words[index] = _joined(words[index], best)
            count(index, 1)
        del pairs[best]
    return _fast(Tokenizer.from_str(json.dumps(state)))


def _joined(word: list[str], pair: tuple[str, str]) -> list[str]:
    """The word with every such pair of neighbours as one piece."""
    new: list[str] = []
    for piece in word:
        if new and (new[-1], piece) == pair:
            new[-1] += piece
        else:
            new.append(piece)
    return new
