"""Small tokenizers in the file formats of the public ones, trained on the spot.

Knows: which files each family of tokenizers comes in, its special tokens, where the ids of those
lie, and its chat template. Leaves to others: the models that read the ids.

The vocabularies hold every byte and a few hundred merges, so that any text can be written.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

MERGES = 300

# Templates of the families: the strings they produce are what counts. Qwen3's drops what the model
# thought in earlier turns and puts an empty thought before the last reply.
ZEPHYR = (
    "{% for message in messages %}\n"
    "{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token }}\n"
    "{% if loop.last and add_generation_prompt %}\n{{ '<|assistant|>' }}\n{% endif %}\n"
    "{% endfor %}"
)
CHATML = (
    "{% for message in messages %}{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
QWEN3 = (
    "{%- set ns = namespace(last=-1) -%}{%- for message in messages -%}"
    "{%- if message.role == 'user' -%}{%- set ns.last = loop.index0 -%}{%- endif -%}{%- endfor -%}"
    "{%- for message in messages -%}{{- '<|im_start|>' + message.role + '\n' -}}"
    "{%- if message.role == 'assistant' -%}"
    "{%- set words = message.content.split('</think>')[-1].lstrip('\n') -%}"
    "{%- if loop.last and loop.index0 > ns.last -%}{{- '<think>\n\n</think>\n\n' -}}{%- endif -%}"
    "{{- words -}}{%- else -%}{{- message.content -}}{%- endif -%}{{- '<|im_end|>\n' -}}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\n' -}}"
    "{%- if enable_thinking is defined and enable_thinking is false -%}"
    "{{- '<think>\n\n</think>\n\n' -}}{%- endif -%}{%- endif -%}"
)
CLIP_WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
)
QWEN_SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|object_ref_start|>", "<|object_ref_end|>",
    "<|box_start|>", "<|box_end|>", "<|quad_start|>", "<|quad_end|>", "<|vision_start|>",
    "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>",
)  # fmt: skip
QWEN_WORDS = (
    "<tool_call>", "</tool_call>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>",
    "<|fim_pad|>", "<|repo_name|>", "<|file_sep|>", "<tool_response>", "</tool_response>",
    "<think>", "</think>",
)  # fmt: skip
SMOL_SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<repo_name>", "<reponame>", "<file_sep>",
    "<filename>", "<gh_stars>", "<issue_start>", "<issue_comment>", "<issue_closed>",
    "<jupyter_start>", "<jupyter_text>", "<jupyter_code>", "<jupyter_output>", "<jupyter_script>",
    "<empty_output>",
)  # fmt: skip


def clip(folder: Path, pad: str) -> int:
    """CLIP's: lower case, words that end in `</w>`, 77 positions; returns the vocabulary's size.

    Args:
        pad: "<|endoftext|>" in SD 1.5, "!" in SD 2 and what descends from it.
    """
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(CLIP_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    merges = _train(tokenizer, end_of_word_suffix="</w>")
    letters = _byte_letters()
    pieces = [*letters, *(letter + "</w>" for letter in letters), *map("".join, merges)]
    start, end = "<|startoftext|>", "<|endoftext|>"
    vocabulary = _numbered([*pieces, start, end])
    _write_bpe(folder, vocabulary, merges)
    special = {"bos_token": start, "eos_token": end, "unk_token": end, "pad_token": pad}
    _write_json(folder / "special_tokens_map.json", special)
    _write_json(
        folder / "tokenizer_config.json",
        {
            "add_prefix_space": False,
            "do_lower_case": True,
            "errors": "replace",
            "model_max_length": 77,
            "name_or_path": "openai/clip-vit-large-patch14",
            "tokenizer_class": "CLIPTokenizer",
            **special,
        },
    )
    return len(vocabulary)


def roberta(folder: Path) -> int:
    """CLAP's text tokenizer, which is RoBERTa's; returns the vocabulary's size."""
    merges = _byte_level_merges()
    start, pad, end, unknown, mask = "<s>", "<pad>", "</s>", "<unk>", "<mask>"
    pieces = [start, pad, end, unknown, *_byte_letters(), *map("".join, merges), mask]
    vocabulary = _numbered(pieces)
    _write_bpe(folder, vocabulary, merges)
    special = {
        "bos_token": start, "eos_token": end, "sep_token": end, "cls_token": start,
        "pad_token": pad, "unk_token": unknown, "mask_token": mask,
    }  # fmt: skip
    _write_json(folder / "special_tokens_map.json", special)
    _write_json(
        folder / "tokenizer_config.json",
        {
            "add_prefix_space": False,
            "errors": "replace",
            "model_max_length": 512,
            "tokenizer_class": "RobertaTokenizer",
            "trim_offsets": True,
            **special,
        },
    )
    return len(vocabulary)


def qwen(folder: Path) -> int:
    """Qwen3's: byte level, its special tokens behind the words; returns the ids in use."""
    merges = _byte_level_merges()
    vocabulary = _numbered([*_byte_letters(), *map("".join, merges)])
    _write_bpe(folder, vocabulary, merges)
    added = {
        str(len(vocabulary) + i): _added(token, special=token in QWEN_SPECIAL)
        for i, token in enumerate((*QWEN_SPECIAL, *QWEN_WORDS))
    }
    _write_json(
        folder / "tokenizer_config.json",
        {
            "add_bos_token": False,
            "add_prefix_space": False,
            "added_tokens_decoder": added,
            "additional_special_tokens": list(QWEN_SPECIAL[1:]),
            "bos_token": None,
            "chat_template": QWEN3,
            "clean_up_tokenization_spaces": False,
            "eos_token": "<|im_end|>",
            "errors": "replace",
            "model_max_length": 131072,
            "pad_token": "<|endoftext|>",
            "split_special_tokens": False,
            "tokenizer_class": "Qwen2Tokenizer",
            "unk_token": None,
        },
    )
    return len(vocabulary) + len(added)


def smollm(folder: Path) -> int:
    """SmolLM2's: byte level with single digits, special tokens first; returns the ids in use."""
    merges = _byte_level_merges()
    vocabulary = _numbered([*SMOL_SPECIAL, *_byte_letters(), *map("".join, merges)])
    _write_bpe(folder, vocabulary, merges)
    special = {
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "pad_token": "<|im_end|>",
        "unk_token": "<|endoftext|>",
        "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
    }
    _write_json(folder / "special_tokens_map.json", special)
    _write_json(
        folder / "tokenizer_config.json",
        {
            "add_prefix_space": False,
            "added_tokens_decoder": {str(i): _added(t) for i, t in enumerate(SMOL_SPECIAL)},
            "chat_template": CHATML,
            "clean_up_tokenization_spaces": False,
            "model_max_length": 8192,
            "tokenizer_class": "GPT2Tokenizer",
            "vocab_size": len(vocabulary),
            **special,
        },
    )
    return len(vocabulary)


def llama(folder: Path, *, template: str | None, fast: bool) -> int:
    """Llama's SentencePiece vocabulary with byte fallback; returns its size.

    Args:
        template: the chat template, where the repository has one.
        fast: with a tokenizer.json; Vicuna's repository has the `tokenizer.model` alone.

    Raises:
        ModuleNotFoundError: `tokenizer.model` is all there is to write, and sentencepiece, which
            knows that format, is not installed.
    """
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    special = ["<unk>", "<s>", "</s>"]
    as_bytes = [f"<0x{byte:02X}>" for byte in range(256)]
    letters = sorted({letter for text in _texts() for letter in text if letter.isprintable()})
    merges = _train(tokenizer, alphabet=[*letters, "▁"])
    pieces = [*special, *as_bytes, *map("".join, merges), *letters, "▁"]
    vocabulary = _numbered(pieces)
    settings: dict[str, Any] = {
        "add_bos_token": True,
        "add_eos_token": False,
        "bos_token": "<s>",
        "clean_up_tokenization_spaces": False,
        "eos_token": "</s>",
        "legacy": False,
        "model_max_length": 4096,
        "pad_token": None,
        "tokenizer_class": "LlamaTokenizer",
        "unk_token": "<unk>",
    }
    if template is not None:
        settings |= {"chat_template": template, "pad_token": "</s>", "model_max_length": 2048}
    folder.mkdir(parents=True, exist_ok=True)
    if fast:
        tokenizer.model = models.BPE(
            vocab=vocabulary, merges=merges, byte_fallback=True, unk_token="<unk>", fuse_unk=True
        )
        tokenizer.add_special_tokens(special)
        tokenizer.save(str(folder / "tokenizer.json"))
    if not fast or find_spec("sentencepiece") is not None:
        _write_sentencepiece(folder / "tokenizer.model", list(vocabulary), special, as_bytes)
    _write_json(folder / "tokenizer_config.json", settings)
    known = {name: settings[name] for name in ("bos_token", "eos_token", "unk_token")}
    _write_json(
        folder / "special_tokens_map.json",
        {**known, "pad_token": settings["pad_token"] or "<unk>"},
    )
    return len(vocabulary)


def _write_sentencepiece(
    path: Path, pieces: Sequence[str], special: Sequence[str], as_bytes: Sequence[str]
) -> None:
    try:
        from sentencepiece import sentencepiece_model_pb2 as proto
    except ImportError as error:
        raise ModuleNotFoundError(
            f"{path.name} is a SentencePiece file: pip install sentencepiece protobuf."
        ) from error
    model: Any = proto.ModelProto()
    kinds = {special[0]: 2, **dict.fromkeys(special[1:], 3), **dict.fromkeys(as_bytes, 6)}
    for rank, piece in enumerate(pieces):
        kind = kinds.get(piece, 1)  # 1 a piece, 2 the unknown one, 3 a control mark, 6 a byte
        model.pieces.add(piece=piece, score=-float(rank) if kind == 1 else 0.0, type=kind)
    model.trainer_spec.model_type = 2  # BPE
    model.trainer_spec.vocab_size = len(pieces)
    model.trainer_spec.byte_fallback = True
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.remove_extra_whitespaces = False
    path.write_bytes(model.SerializeToString())


def _byte_level_merges() -> list[tuple[str, str]]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return _train(tokenizer, alphabet=_byte_letters())


def _train(
    tokenizer: Tokenizer, alphabet: Sequence[str] = (), end_of_word_suffix: str | None = None
) -> list[tuple[str, str]]:
    """The merges that the lite world's phrases ask for."""
    suffix: dict[str, Any] = {}
    if end_of_word_suffix is not None:
        suffix["end_of_word_suffix"] = end_of_word_suffix
    trainer = trainers.BpeTrainer(
        vocab_size=len(alphabet) + MERGES + 256,
        initial_alphabet=list(alphabet),
        show_progress=False,
        **suffix,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    known = {tuple(m) if isinstance(m, list) else tuple(m.split(" ")): None for m in merges}
    return list(known)[:MERGES]


@lru_cache(maxsize=1)
def _texts() -> list[str]:
    from nextgpt_lite.world.describe import vocabulary

    return [*vocabulary(), "Draw a red car, please!", "What do you hear? A dog barks 3 times."] * 2


def _byte_letters() -> list[str]:
    return sorted(pre_tokenizers.ByteLevel.alphabet())


def _numbered(pieces: Sequence[str]) -> dict[str, int]:
    return {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}


def _added(token: str, *, special: bool = True) -> dict[str, Any]:
    flags = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    return {"content": token, **flags, "special": special}


def _write_bpe(folder: Path, vocabulary: dict[str, int], merges: Sequence[tuple[str, str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n")
