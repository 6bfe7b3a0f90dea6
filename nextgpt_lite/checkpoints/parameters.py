"""Table 1 of the paper beside ours: every component built from its configuration, no weights.

Knows: how to build a component on torch's meta device (shapes without memory), what the paper
prints, and how both become a table. Leaves to others: what learns in which stage
(`training.stages`), where configurations are (`catalogue`).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.checkpoints.catalogue import UNLOADED, blueprint
from nextgpt_lite.encoders import Encoder, ImageBind, ImageBindConfig, PreprocessConfig
from nextgpt_lite.model.config import NextGPTConfig
from nextgpt_lite.reading import read_json, read_sizes

# Table 1 as printed; the counts behind the starred ones are in section 3, "131M(=4+33+31+31+32)".
PAPER = {
    "encoder": "1.2B",
    "input_projection": "4M",
    "llm": "7B",
    "lora": "33M",
    "output_projections.image": "31M",
    "output_projections.audio": "31M",
    "output_projections.video": "32M",
    "decoders.image": "1.3B",
    "decoders.audio": "975M",
    "decoders.video": "1.8B",
    "learns": "131M",
    "all": "12.4B",
    "share": "1%",
}


@dataclass
class Row:
    """One component.

    Attributes:
        part: its name, as in `PAPER`.
        what: the checkpoint it is, or its shape.
        parameters: how many it has.
        stages: the stages in which it learns.
        inside: parameters of what it is made of, where that is several modules.
    """

    part: str
    what: str
    parameters: int = 0
    stages: list[int] = field(default_factory=list)
    inside: dict[str, int] = field(default_factory=dict)


def count(config: NextGPTConfig) -> list[Row]:
    """Builds the whole system on the meta device and counts it; allocates next to nothing.

    Raises:
        ConfigError: a component has no configuration on this machine.
    """
    from nextgpt_lite.training.stages import STAGES, open_for

    model = build(config)
    rows = {part: Row(part, what) for part, what in _parts(config, model)}
    for name, parameter in model.named_parameters():
        part, inside = _place(name)
        row = rows[part]
        row.parameters += parameter.numel()
        if inside:
            row.inside[inside] = row.inside.get(inside, 0) + parameter.numel()
    for number, stage in STAGES.items():
        open_for(model, stage)
        learning = {_place(name)[0] for name, p in model.named_parameters() if p.requires_grad}
        for part in learning:
            rows[part].stages.append(number)
    return list(rows.values())


def build(config: NextGPTConfig) -> NextGPT:
    """The model of `config` without weights, its decoders included, on the meta device."""
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        encoder = Encoder(ImageBind(_encoder_config(config.encoder)), PreprocessConfig())
        model = NextGPT(config, encoder, _language_model(config))
        for modality, name in config.decoders.items():
            model.decoders[modality] = nn.ModuleDict(dict(modules(blueprint(name))))
    return model


def table(config: NextGPTConfig) -> str:
    """The rows of `count` as text, the paper's figures beside ours."""
    rows = count(config)
    total = sum(row.parameters for row in rows)
    learns = sum(row.parameters for row in rows if row.stages)
    lines = [
        f"profile {config.profile}: built from configurations alone, no weights",
        "",
        _line("part", "what", "paper", "ours", "learns", "in stages", "% of all"),
        _line(*["-" * width for width in _WIDTHS]),
    ]
    for row in rows:
        learned = row.parameters if row.stages else 0
        stages = ", ".join(map(str, row.stages)) or "frozen"
        share = f"{100 * learned / total:.3f}" if learned else "0"
        lines.append(
            _line(
                row.part.replace("_", " ").replace("s.", ", "), row.what, PAPER.get(row.part, "-"),
                _millions(row.parameters), _millions(learned) if learned else "0", stages, share,
            )
        )  # fmt: skip
        for name, number in row.inside.items():
            lines.append(_line(f"  {name.replace('_', ' ')}", "", "", _millions(number)))
    share = f"{100 * learns / total:.2f}"
    lines += [
        _line(*["-" * width for width in _WIDTHS]),
        _line("all", "", PAPER["all"], _millions(total)),
        _line("learns", "", PAPER["learns"], "", _millions(learns), "", share),
        "",
        f"The paper says that only {PAPER['share']} of all parameters learn; it does not count the "
        "token rows.",
    ]
    return "\n".join(line.rstrip() for line in lines)


def sizes(name: str) -> dict[str, int]:
    """Parameters of each module that is loaded of a pipeline, by its name in `NextGPTConfig`."""
    with torch.device("meta"):
        return {
            part: sum(p.numel() for p in module.parameters())
            for part, module in modules(blueprint(name))
            if part not in UNLOADED
        }


_WIDTHS = (26, 46, 6, 11, 9, 9, 8)


def _line(*cells: str) -> str:
    padded = [*cells, *[""] * (len(_WIDTHS) - len(cells))]
    left = 2  # the first two columns hold words, the others figures
    return "  ".join(
        cell.ljust(width) if index < left else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(padded, _WIDTHS, strict=True))
    )


def _millions(number: int) -> str:
    return f"{number / 1e6:,.{1 if number >= 1e8 else 3}f} M"


def _place(name: str) -> tuple[str, str]:
    """The row of a parameter of `NextGPT`, and the module inside it where there are several."""
    from nextgpt_lite.training.stages import part_of

    pieces = name.split(".")
    match part_of(name):
        case "output_projections":
            return ".".join(pieces[:2]), ""
        case "decoders":
            return ".".join(pieces[:2]), pieces[2]
        case "encoder":
            return "encoder", pieces[3] if pieces[2].startswith("modality_") else pieces[2]
        case part:
            return part, ""


def _parts(config: NextGPTConfig, model: NextGPT) -> Iterator[tuple[str, str]]:
    """Every row with what it is, in the order in which data flows."""
    tokens = f" x {config.input_tokens}" if config.input_tokens > 1 else ""
    kind, reader = config.output_projection.kind, config.input_projection.kind
    rank, targets = config.lora.rank, config.lora.targets
    if not isinstance(targets, str):
        targets = ", ".join(target[0] for target in targets)
    yield "encoder", config.encoder
    yield "input_projection", f"{reader} {model.encoder.width} -> {model.llm.width}{tokens}"
    yield "llm", config.llm
    yield "lora", f"rank {rank} on {targets}"
    yield "token_rows", f"{len(model.llm.new_ids)} rows of {model.llm.width}"
    for modality, (length, width) in config.conditions.items():
        yield f"output_projections.{modality}", f"{kind} -> {length} x {width}"
    for modality, name in config.decoders.items():
        yield f"decoders.{modality}", name


def _encoder_config(name: str) -> ImageBindConfig:
    """Beside lite weights lies their configuration; the public one is huge, with six trunks."""
    if name.startswith("lite/") or Path(name).is_dir():
        values = read_sizes(blueprint(name) / "config.json")
        return ImageBindConfig.from_dict(values["imagebind"])
    return ImageBindConfig.huge()


def _language_model(config: NextGPTConfig) -> Any:
    """The causal LM with adapters; its tokenizer has the right number of tokens and no sense."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

    from nextgpt_lite.model.llm import LanguageModel

    numbers = read_sizes(blueprint(config.llm) / "config.json")
    vocabulary = {f"{index}": index for index in range(numbers["vocab_size"])}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(vocabulary, unk_token="0")),
        pad_token="0",
        chat_template="{{ messages | map(attribute='content') | join }}",
    )
    causal_lm = AutoModelForCausalLM.from_config(AutoConfig.for_model(**numbers))
    return LanguageModel(
        causal_lm, tokenizer, config.signal_tokens, config.lora, config.llm, config.messenger
    )


def modules(folder: Path) -> Iterator[tuple[str, nn.Module]]:
    """The modules of a pipeline in diffusers' layout, from their configurations alone."""
    from diffusers import ConfigMixin

    for part, entry in read_json(folder / "model_index.json").items():
        path = folder / part / "config.json"
        if not isinstance(entry, list) or not path.is_file():
            continue  # a setting, a tokenizer or a scheduler, or borrowed from another decoder
        library, name = entry
        if library not in ("diffusers", "transformers"):  # a module of a pipeline's own folder
            library = f"diffusers.pipelines.{library}"
        kind = getattr(import_module(library), name)
        values = read_sizes(path)
        if issubclass(kind, ConfigMixin):
            yield part, kind.from_config(values)
        else:
            yield part, kind(kind.config_class(**values))
