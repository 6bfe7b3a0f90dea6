"""Released NExT-GPT checkpoints to folders of ours and back, bit for bit.

Knows: what a folder of ours needs that the authors' files do not say, and how to check that a
checkpoint fits its base model. Leaves to others: the authors' names (`legacy`), running a model.

The authors train the whole embedding and output matrices; ours learn the new rows alone. So the
rows of the base vocabulary go into a file of their own, which `NextGPT` lays over the base model's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from nextgpt_lite.checkpoints import legacy
from nextgpt_lite.checkpoints.legacy import MATRICES, OUTPUT, SIGNAL_TOKENS, Checkpoint, new_tokens
from nextgpt_lite.errors import CheckpointError
from nextgpt_lite.model.base_model import fingerprint, stored_matrices
from nextgpt_lite.model.checkpoint import (
    ADAPTER_FILE,
    BASE_ROWS_FILE,
    CONFIG_FILE,
    PROJECTIONS_FILE,
    adapter_file,
    read_config,
    seal,
)
from nextgpt_lite.model.config import LoraSettings, NextGPTConfig, OutputProjectionConfig, locate
from nextgpt_lite.model.modality import BUILT_IN, get_modality, markers
from nextgpt_lite.model.projections import OutputProjection
from nextgpt_lite.reading import checked, read_json, read_sizes, read_tensors

NOTE_FILE = "converted_from.json"  # layout, files, names and order of what was converted
KEPT_FILE = "kept.safetensors"
LEGACY_BASE = "vicuna-7b-v0"  # a LLaMA delta, on no hub as a whole: the user makes this folder
ROWS = {
    "embed_tokens": "base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta",
    "lm_head": "base_model.model.lm_head.token_adapter.trainable_tokens_delta",
}
CHAT_FORMATS = {"legacy": "vicuna-v0", "current": "vicuna-v1"}  # what each was trained on
LEAST_LIKENESS = 0.5  # mean cosine of a row after training to itself before; strangers have 0


def from_released(
    layout: str, source: str | Path, output: str | Path, base: str | None = None
) -> list[str]:
    """Writes a released checkpoint as a folder that `NextGPT.from_pretrained` loads.

    Args:
        layout: "legacy" or "current".
        source: a file, or a folder with files of the layout.
        output: the folder to write.
        base: the language model it was trained on, as in `NextGPTConfig`; its vocabulary, width
            and embedding are compared. None means the authors' Vicuna, compared when loaded.

    Returns:
        what was found, line by line.

    Raises:
        CheckpointError: a tensor, the base model, its vocabulary or the order of tokens is wrong.
    """
    source, output = Path(source), Path(output)
    checkpoint = legacy.read(layout, source)
    vocabulary = _check_rows(layout, source, checkpoint)
    _check_token_order(layout, source, vocabulary)
    identity = {"name": base, "vocabulary": vocabulary, "fingerprint": None}
    if base is None:
        paper = NextGPTConfig.from_profile("paper").llm
        identity["name"] = LEGACY_BASE if layout == "legacy" else paper
    else:
        identity["fingerprint"] = _check_base(locate(base), source, checkpoint, vocabulary)
    values = _configuration(source, checkpoint, identity)
    values["config"]["chat_format"] = CHAT_FORMATS[layout]
    output.mkdir(parents=True, exist_ok=True)
    (output / CONFIG_FILE).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    note = {"layout": layout, "files": checkpoint.files}
    (output / NOTE_FILE).write_text(json.dumps(note, indent=1) + "\n", encoding="utf-8")
    _save(output / PROJECTIONS_FILE, {k: v for k, v in checkpoint.trained.items() if not _lora(k)})
    adapter = {k: v for k, v in checkpoint.trained.items() if _lora(k)}
    base_rows = {}
    for matrix, whole in checkpoint.matrices.items():
        base_rows[matrix] = whole[:vocabulary]
        adapter[ROWS[matrix]] = _our_rows(layout, whole, len(base_rows[matrix]))
    _save(output / ADAPTER_FILE, adapter)
    _save(output / BASE_ROWS_FILE, base_rows)
    _save(output / KEPT_FILE, checkpoint.kept)
    seal(output)
    lines = [f"{source}: {sum(map(len, checkpoint.files.values()))} tensors in {layout} layout"]
    if values["absent"]:
        lines.append(f"not in it, so they start anew: {', '.join(values['absent'])}")
    if base is None:
        lines.append(
            f"its base model {identity['name']!r} is compared when the folder is loaded; "
            "give --base to compare it now"
        )
    return [*lines, f"written to {output}"]


def to_released(layout: str, folder: str | Path, output: str | Path) -> list[str]:
    """Writes a folder of ours in a released layout; the inverse of `from_released`.

    A folder that was trained here holds no rows of the base vocabulary; they are then taken from
    the base model, which must be on this machine.

    Returns:
        what was written and what was left out, line by line.

    Raises:
        CheckpointError: the layout has no place for how the model is built.
        MissingError: a file of the folder, or the base model, is missing.
    """
    folder, output = Path(folder), Path(output)
    values = read_config(folder)
    config = NextGPTConfig.from_dict(values["config"])
    _check_exportable(layout, folder, config)
    state = {**_load(folder / PROJECTIONS_FILE), **_load(adapter_file(folder))}
    rows = {matrix: state.pop(name) for matrix, name in ROWS.items() if name in state}
    checkpoint = Checkpoint(state, kept=_load(folder / KEPT_FILE))
    base_rows = _load(folder / BASE_ROWS_FILE) or _base_matrices(locate(config.llm))
    theirs = [_our_tokens().index(token) for token in new_tokens(layout)]
    for matrix, ours in rows.items():
        whole = [base_rows[matrix].to(ours.dtype), ours[theirs]]
        checkpoint.matrices[matrix] = torch.cat(whole)
    checkpoint.files = legacy.default_files(layout, checkpoint)
    if (folder / NOTE_FILE).is_file():
        noted = read_json(folder / NOTE_FILE)
        if noted.get("layout") == layout:
            checkpoint.files = checked(
                noted.get("files"), dict[str, list[str]], f"{folder / NOTE_FILE}: files"
            )
        else:
            checkpoint.kept = {}
    lines = [str(path) for path in legacy.write(layout, checkpoint, output)]
    if layout == "current" and any(_lora(name) for name in state):
        LoraConfig(
            task_type="CAUSAL_LM",
            base_model_name_or_path=config.llm,
            r=config.lora.rank,
            lora_alpha=config.lora.alpha,
            lora_dropout=config.lora.dropout,
            target_modules=sorted(legacy.lora_layers(checkpoint)[1]),
        ).save_pretrained(str(output))
        lines.append(str(output / "adapter_config.json"))
    if left_out := _without_place(layout, rows, checkpoint):
        lines.append(f"left out, for this layout has no row for them: {', '.join(left_out)}")
    return lines


def _lora(name: str) -> bool:
    return "lora_" in name


def _our_tokens() -> list[str]:
    """The new tokens in the order in which `LanguageModel` gives them ids."""
    return [
        token
        for name, count in SIGNAL_TOKENS.items()
        for token in [*markers([name]), *get_modality(name).signal_tokens(count)]
    ]


def _our_rows(layout: str, whole: Tensor, vocabulary: int | None) -> Tensor:
    """The rows of our new tokens, from a matrix of theirs.

    A marker that they lack is a copy of the image's, which they put around all media, or
    the mean of the base vocabulary where they use no markers.
    """
    theirs = new_tokens(layout)
    start = len(whole) - len(theirs) if vocabulary is None else vocabulary
    alike = dict(zip(markers(), markers(["image"]) * len(BUILT_IN), strict=True))
    rows = []
    for token in _our_tokens():
        token = alike.get(token, token)
        if token in theirs:
            rows.append(whole[start + theirs.index(token)])
        else:
            rows.append(whole[:start].double().mean(0).to(whole.dtype))
    return torch.stack(rows)


def _without_place(layout: str, rows: dict[str, Tensor], checkpoint: Checkpoint) -> list[str]:
    """Our tokens whose rows would not come back as they are."""
    lost = set()
    for matrix, ours in rows.items():
        again = _our_rows(layout, checkpoint.matrices[matrix], None)
        lost |= set((ours != again).any(dim=1).nonzero().flatten().tolist())
    return [token for index, token in enumerate(_our_tokens()) if index in lost]


# --- checks ---------------------------------------------------------------------------------------


def _check_rows(layout: str, source: Path, checkpoint: Checkpoint) -> int | None:
    """The size of the base vocabulary; None when the files hold no embedding."""
    widths = {
        name: tensor.shape[1] for name, tensor in checkpoint.matrices.items()
    }  # D, which everything at the LLM's side shares
    for name, tensor in checkpoint.trained.items():
        if name == "input_projection.linear.weight":
            widths["the input projection"] = tensor.shape[0]
        elif name.startswith(OUTPUT) and name.endswith(".fc.weight"):
            widths[name.removesuffix(".fc.weight")] = tensor.shape[1]
        elif name.endswith("q_proj.lora_A.weight"):
            widths["LoRA"] = tensor.shape[1]
    if len(set(widths.values())) > 1:
        said = ", ".join(f"{name} {width}" for name, width in widths.items())
        raise CheckpointError(
            f"{source}: parts are of different LLM widths ({said}); do not mix runs."
        )
    rows = {len(tensor) for tensor in checkpoint.matrices.values()}
    if len(rows) > 1:
        raise CheckpointError(
            f"{source}: embed_tokens and lm_head differ in rows; do not mix runs."
        )
    if not rows:
        return None
    vocabulary = rows.pop() - len(new_tokens(layout))
    if vocabulary < 1:
        raise CheckpointError(
            f"{source}: its embedding has not even a row for each of the {len(new_tokens(layout))} "
            f"new tokens; it is no checkpoint in {layout} layout."
        )
    return vocabulary


def _check_token_order(layout: str, source: Path, vocabulary: int | None) -> None:
    """Compares with `added_tokens.json`, where the tokenizer's lies beside the files."""
    path = (source.parent if source.is_file() else source) / "added_tokens.json"
    if vocabulary is None or not path.is_file():
        return
    given = read_json(path, dict[str, int])
    for index, token in enumerate(new_tokens(layout), start=vocabulary):
        names = [name for name, number in given.items() if number == index]
        if layout == "legacy" and names != [token]:
            raise CheckpointError(
                f"{path}: id {index} is {names[0] if names else 'no token'}, expected {token}; "
                "the tokenizer and the checkpoint do not belong together."
            )


def _check_base(
    folder: Path, source: Path, checkpoint: Checkpoint, vocabulary: int | None
) -> str | None:
    """Refuses another base model; returns its fingerprint."""
    numbers = read_sizes(folder / "config.json")
    layers, _ = legacy.lora_layers(checkpoint)
    linear = checkpoint.trained.get("input_projection.linear.weight")
    compared = {
        "vocab_size": (vocabulary, "rows of the base vocabulary"),
        "hidden_size": (None if linear is None else len(linear), "as its width"),
        "num_hidden_layers": (layers or None, "layers with LoRA"),
    }
    for name, (found, what) in compared.items():
        if found is not None and numbers.get(name) != found:
            raise CheckpointError(
                f"{folder}/config.json: {name} is {numbers.get(name)}, but {source} has {found} "
                f"{what}; give the base model that it was trained on."
            )
    base = _base_matrices(folder)["embed_tokens"]
    if "embed_tokens" in checkpoint.matrices:
        likeness = F.cosine_similarity(
            base.float(), checkpoint.matrices["embed_tokens"][:vocabulary].float()
        ).mean()
        if likeness < LEAST_LIKENESS:
            raise CheckpointError(
                f"{source}: its embedding is not that of {folder} (mean cosine {likeness:.2f}); "
                "give the base model that it was trained on."
            )
    return fingerprint(base)


def _check_exportable(layout: str, folder: Path, config: NextGPTConfig) -> None:
    if (kind := config.output_projection.kind) != "transformer":
        raise CheckpointError(
            f"{folder / CONFIG_FILE}: field 'output_projection.kind' is {kind!r}, which has no "
            f"place in the {layout} layout; it needs 'transformer'."
        )
    counts = config.signal_tokens
    if counts != SIGNAL_TOKENS or config.input_tokens != 1:
        raise CheckpointError(
            f"{folder / CONFIG_FILE}: {config.input_tokens} input tokens and signal tokens "
            f"{counts} have no place in the {layout} layout; it needs 1 and {SIGNAL_TOKENS}."
        )


# --- configuration and files ----------------------------------------------------------------------


def _configuration(
    source: Path, checkpoint: Checkpoint, identity: dict[str, Any]
) -> dict[str, Any]:
    """Our config.json, read off the tensors' shapes."""
    config = NextGPTConfig.from_profile("paper")
    config.llm = identity["name"]
    config.signal_tokens, config.input_tokens = dict(SIGNAL_TOKENS), 1
    config.lora = _lora_settings(source, checkpoint)
    for modality in SIGNAL_TOKENS:
        prefix = f"{OUTPUT}{modality}."
        trained = checkpoint.trained.items()
        state = {k.removeprefix(prefix): v for k, v in trained if k.startswith(prefix)}
        if state:
            shape, config.output_projection = _output_projection(source, prefix, state)
            config.conditions[modality] = shape
    first = identity["vocabulary"]
    ids = {} if first is None else {token: first + i for i, token in enumerate(_our_tokens())}
    signals = {
        m: [ids[t] for t in get_modality(m).signal_tokens(n)] for m, n in SIGNAL_TOKENS.items()
    } if ids else None  # fmt: skip
    return {
        "config": config.to_dict(),
        "base": identity,
        "signal_ids": signals,
        "new_ids": list(ids.values()) or None,
        "absent": _absent(checkpoint),
    }


def _absent(checkpoint: Checkpoint) -> list[str]:
    """Parts that the files do not hold, such as LoRA before stage 3."""
    parts = ["input_projection", *(f"{OUTPUT}{m}" for m in SIGNAL_TOKENS), "lora_"]
    missing = [p for p in parts if not any(p in name for name in checkpoint.trained)]
    return missing + [matrix for matrix in MATRICES if matrix not in checkpoint.matrices]


def _lora_settings(source: Path, checkpoint: Checkpoint) -> LoraSettings:
    settings = LoraSettings()
    _, targets = legacy.lora_layers(checkpoint)
    if targets:
        ranks = [len(t) for name, t in checkpoint.trained.items() if "lora_A" in name]
        settings.rank = ranks[0]
        settings.targets = tuple(sorted(targets))
    path = (source.parent if source.is_file() else source) / "adapter_config.json"
    if path.is_file():
        values = read_json(path)
        found = (values.get(f"lora_{name}") for name in ("alpha", "dropout"))
        settings.alpha, settings.dropout = checked(
            tuple(found), tuple[int, float], f"{path}: lora_"
        )
    return settings


def _output_projection(
    source: Path, prefix: str, state: dict[str, Tensor]
) -> tuple[list[int], OutputProjectionConfig]:
    """Condition shape and numbers of a transformer output projection; refuses any other kind."""
    needed = ("query_embs", "fc.weight", "model.weight", "tfm.encoder.layers.0.linear1.weight")
    if any(name not in state for name in needed):
        raise CheckpointError(
            f"{source}: {prefix}* is no transformer output projection; only that kind is converted."
        )
    _, length, hidden = state["query_embs"].shape
    layers = len({name.split(".")[3] for name in state if name.startswith("tfm.encoder.layers.")})
    numbers = OutputProjectionConfig(
        hidden=hidden, layers=layers, feed_forward=len(state[needed[3]])
    )
    width = len(state["model.weight"])
    with torch.device("meta"):
        llm_width = state["fc.weight"].shape[1]
        wanted = OutputProjection(llm_width, length, width, numbers).state_dict()
    for name in sorted(set(wanted) | set(state)):
        shapes = [list(d[name].shape) if name in d else "no such tensor" for d in (state, wanted)]
        if shapes[0] != shapes[1]:
            raise CheckpointError(
                f"{source}: {prefix}{name} is {shapes[0]}, expected {shapes[1]}; the file is cut "
                "off or of another kind."
            )
    return [length, width], numbers


def _save(path: Path, state: dict[str, Tensor]) -> None:
    if state:
        save_file({name: tensor.clone().contiguous() for name, tensor in state.items()}, path)


def _load(path: Path) -> dict[str, Tensor]:
    return read_tensors(path) if path.is_file() else {}


def _base_matrices(folder: Path) -> dict[str, Tensor]:
    found = stored_matrices(folder)
    if "embed_tokens" not in found:
        raise CheckpointError(
            f"{folder}: holds no model.embed_tokens.weight; give a causal LM's folder."
        )
    return found
