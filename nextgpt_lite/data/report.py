"""What was left out or changed while data were read, and why.

Knows: counts by file, the first reasons in full. Leaves to others: what is wrong with an item.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path


class Report:
    """Every item counted, the first reasons kept.

    Attributes:
        read: items that are records.
        skipped: items, or whole files, that are none, by file.
        notes: what was done to items that were read, or must be known of them, with its count.
        reasons: the first of all that was skipped.
    """

    SHOWN = 10

    def __init__(self) -> None:
        self.read = 0
        self.skipped: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        self.reasons: list[str] = []

    def skip(self, path: Path, reason: str, count: int = 1) -> None:
        """Notes an item (or a whole file) that was left out."""
        self.skipped[str(path)] += count
        if len(self.reasons) < self.SHOWN:
            self.reasons.append(reason)

    def add(self, other: Report) -> None:
        """Takes in what was found elsewhere."""
        self.read += other.read
        self.skipped += other.skipped
        self.notes += other.notes
        self.reasons = [*self.reasons, *other.reasons][: self.SHOWN]

    def __str__(self) -> str:
        total = sum(self.skipped.values())
        notes = [f"{count} {what}" for what, count in self.notes.items() if count]
        if not total:
            return "\n".join([f"{self.read} items read, none skipped", *notes])
        files = ", ".join(f"{count} in {name}" for name, count in self.skipped.items())
        lines = [f"{self.read} items read, {total} skipped: {files}", *self.reasons]
        if total > len(self.reasons):
            lines.append(f"... and {total - len(self.reasons)} more")
        return "\n".join([*lines, *notes])
