"""A reader's pairs of medium and caption, found again by words.

Knows: nearest captions in the space of the encoder's text trunk; faiss searches where it is
installed, a matrix product else: both exactly. Leaves to others: the formats of pairs (`folder`),
who looks for what (`plans`, `build`).

Letters: N pairs of a modality, E encoder width.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch.nn import functional as F
from tqdm.auto import tqdm

from nextgpt_lite.data.folder import Records, identity, index_cache, index_folder
from nextgpt_lite.data.report import Report
from nextgpt_lite.data.sources import medium
from nextgpt_lite.encoders import Encoder
from nextgpt_lite.errors import DataError
from nextgpt_lite.media import safe_path
from nextgpt_lite.messages import Part, parts_of, text_of
from nextgpt_lite.model.config import cache_folder, locate
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.writing import replacing

BATCH = 256  # captions that are encoded at once
TIED = 64  # captions of one vector that are told apart by their words


@dataclass(frozen=True)
class Pair:
    """Number `number` of the shelf; `here` is false where its medium is missing."""

    number: int
    part: Part  # its "path" is relative to `root`
    caption: str
    root: Path
    here: bool


class Shelf:
    """All pairs of some files.

    Args:
        files: data files, or folders of them, in any format that is read; what is none of a pair is
            left out.
        encoder: folder of the encoder whose text trunk compares captions, or None to find nothing.

    Raises:
        DataError: there is no pair.
        MissingError: there is no such encoder.
    """

    def __init__(self, files: Sequence[Path], encoder: str | None = None) -> None:
        self.report = Report()
        self.records: list[Records] = []
        for path in files:
            found = index_folder(path, report=self.report, keep=index_cache())
            self.records += [found["pair"]] if "pair" in found else []
        if not self.records:
            names = ", ".join(map(str, files))
            raise DataError(f"{names}: no pair of a medium and its caption; {self.report}.")
        self.starts = np.cumsum([0, *map(len, self.records)])
        if encoder is not None:
            self._place([*files], encoder)

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, number: int) -> Pair:
        which = int(np.searchsorted(self.starts, number, "right")) - 1
        records, within = self.records[which], number - int(self.starts[which])
        asked, said = records[within].messages[:2]
        part = next(p for p in parts_of(asked) if p["type"] != "text")
        here = not records.places[within]["missing"]
        return Pair(number, part, text_of(said).strip().rstrip("."), records.root, bool(here))

    def _place(self, files: list[Path], encoder: str) -> None:
        """Sorts the pairs by modality, with a vector of each caption; those without media go."""
        name = ";".join([encoder, *(f"{path.absolute()} {identity(path)}" for path in files)])
        kept = cache_folder() / "shelf" / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.npz"
        here = np.concatenate([~records.places["missing"] for records in self.records])
        self.encoder = Encoder.from_pretrained(locate(encoder), trunks=("text",))
        try:
            with np.load(kept) as held:
                kinds, vectors = held["kinds"], held["vectors"]
        except (OSError, ValueError, KeyError):
            made, names = [], []
            for start in tqdm(range(0, len(self), BATCH), desc="captions", mininterval=1.0):
                pairs = [self[n] for n in range(start, min(start + BATCH, len(self)))]
                names += [pair.part["type"] for pair in pairs]
                made.append(self.vectors([pair.caption for pair in pairs]))
            kinds, vectors = np.array(names), np.concatenate(made)
            with suppress(OSError), replacing(kept) as draft:  # else only slower next time
                np.savez(draft, kinds=kinds, vectors=vectors)
        self.numbers = {m: np.flatnonzero(here & (kinds == m)) for m in MODALITIES}
        self.numbers = {m: numbers for m, numbers in self.numbers.items() if len(numbers)}
        if not self.numbers:
            raise DataError(f"No medium of the pairs is there; {self.report}.")
        self.indices = {m: _index(vectors[numbers]) for m, numbers in self.numbers.items()}

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """(texts, E) unit vectors, float32."""
        return F.normalize(self.encoder.encode_text(texts).float(), dim=-1).cpu().numpy()

    @property
    def modalities(self) -> list[str]:
        """Of the pairs whose media are there."""
        return [*self.numbers]

    def near(self, modality: str, vector: np.ndarray, count: int = 1) -> list[tuple[int, float]]:
        """The numbers of the pairs whose captions are nearest to a vector (E,), and the cosines."""
        if modality not in self.indices:
            return []
        count = min(count, len(self.numbers[modality]))
        scores, places = self.indices[modality].search(vector[None], count)
        found = zip(self.numbers[modality][places[0]].tolist(), scores[0].tolist(), strict=True)
        return [*found]

    def find(self, modality: str, caption: str, vector: np.ndarray) -> tuple[int, float]:
        """The number of the pair nearest to a caption and its vector (E,), and the cosine.

        Captions whose words the encoder does not know may have one vector: then that with the same
        words, if there is one. Of a modality without pairs the cosine is -1.
        """
        near = self.near(modality, vector, TIED)
        if not near:
            return 0, -1.0
        first, alike = near[0]
        tied = (number for number, other in near if other > alike - 1e-4)
        words = caption.strip().rstrip(".").lower()
        return next((n for n in tied if self[n].caption.lower() == words), first), alike

    def put(self, pair: Pair, folder: Path) -> Part:
        """The medium as a part of data in `folder`, where its file is linked or copied to."""
        row = MODALITIES[pair.part["type"]]
        part: Part = {"type": row.name, "caption": pair.caption}
        if not pair.here:
            return part
        suffix = Path(pair.part["path"]).suffix if "path" in pair.part else row.suffix
        name = f"{row.plural}/{row.name}_{pair.number:07}{suffix}"
        target = folder / name
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            with replacing(target) as draft:
                if "path" in pair.part:
                    _linked(safe_path(pair.root, pair.part["path"]), draft)
                else:  # inside an archive
                    row.save(medium(pair.part, pair.root), draft)
        return {**part, "path": name}


class _Product:
    """What faiss calls a flat index, without faiss."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.matrix = vectors

    def search(self, asked: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """(1, E) -> the best scores and their places, (1, count) each, the best first."""
        scores = self.matrix @ asked[0]  # (N,)
        places = np.argsort(-scores, kind="stable")[:count]
        return scores[None, places], places[None]


def _index(vectors: np.ndarray) -> Any:
    """An exact index of (N, E) by inner product."""
    try:
        import faiss
    except ImportError:
        return _Product(vectors)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return index


def _linked(source: Path, target: Path) -> None:
    """One file under a second name, where the disk allows that; else a copy."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
