"""The authors' checkpoint files: their tensor names, read into ours and written from ours.

Knows: both released layouts, and that nothing of a file may get lost on the way back.
Leaves to others: configurations, base models and folders of ours (`convert`).

    legacy   one flat file of the first release (`7b_tiva_v0`), or of its stages 1 and 2
    current  the files of today's code: mm_input_projector.bin, mm_output_projector.bin,
             adapter_model with adapter_config.json, non_lora_trainables.bin; any of them
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from nextgpt_lite.errors import CheckpointError, MissingError
from nextgpt_lite.model.modality import get_modality, markers
from nextgpt_lite.reading import read_tensors

SIGNAL_TOKENS = {"image": 4, "audio": 8, "video": 24}  # of both released code bases
MATRICES = ("embed_tokens", "lm_head")
OUTPUT = "output_projections."
_SIGNAL_ORDER = ("image", "video", "audio")  # in which both give ids
_RENAMED = {"fc.": "in_fc.", "model.": "out_fc."}  # of an output projection, in the current code

PREFIXES = {
    "legacy": {
        "llama_proj.": "input_projection.linear.",
        "gen_text_hidden_fcs.0.": f"{OUTPUT}image.",
        "gen_text_hidden_fcs_video.0.": f"{OUTPUT}video.",
        "gen_text_hidden_fcs_audio.0.": f"{OUTPUT}audio.",
        "llama_model.base_model.model.model.layers.": "base_model.model.model.layers.",
    },
    "current": {
        "mm_input_projector.": "input_projection.linear.",
        "mm_output_img_projector.": f"{OUTPUT}image.",
        "mm_output_vid_projector.": f"{OUTPUT}video.",
        "mm_output_aud_projector.": f"{OUTPUT}audio.",
        "base_model.model.model.layers.": "base_model.model.model.layers.",
    },
}
FILES = {  # in order of training: what stands in two files is taken from the last
    "legacy": ("pytorch_model.pt", "pytorch_model.bin"),
    "current": (
        "mm_input_projector.bin", "mm_output_projector.bin", "adapter_model.bin",
        "adapter_model.safetensors", "non_lora_trainables.bin",
    ),
}  # fmt: skip


@dataclass
class Checkpoint:
    """A checkpoint under our names, between reading and writing.

    Attributes:
        trained: projections and LoRA.
        matrices: of `MATRICES`, with all their rows in the authors' order.
        kept: tensors without a place of ours, or with another value in a later file, by
            "file/name".
        files: the names in each file, in order.
    """

    trained: dict[str, Tensor] = field(default_factory=dict)
    matrices: dict[str, Tensor] = field(default_factory=dict)
    kept: dict[str, Tensor] = field(default_factory=dict)
    files: dict[str, list[str]] = field(default_factory=dict)


def new_tokens(layout: str) -> list[str]:
    """The new tokens in the order in which the released code gives them ids."""
    # The image's markers stand around audio and video as well.
    opening = markers(["image"]) if layout == "legacy" else []
    signals = [t for m in _SIGNAL_ORDER for t in get_modality(m).signal_tokens(SIGNAL_TOKENS[m])]
    return opening + signals


def read(layout: str, source: Path) -> Checkpoint:
    """Reads a file, or a folder that holds files of the layout.

    Raises:
        MissingError: there is none.
        CheckpointError: a file holds other things than tensors, or none that belongs here.
    """
    checkpoint = Checkpoint()
    for path in _sources(layout, source):
        tensors = _load_tensors(path)
        for name, tensor in tensors.items():
            place = place_of(layout, name)
            if place is None:
                checkpoint.kept[f"{path.name}/{name}"] = tensor
                continue
            home = checkpoint.matrices if place in MATRICES else checkpoint.trained
            if place in home and not _same(home[place], tensor):
                for earlier in _names_of(layout, place, checkpoint):
                    checkpoint.kept.setdefault(earlier, home[place])
            home[place] = tensor
        checkpoint.files[path.name] = list(tensors)
    if not checkpoint.trained:
        raise CheckpointError(
            f"{source}: holds no tensor of a NExT-GPT in {layout} layout; give another --from."
        )
    return checkpoint


def write(layout: str, checkpoint: Checkpoint, output: Path) -> list[Path]:
    """Writes the files of the layout into a folder (or the legacy file itself)."""
    here = {**checkpoint.matrices, **checkpoint.trained}
    written = []
    for file, names in checkpoint.files.items():
        tensors = {}
        for name in names:
            kept = checkpoint.kept.get(f"{file}/{name}")
            tensors[name] = here[place_of(layout, name) or ""] if kept is None else kept
        is_file = layout == "legacy" and output.suffix in (".pt", ".bin")
        path = output if is_file else output / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".safetensors":
            save_file(tensors, path, {"format": "pt"})
        else:
            torch.save(tensors, path)
        written.append(path)
    return written


def place_of(layout: str, name: str) -> str | None:
    """Our name of one of their tensors, or which of `MATRICES` it is; None for no place."""
    for matrix in MATRICES:
        if name.endswith(f"{matrix}.weight"):
            return matrix
    name = name.replace(".default.weight", ".weight")
    if layout == "current" and "lora_" not in name:
        name = name.removeprefix("base_model.model.").removeprefix("model.")
        for ours, theirs in _RENAMED.items():
            name = name.replace(f"_projector.{theirs}", f"_projector.{ours}")
    for theirs, ours in PREFIXES[layout].items():
        if name.startswith(theirs):
            return ours + name.removeprefix(theirs)
    return None


def default_files(layout: str, checkpoint: Checkpoint) -> dict[str, list[str]]:
    """The files and names that a checkpoint trained here gets: those of a stage-3 run."""
    lora = [name for name in checkpoint.trained if "lora_" in name]
    names = [_their_name(layout, name) for name in checkpoint.trained if "lora_" not in name]
    stem = "base_model.model."
    rows = [f"{stem}model.embed_tokens.weight", f"{stem}lm_head.weight"]
    rows = [row for row in rows if place_of(layout, row) in checkpoint.matrices]
    if layout == "current":
        names = [f"{stem}model.{name}" for name in names]
        return {"adapter_model.safetensors": lora, "non_lora_trainables.bin": [*rows, *names]}
    lora = [f"llama_model.{name.replace('.weight', '.default.weight')}" for name in lora]
    return {"pytorch_model.pt": [*(f"llama_model.{row}" for row in rows), *lora, *names]}


def _their_name(layout: str, name: str) -> str:
    theirs, ours = next(pair for pair in PREFIXES[layout].items() if name.startswith(pair[1]))
    rest = name.removeprefix(ours)
    if layout == "current" and name.startswith(OUTPUT):
        old = next((old for old in _RENAMED if rest.startswith(old)), "")
        rest = _RENAMED.get(old, "") + rest.removeprefix(old)
    return theirs + rest


def _names_of(layout: str, place: str, checkpoint: Checkpoint) -> Iterator[str]:
    for file, names in checkpoint.files.items():
        yield from (f"{file}/{name}" for name in names if place_of(layout, name) == place)


def _sources(layout: str, source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise MissingError(f"{source} does not exist: correct the path.")
    found = [source / name for name in FILES[layout] if (source / name).is_file()]
    if not found:
        raise MissingError(
            f"{source}: holds none of {', '.join(FILES[layout])}; give the checkpoint's path."
        )
    return found


def _load_tensors(path: Path) -> dict[str, Tensor]:
    return read_tensors(path, remedy="download it again from a source you trust")


def _same(a: Tensor, b: Tensor) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)


def lora_layers(checkpoint: Checkpoint) -> tuple[int, set[str]]:
    """How many layers have LoRA, and on which modules."""
    found = [
        match
        for name in checkpoint.trained
        if (match := re.search(r"layers\.(\d+)\.(?:\w+\.)?(\w+)\.lora_A", name))
    ]
    return len({match[1] for match in found}), {match[2] for match in found}
