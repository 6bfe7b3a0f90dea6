"""Blind judgement in a notebook cell: answers side by side, keys or buttons, nothing is lost.

    session = Session(read_items("items"), "ratings/ada.jsonl", rater="ada")
    RatingWidget(session)

Keys go into the line below the answers, which has the focus: a digit gives points to the framed
answer (0 is ten) and moves on to the next, a letter chooses the best, "-" takes the latest back.
Where no widget front end runs, the item in hand shows as plain HTML.
Knows: widgets and keys. Leaves to others: orders, files, tables (`evaluation.ratings`).
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any

import ipywidgets as widgets

from nextgpt_lite.evaluation.ratings.items import LETTERS, Item
from nextgpt_lite.evaluation.ratings.session import MOST, QUESTIONS, Mode, Session
from nextgpt_lite.notebook.display import MIME, Bundle, parts_html

FRAME = "border:3px solid {};border-radius:8px;padding:4px 8px;margin:3px;min-width:140px"
HELP = {
    "points": "keys: 1 to 9, 0 for ten; - takes back",
    "best": "keys: {}; - takes back",
}


class RatingWidget:
    """Judges the items of `session`; show it as the last line of a cell."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._points: list[int] = []
        self._shown = widgets.HTML()
        self._buttons = widgets.HBox()
        self._keys = widgets.Text(
            placeholder="type here", layout=widgets.Layout(width="120px"), continuous_update=True
        )
        self._keys.observe(self._on_keys, "value")
        self._status = widgets.Label()
        self.widget = widgets.VBox([self._shown, self._buttons, self._keys, self._status])
        self._refresh()

    def press(self, key: str) -> None:
        """What one key does; others than those of the help line do nothing."""
        note = ""
        try:
            self._act(key.upper())
        except (OSError, ValueError) as error:  # a traceback inside a callback would be lost
            note = str(error)
        self._refresh(note)

    def _act(self, key: str) -> None:
        if key == "-":
            if self._points:
                self._points.pop()
            else:
                self.session.undo()
            return
        if self.session.task is None:
            return
        count = len(self.session.task[0].answers)
        if self.session.mode == "best":
            if key in LETTERS[:count]:
                self.session.judge([int(key == letter) for letter in LETTERS[:count]])
        elif key.isdigit():
            self._points.append(int(key) or MOST)
            if len(self._points) == count:
                points, self._points = self._points, []
                self.session.judge(points)

    def _on_keys(self, change: Mapping[str, Any]) -> None:
        if change["new"]:
            self._keys.value = ""
            for key in change["new"]:
                self.press(key)

    def _refresh(self, note: str = "") -> None:
        self._shown.value = self._page()
        self._buttons.children = [self._button(key) for key in self._choices()]
        total = len(self.session.tasks)
        self._status.value = note or f"{self.session.done} of {total} judged; {self._help()}"
        self._keys.focus()

    def _button(self, key: str) -> widgets.Button:
        text = str(MOST) if key == "0" else key
        button = widgets.Button(description=text, layout=widgets.Layout(width="44px"))
        button.on_click(lambda _: self.press(key))
        return button

    def _choices(self) -> list[str]:
        if self.session.task is None:
            return ["-"]
        count = len(self.session.task[0].answers)
        keys = [*"1234567890"] if self.session.mode == "points" else [*LETTERS[:count]]
        return [*keys, "-"]

    def _help(self) -> str:
        choices = ", ".join(key for key in self._choices() if key != "-")
        return HELP[self.session.mode].format(choices)

    def _page(self) -> str:
        if self.session.task is None:
            return "<p>All is judged. Thank you!</p>"
        item, aspect = self.session.task
        return rating_html(
            item, self.session.order(item), aspect, self.session.mode, tuple(self._points)
        )

    def static(self) -> Bundle:
        """The item in hand as plain HTML, for a page, a viewer or a test."""
        note = f"{self.session.done} of {len(self.session.tasks)} judged"
        task = self.session.task
        return Bundle(
            {
                "text/plain": f"<rating by {self.session.rater}: {note}>",
                "text/html": f"{self._page()}<p><em>{note}; {html.escape(self._help())}</em></p>",
                MIME: {
                    "kind": "rating",
                    "mode": self.session.mode,
                    "answers": 0 if task is None else len(task[0].answers),
                    "done": self.session.done,
                },
            }
        )

    def _repr_mimebundle_(self, **formats: Any) -> dict[str, Any]:
        """The live widget for a front end that has widgets, the page for all others."""
        live = self.widget._repr_mimebundle_(**formats) or {}
        return {**live, **self.static().data}


def rating_html(
    item: Item,
    order: tuple[str, ...],
    aspect: str,
    mode: Mode = "points",
    points: tuple[int, ...] = (),
) -> str:
    """One item as its rater sees it: the wish, the question, the answers without their names.

    Args:
        order: the systems from the left.
        points: given so far; the next answer in line is framed.
    """
    cells = []
    for index, name in enumerate(order):
        turn = mode == "points" and index == len(points)
        mark = f"{LETTERS[index]}: {points[index]}" if index < len(points) else LETTERS[index]
        frame = FRAME.format("#2b6cb0" if turn else "#ddd")
        answer = parts_html(item.answers[name])
        cells.append(f'<div style="{frame}"><b>{mark}</b>{answer}</div>')
    wish = "1 (not at all) to 10 (fully)" if mode == "points" else "choose the best"
    return (
        f'<div style="color:#111;background:#fff;padding:6px">{parts_html(item.asked)}'
        f"<p><b>{html.escape(QUESTIONS[aspect])}</b> {wish}</p>"
        f'<div style="display:flex;flex-wrap:wrap">{"".join(cells)}</div></div>'
    )
