"""Records that can be trained on: a bad one gives way to another, always the same.

Knows: what makes a record unusable (its file, its words, its media), which one stands in for it,
how long a conversation may be. Leaves to others: what a record is (`data`), tokens, features.

What stands in for record number i depends on i and the data alone, so a run that goes on meets the
same records as one that was never stopped.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.data.records import Record
from nextgpt_lite.errors import DataError
from nextgpt_lite.messages import Conversation
from nextgpt_lite.model.conversation import Encoded
from nextgpt_lite.model.losses import IGNORE
from nextgpt_lite.training.features import Features

logger = logging.getLogger(__name__)

STRIDE = 10_007  # to the number that stands in: far off, for neighbours may share a damaged file
TRIES = 100  # that many in a row are no accident
TOLD = 10  # bad records named; the others are counted


class Usable:
    """Encoded records by number, none of them bad.

    Attributes:
        counts: records "replaced" and "cut" so far, by this process.
    """

    def __init__(self, model: NextGPT, source: Callable[[int], Record], features: Features) -> None:
        self.model, self.source, self.features = model, source, features
        self.counts: Counter[str] = Counter()
        self._told = 0

    def __call__(self, index: int, thorough: bool = False) -> tuple[str, Encoded]:
        """Id and ids of record number `index`, or of the one that stands in for it.

        Args:
            thorough: let the frozen parts read its media as well, not only open them.

        Raises:
            Exception: of the first of 100 records of which none can be used.
        """
        first: Exception | None = None
        for number in range(index, index + TRIES * STRIDE, STRIDE):
            name = f"number {number}"
            try:
                record = self.source(number)
                name = record.id
                encoded, cut = self._encoded(record.messages, thorough)
            except Exception as error:  # whatever a file or a library makes of it
                first = first or error
                self.counts["replaced"] += 1
                self._told += 1
                if self._told <= TOLD:
                    logger.warning("Record %s is replaced by another: %s", name, error)
                continue
            self.counts["cut"] += cut
            return name, encoded
        assert first is not None
        raise first

    def many(self, indices: Sequence[int], thorough: bool = False) -> list[tuple[str, Encoded]]:
        """The same of several records."""
        return [self(index, thorough) for index in indices]

    def _encoded(self, messages: Conversation, thorough: bool) -> tuple[Encoded, bool]:
        encoded = self.model.conversation.encode(messages)
        cut = self.model.conversation.cut(encoded, self.model.llm.context)
        if all(label == IGNORE for label in encoded.labels):
            raise DataError(
                "nothing in it is trained on: give a reply, within the model's context."
            )
        made = [slot for slot in encoded.signals if self.model.config.denoising]
        shown = [slot.part for slot in encoded.media]
        self.features.ready([*shown, *(slot.part for slot in made)])
        for slot in encoded.signals:
            self.features.given(slot.part)
        if thorough:
            if shown:
                self.features.media(shown)
            for slot in made:
                self.features.latents(slot.modality, [slot.part])
        return encoded, cut
