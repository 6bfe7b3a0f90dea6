"""A look at built data in a notebook cell: accept, reject or edit each record, by keys or buttons.

    InspectionWidget("my_mosit")     # the --output of `nextgpt-lite data build`

Keys go into the box: "a" accepts, "r" rejects, "e" opens the text, "-" or backspace takes the
latest decision back. Each is written at once, so that a session goes on. Nothing listens.
Knows: widgets and keys. Leaves to others: decisions and files (`data.builders.review`).
"""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from nextgpt_lite.data.builders import Review, script
from nextgpt_lite.data.sources import medium
from nextgpt_lite.display import MIME, WIDGET_VIEW, Bundle, parts_html
from nextgpt_lite.messages import Part, parts_of
from nextgpt_lite.notebook.keys import key_box

KEYS = {"a": "accept", "r": "reject", "e": "edit", "-": "take back"}


class InspectionWidget:
    """Shows the records of a folder that `nextgpt-lite data build` has written.

    Raises:
        MissingError: the folder is none.
    """

    def __init__(self, folder: str | Path) -> None:
        self.review = Review(folder)
        self._shown = widgets.HTML()
        self._status = widgets.Label()
        self._keys = key_box(self.press)
        self._buttons = [widgets.Button(description=f"{word} ({k})") for k, word in KEYS.items()]
        for key, button in zip(KEYS, self._buttons, strict=True):
            button.on_click(lambda _, key=key: self._on_button(key))
        self._text = widgets.Textarea(layout=widgets.Layout(width="100%", height="20em"))
        save, leave = (
            widgets.Button(description="save"),
            widgets.Button(description="leave as it is"),
        )
        save.on_click(lambda _: self.save())
        leave.on_click(lambda _: self._refresh())
        self._editor = widgets.VBox([self._text, widgets.HBox([save, leave])])
        self.widget = widgets.VBox(
            [widgets.HBox([self._keys, *self._buttons]), self._status, self._editor, self._shown]
        )
        self._refresh()

    def press(self, key: str) -> None:
        """What one key does; others than those of `KEYS` do nothing."""
        record = self.review.record
        if key == "e" and record is not None:
            self._text.value = script.written(record.messages)
            self._editor.layout.display = ""
            return
        try:
            if key == "-":
                self.review.undo()
            elif key in ("a", "r") and record is not None:
                self.review.decide(key == "a")
        except (OSError, ValueError) as error:  # a traceback inside a callback would be lost
            self._refresh(str(error))
        else:
            self._refresh()

    def save(self) -> None:
        """Accepts the record as it stands in the editor, which stays open if that cannot be."""
        try:
            self.review.edit(self._text.value)
        except (OSError, ValueError) as error:
            self._status.value = str(error)
        else:
            self._refresh()

    def _on_button(self, key: str) -> None:
        self.press(key)
        if key != "e":
            self._keys.focus()

    def _refresh(self, note: str = "") -> None:
        self._editor.layout.display = "none"
        self._shown.value = self._page()
        self._status.value = note or self._progress()

    def _progress(self) -> str:
        return f"{self.review.done} of {len(self.review.records)} decided"

    def _page(self) -> str:
        """The record in hand, its media in it."""
        record = self.review.record
        if record is None:
            return "<p>All is decided. Thank you!</p>"
        turns = [f"<p><em>{html.escape(record.id)}</em></p>"]
        for message in record.messages:
            parts = [self._opened(part) for part in parts_of(message)]
            turns.append(f"<b>{script.SPEAKERS[message['role']]}</b>{parts_html(parts)}")
        return f'<div style="color:#111;background:#fff;padding:6px">{"".join(turns)}</div>'

    def _opened(self, part: Part) -> Part:
        return {**part, "data": medium(part, self.review.folder)} if "path" in part else part

    def static(self) -> Bundle:
        """The record in hand as plain HTML, for a page, a viewer or a test."""
        note = html.escape(f"{self._progress()}; keys: {', '.join(map(': '.join, KEYS.items()))}")
        return Bundle(
            {
                "text/plain": f"<inspection of {self.review.folder}: {self._progress()}>",
                "text/html": f"{self._page()}<p><em>{note}</em></p>",
                MIME: {"kind": "inspection", "done": self.review.done},
            }
        )

    def _repr_mimebundle_(self, **formats: Any) -> dict[str, Any]:
        """The live widget for a front end that has widgets, the page for all others."""
        return {WIDGET_VIEW: self.widget.get_view_spec(), **self.static().data}
