"""The tokenizers of the lite parts.

Knows: how decoders and encoder cut a caption into words, and how the language model cuts a
conversation into pieces and lays out its turns. Leaves to others: which words there are
(`world.describe`) and which conversations (`world.dialogue`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from nextgpt_lite.model.modality import markers

if TYPE_CHECKING:
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
    from transformers import PreTrainedTokenizerFast

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
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=1024,
        pad_token=LLM_PAD,
        bos_token=LLM_BOS,
        eos_token=LLM_EOS,
        additional_special_tokens=markers(),
        chat_template=CHAT_TEMPLATE,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )
