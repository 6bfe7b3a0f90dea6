"""What a training's conversations come from: records by number, whatever holds them.

Knows: what a source is, and how the media of its records are opened. Leaves to others: sources of
files (`indexed`), which source a name means (`opening`), tokens and features.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from nextgpt_lite import media
from nextgpt_lite.data.records import Record
from nextgpt_lite.messages import Conversation, Part, parts_of
from nextgpt_lite.model.modality import get_modality

DRAWN = 64  # records that stand for all of an endless source
PROMPTS = 3
FAR = 2**40  # the first held-out number of a source without end


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

    def media(self) -> dict[str, str]:
        """What tells the contents of some media files from others, by their names."""
        return {}

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
