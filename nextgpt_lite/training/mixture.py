"""Which conversation comes next: endless from the lite world, or from a folder of files.

Knows: the kinds of a stage and their weights; record i depends on (seed, i) alone, so a run can be
stopped and go on anywhere. Leaves to others: how dialogues are written (`world.dialogue`), file
formats and places (`data.folder`), tokens and features.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Protocol

from nextgpt_lite.data.folder import index_folder
from nextgpt_lite.data.records import Record
from nextgpt_lite.data.released import Report
from nextgpt_lite.training.stages import Stage
from nextgpt_lite.world.dialogue import records as dialogue

# Share of replies that say in words what they show. A small LLM spells out sums and references
# before its signal tokens and gets them right; 0 leaves all of it to the tokens.
TELLS = 1.0
PICTURES = 2  # pairs that show a picture for one of each other modality: it tells most
ABOUT_GIVEN = 0.2  # share of MosIT data that gives a medium and wishes for another in one message
VARIANTS = 8  # renders of one scene: enough to learn from, few enough to be met again in a cache


class Mixture(Protocol):
    """Records by number."""

    def __call__(self, index: int) -> Record:
        """Record number `index`; the same number gives the same record."""


class WorldMixture:
    """Conversations made as they are needed; nothing held out is ever among them.

    Args:
        stage: gives kinds and weights.
        seed: another seed gives other conversations.
    """

    def __init__(self, stage: Stage, seed: int = 0) -> None:
        self.kinds = list(stage.mixture)
        self.weights = list(stage.mixture.values())
        self.modalities = stage.modalities
        self.seed = seed

    def __call__(self, index: int) -> Record:
        rng = Random(f"{self.seed}/{index}")
        kind = rng.choices(self.kinds, self.weights)[0]
        record = self._drawn(kind, rng)
        while not self._fits(record):
            record = self._drawn(kind, rng)
        for message in record.messages:
            for part in message["content"]:
                if isinstance(part, dict) and "scene" in part:
                    part["variant"] = rng.randrange(VARIANTS)
        return record

    def _drawn(self, kind: str, rng: Random) -> Record:
        if kind == "pair":
            shares = [PICTURES if name == "image" else 1 for name in self.modalities]
            record = dialogue.pair(rng, rng.choices(self.modalities, shares)[0])
        elif kind == "caption":
            record = dialogue.caption_record(rng, rng.choice(self.modalities))
        else:
            make: dict[str, Callable[[Random], Record]] = {
                "understand": dialogue.understand,
                "t2m": partial(dialogue.t2m, tells=TELLS),
                "mosit": _mosit,
                "text": dialogue.text,
            }
            record = make[kind](rng)
        return record

    def _fits(self, record: Record) -> bool:
        """Whether replies hold no medium of another modality."""
        replies = (m["content"] for m in record.messages if m["role"] == "assistant")
        return all(part["type"] in ("text", *self.modalities) for r in replies for part in r)


def _mosit(rng: Random) -> Record:
    make = dialogue.about_given if rng.random() < ABOUT_GIVEN else dialogue.mosit
    return make(rng, tells=TELLS)


class FolderMixture:
    """Conversations of a folder in the released formats, kinds weighted as the stage says.

    Records stay in their files until they are drawn. Wrong items and those without their media
    are left out, with a warning that counts them; `report` has the reasons.

    Raises:
        ValueError: the folder has no record of any kind the stage needs.
    """

    def __init__(self, stage: Stage, folder: Path, seed: int = 0) -> None:
        self.report = Report()
        found = index_folder(folder, report=self.report)
        if self.report.skipped:
            warnings.warn(str(self.report), stacklevel=2)
        by_kind = {kind: records for kind, records in found.items() if kind in stage.mixture}
        if not by_kind:
            needed = ", ".join(stage.mixture)
            raise ValueError(
                f"{folder}: no record for stage {stage.number}; it needs one of {needed}."
            )
        self.records: dict[str, Sequence[Record]] = dict(by_kind)
        self.weights = [stage.mixture[kind] for kind in by_kind]
        self.seed = seed

    def __call__(self, index: int) -> Record:
        rng = Random(f"{self.seed}/{index}")
        kind = rng.choices(list(self.records), self.weights)[0]
        return rng.choice(self.records[kind])
