"""A person's look at what was built: accept, reject or edit, one after the other.

Paper section 5.2: "human inspections and filtering of inappropriate instances". Knows: what was
decided, and what an edited text may hold. Leaves to others: showing it (`notebook.inspection`),
files (`kept`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nextgpt_lite.data import tidy
from nextgpt_lite.data.builders import script
from nextgpt_lite.data.builders.kept import REVIEW, Built, Decision, records_of, settings_of, write
from nextgpt_lite.data.records import Record
from nextgpt_lite.errors import DataError
from nextgpt_lite.messages import Part, parts_of
from nextgpt_lite.writing import Journal


class Review:
    """The records of a folder of a builder, and what was decided on each.

    The data file is written anew after each rejection and each edit.

    Raises:
        MissingError: no builder has written into the folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        settings_of(self.folder)
        self.records = {record.id: record for record in records_of(self.folder)}
        self.journal = Journal(self.folder / REVIEW, Decision)

    @property
    def record(self) -> Record | None:
        """The one to be decided on now; None when all are."""
        done = {said.id for said in self.journal.entries}
        return next((each for name, each in self.records.items() if name not in done), None)

    @property
    def done(self) -> int:
        """How many are decided on."""
        return len({said.id for said in self.journal.entries} & {*self.records})

    def decide(self, accepted: bool) -> None:
        """Accepts the record, or rejects it."""
        self._add(accepted)

    def edit(self, text: str) -> None:
        """Accepts the record as a person wrote it, in the form of `script`.

        Raises:
            DataError: user and assistant do not take turns, or a medium is none of the record's.
        """
        record = self._record()
        own = {script.mark(part): part for m in record.messages for part in _media(m)}
        turns = script.read(text)
        for turn in turns:
            turn["content"] = [_known(part, own) for part in parts_of(turn)]
        tidy.check_turns(turns)
        self._add(True, Record("", turns, record.kind).to_dict()["messages"])

    def undo(self) -> None:
        """Takes the latest decision back."""
        self.journal.undo()
        self.write()

    def write(self) -> Built:
        """Writes the data file anew."""
        return write(self.folder)

    def _record(self) -> Record:
        if self.record is None:
            raise DataError("All is decided: there is nothing left to look at.")
        return self.record

    def _add(self, accepted: bool, messages: list[dict[str, Any]] | None = None) -> None:
        record = self._record()
        self.journal.look_again()
        if self.record is not record:
            raise DataError("This was decided in another window: go on with the next one.")
        self.journal.add(Decision(record.id, accepted, messages or []))
        if messages or not accepted:
            self.write()


def _media(message: Any) -> list[Part]:
    return [part for part in parts_of(message) if part["type"] != "text"]


def _known(part: Part, own: Mapping[str, Part]) -> Part:
    if part["type"] == "text":
        return part
    if script.mark(part) not in own:
        raise DataError(
            f"{script.mark(part)} is none of this dialogue's media: move or delete them only."
        )
    return own[script.mark(part)]
