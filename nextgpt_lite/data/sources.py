"""Where a training's conversations come from: records by number, found by name.

Knows: what a source is, a folder of files as one, and how a folder or a plugin is found by its
name. Leaves to others: file formats and places (`released`, `folder`), their order (`order`),
tokens and features.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import numpy as np

from nextgpt_lite import media
from nextgpt_lite.data import hub
from nextgpt_lite.data.folder import identity, index_cache, index_folder
from nextgpt_lite.data.order import Epochs, Shares
from nextgpt_lite.data.records import Record
from nextgpt_lite.data.report import Report
from nextgpt_lite.errors import ConfigError, DataError, MissingError
from nextgpt_lite.messages import Conversation, Message, Part, parts_of, text_of
from nextgpt_lite.model.modality import get_modality
from nextgpt_lite.plugins import plugin, plugins

DEFAULT = "lite"
DRAWN = 64  # records that stand for all of an endless source
PROMPTS = 3
FAR = 2**40  # the first held-out number of a source without end
MIDDLE = 2**16  # bytes of a media file that tell it from another
SEEN = 500  # records of a kind whose media are told apart


# A name, a source, a data set of `datasets`; several of them, or names with weights.
Data: TypeAlias = "str | Path | Source | Sequence[Any] | Mapping[str, Any] | None"


class Wanted(Protocol):
    """What a source is asked for; a `Stage` of training is one.

    Attributes:
        mixture: kinds of conversation and their weights.
        modalities: that pairs show and replies hold, where the source can choose; empty stands for
            all that it makes.
    """

    @property
    def number(self) -> int: ...

    @property
    def mixture(self) -> Mapping[str, float]: ...

    @property
    def modalities(self) -> Sequence[str]: ...


class Source(ABC):
    """Records by number. A source of your own needs `__call__` and nothing else.

    Attributes:
        folder: where the `path` of a media part is resolved; None takes it as it is.
        epoch: so many numbers bring every record at least once; None: without end.
    """

    folder: Path | None = None
    epoch: int | None = None

    @abstractmethod
    def __call__(self, index: int) -> Record:
        """Record number `index`, without end; the same number gives the same record.

        A run can then be stopped and go on anywhere.
        """

    def identity(self) -> str:
        """Tells these records from others, for a run that goes on: by the first 64 of them."""
        return hash_plain(self(index).to_dict() for index in range(DRAWN))

    def media(self) -> str | None:
        """Tells the contents of the media files from others; None where there are no files."""
        return None

    def split(self, share: float) -> tuple[Source, Source]:
        """What is trained on, and a share of the records that is not: the same one in any run.

        Of a source without end those are records of numbers that no training reaches.

        Raises:
            DataError: there are too few records.
        """
        return self, _Far(self)

    def prompts(self) -> list[Conversation]:
        """What a model in training is asked from time to time: the first turns of some records."""
        asked: list[Conversation] = []
        for index in range(PROMPTS):
            shown: list[Part] = [
                p if p["type"] == "text" else {"type": p["type"], "data": medium(p, self.folder)}
                for p in parts_of(self(index).messages[0])
            ]
            asked.append([{"role": "user", "content": shown}])
        return asked


class _Far(Source):
    """A source from a far number on."""

    def __init__(self, source: Source) -> None:
        self.source, self.folder = source, source.folder

    def __call__(self, index: int) -> Record:
        return self.source(FAR + index)


class Indexed(Source):
    """Records of some kinds, weighted as a stage says, each once before any comes again.

    Pairs of medium and caption serve where captions are wanted and there are none: their captions
    are then what is asked for.

    Args:
        stage: what is wanted.
        found: records by kind.
        seed: of the order.
        name: for errors.

    Raises:
        DataError: there is no record of any kind the stage needs.
    """

    def __init__(
        self, stage: Wanted, found: Mapping[str, Sequence[Record]], seed: int, name: str
    ) -> None:
        self.records = {kind: records for kind, records in found.items() if kind in stage.mixture}
        self.turned = "caption" in stage.mixture and "caption" not in found and "pair" in found
        if self.turned:
            self.records["caption"] = found["pair"]
        if "pair" in self.records and not getattr(self.records["pair"], "present", True):
            del self.records["pair"]
        if not self.records:
            needed = ", ".join(stage.mixture)
            raise DataError(
                f"{name}: no record for stage {stage.number}; it needs one of {needed}."
            )
        self.name, self.weights, self.seed = name, stage.mixture, seed
        self._arrange({kind: np.arange(len(of)) for kind, of in self.records.items()})

    def _arrange(self, among: Mapping[str, np.ndarray]) -> None:
        """Draws from these records of each kind, by their numbers."""
        self.among = {kind: numbers.astype(np.uint32) for kind, numbers in among.items()}
        self.shares = Shares({kind: self.weights[kind] for kind in among}, self.seed)
        self.epochs = {}
        for kind, numbers in among.items():
            groups = getattr(self.records[kind], "groups", lambda: None)()
            groups = None if groups is None else groups[numbers]
            self.epochs[kind] = Epochs(len(numbers), self.seed + 1, groups)
        self.epoch = self.shares.needed([len(numbers) for numbers in among.values()])

    def split(self, share: float) -> tuple[Source, Source]:
        """As of `Source`: a share of each kind, by their number in the data."""
        parts: tuple[dict[str, np.ndarray], dict[str, np.ndarray]] = {}, {}
        for kind, numbers in self.among.items():
            mixed = np.random.default_rng(len(numbers)).permutation(numbers)
            held = min(len(numbers) - 1, max(1, round(share * len(numbers))))
            if held:
                parts[1][kind] = np.sort(mixed[:held])
            parts[0][kind] = np.sort(mixed[held:])
        if not parts[1]:
            raise DataError(f"{self.name}: too few records to hold any out: leave out held_out.")
        found = copy(self), copy(self)
        for source, among in zip(found, parts, strict=True):
            source._arrange(among)
        return found

    def __call__(self, index: int) -> Record:
        which, drawn = self.shares(index)
        kind = [*self.among][which]
        record = self.records[kind][int(self.among[kind][self.epochs[kind](drawn)])]
        return as_caption(record) if self.turned and kind == "caption" else record


class FolderSource(Indexed):
    """Conversations of a folder, or of one file, in any of the formats that are read.

    Records stay in their files until they are drawn. Wrong items are left out, with a warning that
    counts them and those without their media; `report` has the reasons.

    Args:
        follow_links: let symbolic links in the folder lead out of it.

    Raises:
        DataError: the folder has no record of any kind the stage needs.
    """

    def __init__(
        self, stage: Wanted, folder: str | Path, seed: int = 0, follow_links: bool = False
    ) -> None:
        self.place = Path(folder)
        self.folder = self.place if self.place.is_dir() else self.place.parent
        if follow_links:
            media.follow_links(self.folder)
        self.report = Report()
        keep = index_cache() / ("linked" if follow_links else "")
        found = index_folder(folder, report=self.report, keep=keep)
        try:
            super().__init__(stage, found, seed, f"{folder}")
        except DataError:  # of media that may be there by now
            self.report = Report()
            found = index_folder(folder, report=self.report, keep=keep, anew=True)
            super().__init__(stage, found, seed, f"{folder}")
        finally:
            if self.report.skipped:
                warnings.warn(str(self.report), stacklevel=2)

    def identity(self) -> str:
        """sha256 of all data files; media count by their names, not by their bytes."""
        return identity(self.place)

    def media(self) -> str | None:
        """Of some hundred files the size and the middle, which tells replaced ones."""
        shown = (
            part["path"]
            for records in self.records.values()
            for record in records[:: len(records) // SEEN + 1]
            for message in record.messages for part in parts_of(message) if "path" in part
        )  # fmt: skip
        digest = hashlib.sha256()
        for name in sorted({str(path) for path in shown}):
            path = path_of({"type": "image", "path": name}, self.folder)
            if not path.is_file():
                continue
            size = path.stat().st_size
            with path.open("rb") as file:
                file.seek(max(0, size - MIDDLE) // 2)
                digest.update(f"{name} {size} ".encode() + file.read(MIDDLE))
        return digest.hexdigest()


class HubSource(Indexed):
    """The rows of a data set of Hugging Face `datasets`.

    Raises:
        DataError: it has no record of any kind the stage needs.
        PackageError: `datasets` is not installed.
    """

    def __init__(self, stage: Wanted, data: Any, seed: int = 0) -> None:
        self.data, name = hub.load(data)
        self.report = Report()
        found = hub.rows_by_kind(self.data, name, self.report, index_cache())
        if self.report.skipped:
            warnings.warn(str(self.report), stacklevel=2)
        super().__init__(stage, found, seed, name)

    def identity(self) -> str:
        """The fingerprint that `datasets` gives it."""
        return f"{self.data._fingerprint}"


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

    def identity(self) -> str:
        """Of the sources and their weights."""
        parts = [*(source.identity() for source in self.sources), [*map(int, self.shares.counts)]]
        return hash_plain([{"of": parts}])


def as_caption(record: Record) -> Record:
    """A pair as what stage 2 learns from: its caption is asked for, its medium is made."""
    shown = next(p for p in parts_of(record.messages[0]) if p["type"] != "text")
    said = text_of(record.messages[1])
    messages: list[Message] = [
        {"role": "user", "content": [{"type": "text", "text": said}]},
        {"role": "assistant", "content": [{**shown, "caption": said}]},
    ]
    return Record(record.id, messages, "caption")


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


def medium(part: Part, folder: Path | None = None) -> Any:
    """Opens a media part: its data, its file below `folder` (any file if None), or its source."""
    if part.get("data") is not None:
        return part["data"]
    if "path" in part:
        return get_modality(part["type"]).load(path_of(part, folder))
    return part["source"].open()


def path_of(part: Part, folder: Path | None) -> Path:
    """Where the file of a media part lies; refuses to leave the folder."""
    return Path(part["path"]) if folder is None else media.safe_path(folder, part["path"])


def hash_plain(records: Iterable[Mapping[str, Any]]) -> str:
    """sha256 of records in their plain form; what is not JSON counts by its `repr`."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(json.dumps(record, sort_keys=True, default=repr).encode())
    return digest.hexdigest()
