"""The public checkpoints that the presets name: where from, which revision, under what licence.

Knows: hub ids, pinned commits, licences, which files a checkpoint needs, and, in the folders beside
this file, each one's configurations in its own layout, so that it can be built without weights.
Leaves to others: fetching (`download`), building (`parameters`), loading.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from nextgpt_lite.model.config import DECODER_SETTINGS, WEIGHTS, NextGPTConfig, folder_name

HERE = Path(__file__).parent

_PIPELINE = ("model_index.json", "scheduler/*", "tokenizer/*", "text_encoder/*", "unet/*", "vae/*")
_CAUSAL_LM = ("*.json", "*.jinja", "*.model", "*.txt", "*.safetensors", "*.bin")


@dataclass(frozen=True)
class Checkpoint:
    """A public checkpoint.

    Attributes:
        name: hub id.
        revision: the commit that is fetched; None where no commit could be looked up, then the
            newest is fetched and its commit written down beside the files.
        licence: its name on the hub.
        commercial: whether the licence allows commercial use (perhaps under conditions).
        files: patterns of the files that the package reads; weights come once (`download`).
    """

    name: str
    revision: str | None
    licence: str
    commercial: bool
    files: tuple[str, ...]


CATALOGUE: dict[str, Checkpoint] = {
    row.name: row
    for row in (
        Checkpoint(
            "nielsr/imagebind-huge", "51fc1ff707903501e60bdb2f73dd4e8818eef099",
            "CC-BY-NC-SA-4.0", False, ("*.json", "*.safetensors", "*.pth", "*.bin"),
        ),
        Checkpoint(
            "lmsys/vicuna-7b-v1.5", "3321f76e3f527bd14065daf69dad9344000a201d",
            "Llama 2 Community Licence", True, _CAUSAL_LM,
        ),
        Checkpoint(
            "TinyLlama/TinyLlama-1.1B-Chat-v1.0", "fe8a4ea1ffedaf415f4da2f062534de366a451e6",
            "Apache-2.0", True, _CAUSAL_LM,
        ),
        Checkpoint(
            "Qwen/Qwen3-0.6B", "c1899de289a04d12100db370d81485cdf75e47ca",
            "Apache-2.0", True, _CAUSAL_LM,
        ),
        Checkpoint(
            "HuggingFaceTB/SmolLM2-360M-Instruct", "a10cc1512eabd3dde888204e902eca88bddb4951",
            "Apache-2.0", True, _CAUSAL_LM,
        ),
        Checkpoint(
            "stable-diffusion-v1-5/stable-diffusion-v1-5",
            "451f4fe16113bff5a5d2269ed5ad43b0592e9a14",
            "CreativeML Open RAIL-M", True, _PIPELINE,
        ),
        Checkpoint(
            "stabilityai/sd-turbo", "b261bac6fd2cf515557d5d0707481eafa0485ec2",
            "Stability AI Community", False, _PIPELINE,
        ),
        *(
            Checkpoint(
                f"cvssp/audioldm-{size}", None, "CC-BY-NC-SA-4.0", False,
                (*_PIPELINE, "vocoder/*"),
            )
            for size in ("s-full-v2", "m-full", "l-full")
        ),
        Checkpoint(
            "cerspense/zeroscope_v2_576w", "6963642a64dbefa93663d1ecebb4ceda2d9ecb28",
            "CC-BY-NC-4.0", False, _PIPELINE,
        ),
        Checkpoint(
            "ByteDance/AnimateDiff-Lightning", "027c893eec01df7330f5d4b733bc9485ee02e8b2",
            "CreativeML Open RAIL-M", True, ("animatediff_lightning_4step_diffusers.safetensors",),
        ),
    )
}  # fmt: skip


def checkpoint(name: str) -> Checkpoint | None:
    """The catalogue's row; None for a lite part or a folder of the user's own."""
    return CATALOGUE.get(name)


def blueprint(name: str) -> Path:
    """The folder with a component's configurations: shipped, the user's own, or the catalogue's.

    Args:
        name: as in `NextGPTConfig`: "lite/<part>", a folder, or a hub id.

    Raises:
        ValueError: it is none of these.
    """
    places = (WEIGHTS / name, Path(name).expanduser(), HERE / folder_name(name))
    for place in places[0 if name.startswith("lite/") else 1 :]:
        if place.is_dir():
            return place
    known = ", ".join(CATALOGUE)
    raise ValueError(
        f"{name!r} is no folder and not in the catalogue: give a folder or one of {known}."
    )


def components(config: NextGPTConfig) -> list[str]:
    """The names of everything frozen that `config` loads, each once."""
    names = [config.encoder, config.llm, *config.decoders.values()]
    bases = [DECODER_SETTINGS.get(name, {}).get("base") for name in names]
    return list(dict.fromkeys([*names, *filter(None, bases)]))


def warn_of_licences(config: NextGPTConfig) -> None:
    """Warns, before anything is loaded, of components that are not for commercial use."""
    rows = [row for name in components(config) if (row := checkpoint(name)) is not None]
    if bound := [f"{row.name} ({row.licence})" for row in rows if not row.commercial]:
        warnings.warn(f"Not for commercial use: {', '.join(bound)}.", stacklevel=2)


def licences(config: NextGPTConfig) -> list[str]:
    """One line for each component: its licence, and whether it allows commercial use."""
    lines = []
    for name in components(config):
        row = checkpoint(name)
        if row is not None:
            use = "" if row.commercial else ", not for commercial use"
            lines.append(f"{name}: {row.licence}{use}")
        elif name.startswith("lite/"):
            lines.append(f"{name}: Apache-2.0, trained here")
        else:
            lines.append(f"{name}: a folder of yours, licence unknown")
    return lines
