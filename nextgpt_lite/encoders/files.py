"""Checkpoint files of ImageBind: the released pickle, its safetensors ports, ours.

Knows: file names, formats, which tensors belong to which trunk, CLIP's vocabulary file. Leaves to
others: what the numbers mean (`config`, `imagebind`).
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from nextgpt_lite import reading
from nextgpt_lite.encoders.config import ImageBindConfig
from nextgpt_lite.encoders.imagebind import ImageBind
from nextgpt_lite.errors import CheckpointError, MissingError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WEIGHTS = (
    "model.safetensors",
    "imagebind_huge.safetensors",
    "imagebind_huge.pth",
    "pytorch_model.bin",
)
VOCABULARY = "bpe_simple_vocab_16e6.txt.gz"
MERGES = 49152 - 256 - 2  # that the released tokenizer takes from the file


def find_weights(source: Path) -> Path:
    """The weights file that `source` is or holds.

    Raises:
        MissingError: there is none.
    """
    places = [source] if source.is_file() else [source / name for name in WEIGHTS]
    for path in places:
        if path.is_file():
            return path
    raise MissingError(f"{source} holds no encoder weights: put one of {WEIGHTS} there")


def load_imagebind(path: Path, config: ImageBindConfig) -> ImageBind:
    """Builds the trunks of `config` from a .safetensors or .pth file that may hold more.

    Raises:
        CheckpointError: naming the file and the first tensor that is missing or of another shape.
    """
    return build_imagebind(path, config, read_tensors(path, config.trunks))


def read_tensors(path: Path, trunks: Iterable[str]) -> dict[str, Tensor]:
    """The tensors of these trunks; the file's others stay on the disk.

    Raises:
        CheckpointError: the file cannot be read, or holds more than tensors.
    """
    wanted = set(trunks)
    return reading.read_tensors(path, lambda name: _trunk(name) in wanted)


def read_shapes(path: Path, trunks: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """The shapes of what `read_tensors` would read, without reading it; raises likewise."""
    if path.suffix != ".safetensors":
        return {name: tuple(tensor.shape) for name, tensor in read_tensors(path, trunks).items()}
    return {n: shape for n, shape in reading.read_shapes(path).items() if _trunk(n) in trunks}


def _trunk(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def build_imagebind(path: Path, config: ImageBindConfig, state: dict[str, Tensor]) -> ImageBind:
    """The encoder of `config` with these tensors, which `path` is named for in errors."""
    with torch.device("meta"):  # nothing is allocated twice
        model = ImageBind(config)
    wanted = model.state_dict()
    for name, tensor in wanted.items():
        if name not in state:
            raise CheckpointError(
                f"{path} lacks {name}: it is no ImageBind checkpoint, or one of other trunks than "
                "the config.json beside it says; fetch both again"
            )
        if state[name].shape != tensor.shape:
            raise CheckpointError(
                f"{path}: {name} has shape {tuple(state[name].shape)}, expected "
                f"{tuple(tensor.shape)}: use the config.json that belongs to it"
            )
    model.load_state_dict({name: state[name] for name in wanted}, assign=True)
    return model


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase | None:
    """The text trunk's tokenizer, which for the released weights is CLIP's.

    It is either in `tokenizer/`, in transformers' layout (that of Stable Diffusion 1.5 is the
    same), or made from the vocabulary file of the released code; None when neither is there.
    """
    from transformers import AutoTokenizer, CLIPTokenizer

    if (folder / "tokenizer").is_dir():
        with reading.reading(folder / "tokenizer", "*.json", "*.txt"):
            return AutoTokenizer.from_pretrained(folder / "tokenizer")
    path = folder / VOCABULARY
    if not path.is_file():
        return None
    with reading.reading(path):
        lines = gzip.decompress(path.read_bytes()).decode().split("\n")[1 : MERGES + 1]
    merges = [tuple(line.split()) for line in lines if line]
    letters = _letters()
    pieces = [*letters, *(letter + "</w>" for letter in letters), *map("".join, merges)]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(
        vocab={piece: i for i, piece in enumerate(pieces)}, merges=merges, model_max_length=77
    )


def _letters() -> list[str]:
    """One printable letter for each byte, in the order of CLIP's vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]
