"""Configuration: small dataclasses, three presets of one system, and the dial between them.

Knows: names, numbers and where a component's weights are. Leaves to others: building anything.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nextgpt_lite.modality import MODALITIES

WEIGHTS = Path(__file__).parent / "weights"
CHECKPOINTS = "NEXTGPT_LITE_CHECKPOINTS"  # environment variable: the folder `download` has filled


@dataclass
class OutputProjectionConfig:
    """Transformer output projection; the defaults are the paper's (section 4, appendix)."""

    hidden: int = 512
    heads: int = 4
    layers: int = 4
    feed_forward: int = 2048
    dropout: float = 0.1


@dataclass
class LoraSettings:
    """LoRA on the LLM's attention; rank 32 on q, k, v, o is the paper's 33 M (Table 1)."""

    rank: int = 32
    alpha: int = 32
    dropout: float = 0.1
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")


@dataclass
class NextGPTConfig:
    """What a NExT-GPT is made of.

    `encoder`, `llm` and each of `decoders` name frozen weights: "lite/<part>" for what ships with
    the package, else a folder, else a hub id. `signal_tokens` gives the number per modality;
    `input_tokens` how many LLM positions an input item takes (the paper's is 1). `conditions`
    gives the (L, C) each decoder reads, so that a model can be built before a decoder is loaded;
    a decoder of another shape is refused when it comes.
    """

    profile: str = "lite"
    encoder: str = "lite/encoder"
    llm: str = "lite/llm"
    decoders: dict[str, str] = field(default_factory=dict)
    conditions: dict[str, list[int]] = field(default_factory=dict)
    signal_tokens: dict[str, int] = field(
        default_factory=lambda: {name: row.paper_signals for name, row in MODALITIES.items()}
    )
    input_tokens: int = 1
    output_projection: OutputProjectionConfig = field(default_factory=OutputProjectionConfig)
    lora: LoraSettings = field(default_factory=LoraSettings)

    @classmethod
    def from_profile(cls, profile: str) -> NextGPTConfig:
        """The preset of that name: "lite", "colab" or "paper"."""
        if profile not in PROFILES:
            names = ", ".join(PROFILES)
            raise ValueError(f"Unknown profile {profile!r}: choose one of {names}.")
        return cls.from_dict({"profile": profile, **PROFILES[profile]})

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NextGPTConfig:
        """Builds from plain values; an unknown field is refused by name."""
        known = {f.name for f in dataclasses.fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"Unknown configuration field {unknown[0]!r}: remove it or fix it.")
        values = copy.deepcopy(values)  # a change of one configuration must not reach a preset
        if isinstance(values.get("output_projection"), dict):
            values["output_projection"] = OutputProjectionConfig(**values["output_projection"])
        if isinstance(values.get("lora"), dict):
            lora = dict(values["lora"])
            lora["targets"] = tuple(lora.get("targets", LoraSettings.targets))
            values["lora"] = LoraSettings(**lora)
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that `from_dict` reads back."""
        return json.loads(json.dumps(dataclasses.asdict(self)))


PROFILES: dict[str, dict[str, Any]] = {
    "lite": {
        "encoder": "lite/encoder",
        "llm": "lite/llm",
        "decoders": {name: f"lite/{name}" for name in MODALITIES},
        "conditions": {"image": [24, 128], "audio": [1, 128], "video": [24, 128]},
        "input_tokens": 8,
        "output_projection": {"hidden": 160, "layers": 2, "feed_forward": 320, "dropout": 0.0},
        "lora": {"rank": 16, "alpha": 32, "dropout": 0.0},
    },
    "colab": {
        "encoder": "nielsr/imagebind-huge",
        "llm": "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
        "decoders": {
            "image": "stable-diffusion-v1-5/stable-diffusion-v1-5",
            "audio": "cvssp/audioldm-s-full-v2",
            "video": "cerspense/zeroscope_v2_576w",
        },
        "conditions": {"image": [77, 768], "audio": [1, 512], "video": [77, 1024]},
    },
    "paper": {
        "encoder": "nielsr/imagebind-huge",
        "llm": "lmsys/vicuna-7b-v1.5",
        "decoders": {
            "image": "stable-diffusion-v1-5/stable-diffusion-v1-5",
            "audio": "cvssp/audioldm-l-full",
            "video": "cerspense/zeroscope_v2_576w",
        },
        "conditions": {"image": [77, 768], "audio": [1, 512], "video": [77, 1024]},
    },
}


def folder_name(name: str) -> str:
    """The folder of a hub id inside a folder of checkpoints."""
    return name.replace("/", "--")


def locate(name: str) -> Path:
    """The folder a component name stands for.

    A hub id is looked for in the folder that the environment variable NEXTGPT_LITE_CHECKPOINTS
    names, where `nextgpt-lite download` has put it; nothing is fetched behind the user's back.

    Raises:
        FileNotFoundError: naming the component and what to do, when it is not on this machine.
    """
    if name.startswith("lite/"):
        folder = WEIGHTS / name
        if not folder.is_dir():
            part = name.removeprefix("lite/")
            raise FileNotFoundError(
                f"The lite part {part!r} is missing from {WEIGHTS}: reinstall the package or "
                f"train it with `nextgpt-lite pretrain --part {part}`."
            )
        return folder
    places = [Path(name).expanduser()]
    if checkpoints := os.environ.get(CHECKPOINTS):
        places.append(Path(checkpoints).expanduser() / folder_name(name))
    for folder in places:
        if folder.is_dir():
            return folder
    raise FileNotFoundError(
        f"No folder {name!r} on this machine: run `nextgpt-lite download` and set {CHECKPOINTS} "
        f"to its output, or give a folder (nothing is fetched behind your back)."
    )
