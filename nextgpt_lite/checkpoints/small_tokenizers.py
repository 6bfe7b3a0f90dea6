"""Small tokenizers in the file formats of the public ones, trained on the spot.

Knows: which files each family of tokenizers comes in, and where its special tokens have their ids.
Leaves to others: those tokens and the chat templates, which stand in `tokenizer_config.json`
(`catalogue`), and the models that read the ids.

The vocabularies hold every byte and some merges, so that any text can be written.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from nextgpt_lite.reading import read_json

SENTENCES = [
    "Draw a large red car in the garden, please! Here is the picture that you asked for.",
    "What do you hear? A dog barks three times in a high pitch, and a bell rings.",
    "Show me a video of seven small yellow birds above the table; they fly to the left.",
] * 3
START_OF_WORD = "▁"  # in SentencePiece's files
WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"


def write_tokenizer(folder: Path) -> tuple[int, dict[int, int]]:
    """Writes the files beside a `tokenizer_config.json`, small, and renumbers what it adds.

    Returns:
        (ids in use, the new id of each added token by its old one).
    """
    path = folder / "tokenizer_config.json"
    settings = read_json(path)
    added = {int(i): token for i, token in settings.get("added_tokens_decoder", {}).items()}
    named = [settings.get(f"{name}_token") for name in ("bos", "pad", "eos", "unk")]
    match settings["tokenizer_class"]:
        case "CLIPTokenizer":
            letters = _letters()
            words = [*letters, *(f"{letter}</w>" for letter in letters)]
            size = _write_bpe(folder, [], words, [named[0], named[2]], _clip_merges())
        case "RobertaTokenizer":
            last = [settings["mask_token"]]
            size = _write_bpe(folder, named, _letters(), last, _byte_merges())
        case "LlamaTokenizer":
            bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
            size = _write_pieces(folder / "tokenizer.model", ["<unk>", "<s>", "</s>"], bytes_)
        case "T5Tokenizer":
            size = _write_pieces(folder / "spiece.model", ["<pad>", "</s>", "<unk>"], [])
            size += settings["extra_ids"]
        case _:  # byte level, like GPT-2's: added tokens before the words or behind them
            first = [token["content"] for i, token in added.items() if 0 in added]
            size = _write_bpe(folder, first, _letters(), [], _byte_merges())
    start = 0 if 0 in added else size
    ids = {old: start + index for index, old in enumerate(added)}
    if ids:
        settings["added_tokens_decoder"] = {str(ids[old]): token for old, token in added.items()}
        path.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return max(size, *[new + 1 for new in ids.values()], 0), ids


def _write_bpe(
    folder: Path,
    first: list[str],
    letters: list[str],
    last: list[str],
    merges: list[tuple[str, str]],
) -> int:
    pieces = dict.fromkeys([*first, *letters, *map("".join, merges), *last])
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(merge) for merge in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(vocabulary)


def _write_pieces(path: Path, special: list[str], as_bytes: list[str]) -> int:
    """A SentencePiece model: BPE that falls back on bytes (Llama), or unigram (T5)."""
    from sentencepiece import sentencepiece_model_pb2 as proto

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend(START_OF_WORD), normalizers.Replace(" ", START_OF_WORD)]
    )
    letters = sorted({letter for text in SENTENCES for letter in text} - {" "})
    merges = _train(tokenizer, [*letters, START_OF_WORD])
    pieces = [*special, *as_bytes, *map("".join, merges), *letters, START_OF_WORD]
    model: Any = proto.ModelProto()
    kinds = {"<unk>": 2, **dict.fromkeys(as_bytes, 6)}  # 1 a piece, 2 the unknown one, 6 a byte
    kinds |= {mark: 3 for mark in special if mark != "<unk>"}  # 3 a control mark
    pieces = list(dict.fromkeys(pieces))
    for rank, piece in enumerate(pieces):
        kind = kinds.get(piece, 1)
        model.pieces.add(piece=piece, score=-float(rank) if kind == 1 else 0.0, type=kind)
    model.trainer_spec.model_type = 2 if as_bytes else 1  # BPE or unigram
    model.trainer_spec.vocab_size = len(pieces)
    model.trainer_spec.byte_fallback = bool(as_bytes)
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.remove_extra_whitespaces = False
    path.write_bytes(model.SerializeToString())
    return len(pieces)


@cache
def _byte_merges() -> list[tuple[str, str]]:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return _train(tokenizer, _letters())


@cache
def _clip_merges() -> list[tuple[str, str]]:
    """CLIP's: lower case, words that end in `</w>`."""
    tokenizer = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return _train(tokenizer, [], end_of_word_suffix="</w>")


def _train(tokenizer: Tokenizer, letters: list[str], **options: Any) -> list[tuple[str, str]]:
    trainer: Any = trainers.BpeTrainer(
        vocab_size=1000, initial_alphabet=letters, show_progress=False, **options
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in merges]


def _letters() -> list[str]:
    """The 256 letters that stand for bytes."""
    return sorted(pre_tokenizers.ByteLevel.alphabet())
