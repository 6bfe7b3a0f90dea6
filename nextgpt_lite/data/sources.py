"""Where a training's conversations come from: records by number, found by name.

Knows: what a source is, a folder of files as one, and how a folder or a plugin is found by its
name. Leaves to others: file formats and places (`released`, `folder`), tokens and features.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Protocol

from nextgpt_lite.data.folder import index_folder
from nextgpt_lite.data.records import Record
from nextgpt_lite.data.released import Report
from nextgpt_lite.errors import DataError, MissingError
from nextgpt_lite.media import safe_path
from nextgpt_lite.messages import Conversation, Part, parts_of
from nextgpt_lite.model.modality import get_modality
from nextgpt_lite.plugins import plugin, plugins

DEFAULT = "lite"
DRAWN = 64  # records that stand for all of an endless source
PROMPTS = 3
MIDDLE = 2**16  # bytes of a media file that tell it from another


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
    """

    folder: Path | None = None

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


class FolderSource(Source):
    """Conversations of a folder in the released formats, kinds weighted as the stage says.

    Records stay in their files until they are drawn. Wrong items and those without their media
    are left out, with a warning that counts them; `report` has the reasons.

    Raises:
        DataError: the folder has no record of any kind the stage needs.
    """

    def __init__(self, stage: Wanted, folder: str | Path, seed: int = 0) -> None:
        self.folder = Path(folder)
        self.report = Report()
        found = index_folder(self.folder, report=self.report)
        if self.report.skipped:
            warnings.warn(str(self.report), stacklevel=2)
        by_kind = {kind: records for kind, records in found.items() if kind in stage.mixture}
        if not by_kind:
            needed = ", ".join(stage.mixture)
            raise DataError(
                f"{folder}: no record for stage {stage.number}; it needs one of {needed}."
            )
        self.records = by_kind
        self.weights = [stage.mixture[kind] for kind in by_kind]
        self.seed = seed

    def __call__(self, index: int) -> Record:
        rng = Random(f"{self.seed}/{index}")
        kind = rng.choices(list(self.records), self.weights)[0]
        return rng.choice(self.records[kind])

    def identity(self) -> str:
        """sha256 of all records; media count by their paths."""
        return hash_plain(r.to_dict() for records in self.records.values() for r in records)

    def media(self) -> str | None:
        """Of each file the size and its middle, which costs little and tells replaced ones."""
        shown = (
            part["path"]
            for records in self.records.values() for record in records
            for message in record.messages for part in parts_of(message) if "path" in part
        )  # fmt: skip
        digest = hashlib.sha256()
        for name in sorted({str(path) for path in shown}):
            path = safe_path(self.folder, name)  # type: ignore[arg-type]
            if not path.is_file():
                continue
            size = path.stat().st_size
            with path.open("rb") as file:
                file.seek(max(0, size - MIDDLE) // 2)
                digest.update(f"{name} {size} ".encode() + file.read(MIDDLE))
        return digest.hexdigest()


def open_source(data: str | Path | Source | None, stage: Wanted, seed: int = 0) -> Source:
    """The source of a name: a folder in the released formats, or a plugin such as "lite".

    Args:
        data: None means the lite world; a source is returned as it is.
        stage: what is wanted of it.
        seed: of the order, and of what is made.

    Raises:
        MissingError: it is neither a folder nor a plugin.
        DataError: the folder lacks what the stage needs.
    """
    if isinstance(data, Source):
        return data
    name = DEFAULT if data is None else str(data)
    if data is not None and Path(data).is_dir():
        return FolderSource(stage, data, seed)
    if name not in plugins():
        raise MissingError(
            f"{name}: there is no such folder, and no plugin of that name (there are: "
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
    return Path(part["path"]) if folder is None else safe_path(folder, part["path"])


def hash_plain(records: Iterable[Mapping[str, Any]]) -> str:
    """sha256 of records in their plain form; what is not JSON counts by its `repr`."""
    digest = hashlib.sha256()
    for record in records:
        digest.update(json.dumps(record, sort_keys=True, default=repr).encode())
    return digest.hexdigest()
