"""Which source a name means: files in any format that is read, a plugin, or several with weights.

Knows: how names and weights are written, and how several sources are drawn from. Leaves to others:
what the sources hold (`indexed`, plugins).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from nextgpt_lite.data import hub
from nextgpt_lite.data.indexed import FolderSource, HubSource
from nextgpt_lite.data.order import Shares
from nextgpt_lite.data.records import Record
from nextgpt_lite.data.sources import Source, Wanted, hash_plain, path_of
from nextgpt_lite.errors import ConfigError, DataError, MissingError
from nextgpt_lite.messages import parts_of
from nextgpt_lite.plugins import plugin, plugins

DEFAULT = "lite"

# A name, a source, a data set of `datasets`; several of them, or names with weights.
Data: TypeAlias = "str | Path | Source | Sequence[Any] | Mapping[str, Any] | None"


class Mixture(Source):
    """Several sources, each with a weight."""

    def __init__(self, sources: Sequence[Source], weights: Sequence[float], seed: int = 0) -> None:
        self.sources, self.seed = [*sources], seed
        self.shares = Shares(dict(enumerate(weights)), seed)
        epochs = [source.epoch for source in sources if source.epoch]
        if len(epochs) == len(sources):
            self.epoch = self.shares.needed(epochs)

    def split(self, share: float) -> tuple[Source, Source]:
        """As of `Source`, of each."""
        weights = [float(count) for count in self.shares.counts]
        parts = zip(*(source.split(share) for source in self.sources), strict=True)
        training, held_out = (Mixture(part, weights, self.seed) for part in parts)
        return training, held_out

    def __call__(self, index: int) -> Record:
        which, drawn = self.shares(index)
        source = self.sources[which]
        record = source(drawn)
        if source.folder is not None:  # paths below it, while a mixture has no folder
            for part in (part for message in record.messages for part in parts_of(message)):
                if "path" in part:
                    part["path"] = path_of(part, source.folder)
                if "embedding" in part:
                    part["embedding"] = str(source.folder / part["embedding"])
        return record

    def media(self) -> dict[str, str]:
        """As of `Source`, of each."""
        return {
            f"{number}/{name}": content
            for number, source in enumerate(self.sources)
            for name, content in source.media().items()
        }

    def identity(self) -> str:
        """Of the sources and their weights."""
        parts = [*(source.identity() for source in self.sources), [*map(int, self.shares.counts)]]
        return hash_plain([{"of": parts}])


def open_source(data: Data, stage: Wanted, seed: int = 0, follow_links: bool = False) -> Source:
    """The source of a name: files in any format that is read, or a plugin such as "lite".

    Args:
        data: a folder, a file, a plugin, a source, a data set of Hugging Face `datasets` or the
            folder of one; several of them, `NAME=WEIGHT` or a mapping with weights. None means
            the lite world.
        stage: what is wanted of it.
        seed: of the order, and of what is made.
        follow_links: let symbolic links in folders lead out of them.

    Raises:
        MissingError: it is neither a folder, a file nor a plugin.
        DataError: the data lack what the stage needs.
        PackageError: the package `datasets` is needed.
    """
    if isinstance(data, Mapping) and all(isinstance(v, int | float) for v in data.values()):
        data = [f"{name}={weight}" for name, weight in data.items()]
    if isinstance(data, str | Path):
        data = [data]
    if not isinstance(data, list | tuple) or not data:
        return _opened(data or None, stage, seed, follow_links)
    named = [weighted(each) for each in data]
    if len(named) == 1:
        return _opened(named[0][0], stage, seed, follow_links)
    sources, weights, refused = [], [], []
    for name, weight in named:
        try:
            sources.append(_opened(name, stage, seed, follow_links))
            weights.append(weight)
        except DataError as error:
            refused.append(str(error))
    if not sources:
        raise DataError(" ".join(refused))
    for reason in refused:
        warnings.warn(f"{reason} The other data are used.", stacklevel=2)
    return Mixture(sources, weights, seed)


def weighted(data: Any) -> tuple[Any, float]:
    """`NAME=WEIGHT` as both; the weight is 1 where none is said.

    Raises:
        ConfigError: the weight is not above 0.
    """
    if not isinstance(data, str | Path) or Path(data).exists():
        return data, 1.0
    name, _, text = str(data).rpartition("=")
    if not name:
        return data, 1.0
    try:
        weight = float(text)
    except ValueError:
        return data, 1.0
    if not 0 < weight < float("inf"):
        raise ConfigError(f"{data}: the weight is {text}; give a number above 0.")
    return name, weight


def _opened(data: Any, stage: Wanted, seed: int, follow_links: bool) -> Source:
    if isinstance(data, Source):
        return data
    if hasattr(data, "features") or isinstance(data, dict) or (data and hub.is_saved(Path(data))):
        return HubSource(stage, data, seed)
    name = DEFAULT if data is None else str(data)
    if data is not None and Path(data).exists():
        return FolderSource(stage, data, seed, follow_links)
    if name not in plugins():
        raise MissingError(
            f"{name}: there is no such folder or file, and no plugin of that name (there are: "
            f"{', '.join(plugins())}); give a folder of data files."
        )
    made: Source = plugin(name).source(stage, seed)
    return made
