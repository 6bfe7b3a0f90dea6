"""A trained model as a folder: what learned and how it was built, never the frozen parts.

    config.json                 configuration, base LLM, rows of the modality table, ids of tokens
    projections.safetensors     input and output projections
    adapter_model.safetensors   LoRA and token rows
    adapter_config.json         what peft needs to load them without this package
    base_rows.safetensors       only of converted checkpoints, which trained the base vocabulary
    known_media.safetensors     how the media of its training look, where that was written
    SHA256SUMS                  of these, compared at loading

Knows: these files, and what must agree before they are loaded. Leaves to others: building the
model, and files of other code (`checkpoints.convert`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NotRequired, Protocol

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from pydantic import with_config
from safetensors.torch import save_file
from torch import Tensor
from typing_extensions import TypedDict

from nextgpt_lite import reading
from nextgpt_lite.errors import CheckpointError
from nextgpt_lite.model.config import NextGPTConfig
from nextgpt_lite.model.hub import MODEL_TYPE
from nextgpt_lite.model.known_media import FILE as KNOWN_MEDIA_FILE, KnownMedia
from nextgpt_lite.model.llm import LanguageModel
from nextgpt_lite.model.modality import MODALITIES, get_modality
from nextgpt_lite.model.sharding import cut_like, gathered

CONFIG_FILE = "config.json"
PROJECTIONS_FILE = "projections.safetensors"
ADAPTER_FILE = "adapter_model.safetensors"
OLD_ADAPTER_FILE = "adapter.safetensors"  # its name before peft could read it
PEFT_FILE = "adapter_config.json"
BASE_ROWS_FILE = "base_rows.safetensors"
FILES = (
    CONFIG_FILE, PROJECTIONS_FILE, ADAPTER_FILE, OLD_ADAPTER_FILE, PEFT_FILE, BASE_ROWS_FILE,
    KNOWN_MEDIA_FILE,
)  # fmt: skip
ROW_FIELDS = ("signal", "trunk")  # of a modality, that a model is trained with
REMEDY = "give a folder that a training run wrote, whole"


@with_config(extra="allow")
class Base(TypedDict):
    """What `LanguageModel.base` is."""

    name: str
    vocabulary: int | None
    fingerprint: str | None


@with_config(extra="allow")
class Saved(TypedDict):
    """What `config.json` says."""

    config: dict[str, Any]
    base: Base
    modalities: NotRequired[dict[str, dict[str, Any]]]
    signal_ids: NotRequired[dict[str, list[int] | None] | None]
    new_ids: NotRequired[list[int] | None]
    absent: NotRequired[list[str]]


class Trained(Protocol):
    """What is saved of a model, and loaded into one."""

    config: NextGPTConfig
    llm: LanguageModel
    known_media: KnownMedia

    def state_dict(self) -> dict[str, Any]:
        """As of a module."""

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool) -> Any:
        """As of a module."""


def read_config(folder: Path) -> dict[str, Any]:
    """What `config.json` says.

    Raises:
        MissingError: it is not there.
        DamagedError: a file of the folder is not what was written.
        CheckpointError: it names a modality that is not in the table, or is there another one.
    """
    path = folder / CONFIG_FILE
    reading.check_sums(folder)
    saved: dict[str, Any] = reading.read_sizes(path, Saved, REMEDY)
    with reading.reading(path, remedy=REMEDY):
        NextGPTConfig.from_dict(saved["config"])
    rows = saved.get("modalities", {})
    for name in saved["config"].get("signal_tokens", {}):
        if name not in MODALITIES:
            raise CheckpointError(
                f"{path}: the model was trained with the modality {name!r}, which is not in the "
                "table: call nextgpt_lite.register(Modality(...)) with its row first."
            )
        row = get_modality(name)
        for field, theirs in rows.get(name, {}).items():
            if theirs != (ours := getattr(row, field, None)):
                raise CheckpointError(
                    f"{path}: the model was trained with {field} {theirs!r} of the modality "
                    f"{name!r}, the table has {ours!r}: register the row it was "
                    "trained with."
                )
    return saved


def save(
    model: Trained, folder: Path, dtype: torch.dtype | None = None, is_main_process: bool = True
) -> None:
    """See `NextGPTModel.save_pretrained`."""
    adapter, projections = (_plain(state, dtype) for state in trained_state(model))
    if not is_main_process:
        return
    folder.mkdir(parents=True, exist_ok=True)
    rows = map(get_modality, model.config.signal_tokens)
    values = {
        "model_type": MODEL_TYPE,
        "config": model.config.to_dict(),
        "base": model.llm.base,
        "modalities": {
            row.name: {field: getattr(row, field) for field in ROW_FIELDS} for row in rows
        },
        "signal_ids": model.llm.signal_ids,
        "new_ids": model.llm.new_ids,
    }
    (folder / CONFIG_FILE).write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    save_file(projections, folder / PROJECTIONS_FILE)
    save_file(adapter, folder / ADAPTER_FILE)
    peft = json.dumps(_for_peft(model), indent=1, sort_keys=True)
    (folder / PEFT_FILE).write_text(peft + "\n", encoding="utf-8")
    if base_rows := _plain(model.llm.base_rows(), dtype):
        save_file(base_rows, folder / BASE_ROWS_FILE)
    if model.known_media.tensors:
        model.known_media.save(folder)
    seal(folder)


def seal(folder: Path) -> Path:
    """Writes the sums of a model's files: a run keeps others in its folder."""
    return reading.write_sums(folder, (p for name in FILES if (p := folder / name).is_file()))


def identity(folder: Path) -> str:
    """Tells a trained model from another one in the same place: sha256 of its files."""
    sums = (reading.sha256(p) for name in FILES if (p := folder / name).is_file())
    return sha256("".join(sums).encode()).hexdigest()


def load_into(model: Trained, folder: Path, anew: tuple[str, ...] = ()) -> None:
    """See `NextGPTModel.load_trained`."""
    saved = read_config(folder)
    _check_origin(model, saved, folder / CONFIG_FILE)
    absent = tuple(saved.get("absent", ()))  # converted: what the files did not hold starts anew
    adapter, projections = (
        {
            name: value
            for name, value in state.items()
            if not any(part in name for part in absent) and not name.startswith(anew)
        }
        for state in trained_state(model)
    )
    given = {
        **_read(folder / PROJECTIONS_FILE, projections, anew),
        **_read(adapter_file(folder), adapter, anew),
    }
    model.load_state_dict(_cut(given, projections), strict=False)
    set_peft_model_state_dict(model.llm.peft, _cut(given, adapter))
    if (folder / BASE_ROWS_FILE).is_file():
        model.llm.lay_over(reading.read_tensors(folder / BASE_ROWS_FILE))


def adapter_file(folder: Path) -> Path:
    """The file of LoRA and token rows, under its name of today or of before.

    Raises:
        CheckpointError: there are both, and nothing says which one belongs to the other files.
    """
    new, old = folder / ADAPTER_FILE, folder / OLD_ADAPTER_FILE
    if new.is_file() and old.is_file():
        raise CheckpointError(f"{folder} holds {new.name} and {old.name}: delete the older one.")
    return old if old.is_file() else new


def _for_peft(model: Trained) -> dict[str, Any]:
    """Fields of `adapter_config.json`, its sets sorted: a model is saved alike each time."""
    config = model.llm.peft.peft_config["default"].to_dict()
    config |= {"base_model_name_or_path": model.config.llm, "inference_mode": True}
    return {name: sorted(v) if isinstance(v, set) else v for name, v in config.items()}


def trained_state(model: Trained) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """(LoRA and token rows, both projections), by name."""
    adapter = get_peft_model_state_dict(model.llm.peft, save_embedding_layers=False)
    projections = {
        name: value
        for name, value in model.state_dict().items()
        if name.startswith(("input_projection.", "output_projections."))
    }
    return adapter, projections


def _check_origin(model: Trained, saved: Mapping[str, Any], path: Path) -> None:
    """Refuses a checkpoint of another base LLM, or whose signal tokens have other ids."""
    base = {name: value for name, value in model.llm.base.items() if name != "name"}
    theirs = dict(saved["base"])
    name = theirs.pop("name")  # the same base may lie in another folder
    ids = saved.get("signal_ids")
    ours = {m: model.llm.signal_ids.get(m) for m in (model.llm.signal_ids if ids is None else ids)}
    for field, mine, given in (("base", base, theirs), ("signal_ids", ours, ids)):
        if "absent" in saved:  # some values could not be known
            given = {**mine, **{k: v for k, v in (given or {}).items() if v is not None}}
        if mine != given:
            raise CheckpointError(
                f"{path}: field {field!r} is {given}, this model has {mine}; load it with the base "
                f"model {name!r} it was trained on."
            )


def _plain(state: dict[str, Tensor], dtype: torch.dtype | None) -> dict[str, Tensor]:
    return {
        name: gathered(value).detach().cpu().to(dtype).contiguous() for name, value in state.items()
    }


def _cut(given: dict[str, Tensor], ours: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: cut_like(given[name], value) for name, value in ours.items()}


def _read(path: Path, expected: dict[str, Tensor], anew: tuple[str, ...]) -> dict[str, Tensor]:
    """The tensors of a file, refused in one sentence unless names and shapes fit.

    Token rows of modalities that the file does not know, which are the last, are the model's own.

    Args:
        anew: beginnings of names that are not read.
    """
    stored = reading.read_tensors(path, lambda name: not name.startswith(anew), REMEDY)
    given = {name: value.float() for name, value in stored.items()}
    for name, rows in given.items():
        if "trainable_tokens" in name and len(rows) < len(expected.get(name, rows)):
            own = gathered(expected[name])[len(rows) :].detach().cpu().float()
            given[name] = torch.cat([rows, own])
    for name in sorted(set(expected) | set(given)):
        shapes = [list(d[name].shape) if name in d else None for d in (given, expected)]
        if shapes[0] != shapes[1]:
            raise CheckpointError(
                f"{path}: tensor {name!r} has shape {shapes[0]}, expected {shapes[1]}; "
                "the checkpoint and its config.json do not belong together."
            )
    return given
