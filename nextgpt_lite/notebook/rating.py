"""Blind judgement in a notebook cell: answers side by side, keys or buttons, nothing is lost.

    session = Session(read_items("items"), "ratings/ada.jsonl", rater="ada")
    RatingWidget(session)

Keys go into the box before the buttons: a digit gives points to the framed answer (0 is ten) and
moves on to the next, a letter chooses the best, "-" or backspace takes the latest back.
Where no widget front end runs, the item in hand shows as plain HTML.
Knows: what each key does. Leaves to others: the box (`keys`), orders, files, tables
(`evaluation.ratings`).
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import Any

import ipywidgets as widgets

from nextgpt_lite.display import MIME, WIDGET_VIEW, Bundle, parts_html
from nextgpt_lite.evaluation.ratings.items import LETTERS, Item
from nextgpt_lite.evaluation.ratings.session import MOST, QUESTIONS, Mode, Session
from nextgpt_lite.notebook.keys import key_box

BORDER = "3px solid {}"
TURN, PLAIN = "#2b6cb0", "#ddd"
FRAME = "border:{};flex:1 1 200px;max-width:330px;padding:4px 8px;margin:3px"
CARD = {"flex": "1 1 200px", "max_width": "330px", "padding": "4px 8px", "margin": "3px"}
HELP = {
    "points": "keys: 1 to 9, 0 for ten; - takes back",
    "best": "keys: {}; - takes back",
}


class RatingWidget:
    """Judges the items of `session`; show it as the last line of a cell."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._points: list[int] = []
        self._item: Item | None = None
        self._asked = widgets.HTML()
        self._question = widgets.HTML()
        self._buttons = widgets.HBox()
        self._keys = key_box(self.press)
        self._status = widgets.Label()
        self._cards = widgets.HBox(layout=widgets.Layout(flex_flow="row wrap"))
        controls = widgets.HBox(
            [self._keys, self._buttons], layout=widgets.Layout(flex_flow="row wrap")
        )
        self.widget = widgets.VBox(
            [self._asked, self._question, controls, self._status, self._cards]
        )
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
        elif key in [*"1234567890"]:
            self._points.append(int(key) or MOST)
            if len(self._points) == count:
                points, self._points = self._points, []
                self.session.judge(points)

    def _on_button(self, key: str) -> None:
        self.press(key)
        self._keys.focus()  # on a button, a digit would be JupyterLab's key for a heading

    def _refresh(self, note: str = "") -> None:
        task = self.session.task
        item = None if task is None else task[0]
        if item is not self._item or item is None:
            self._show_item(item)
        self._question.value = self._question_html()
        for index, card in enumerate(self._cards.children):
            card.children[0].value = f"<b>{_mark(index, self._points)}</b>"
            card.layout.border = BORDER.format(TURN if self._turn(index) else PLAIN)
        self._status.value = note or f"{self._help()} · {self._progress()}"

    def _show_item(self, item: Item | None) -> None:
        """Puts up an item's media once for its three questions: what plays goes on playing."""
        self._item = item
        self._asked.value = "" if item is None else parts_html(item.asked)
        answers: list[Any] = []
        if item is not None:
            answers = [item.answers[name] for name in self.session.order(item)]
        self._cards.children = [
            widgets.VBox(
                [widgets.HTML(), widgets.HTML(parts_html(answer))],
                layout=widgets.Layout(**CARD),
            )
            for answer in answers
        ]
        self._buttons.children = [self._button(key) for key in self._choices()]

    def _button(self, key: str) -> widgets.Button:
        text = str(MOST) if key == "0" else key
        button = widgets.Button(description=text, layout=widgets.Layout(width="44px"))
        button.on_click(lambda _: self._on_button(key))
        return button

    def _turn(self, index: int) -> bool:
        return self.session.mode == "points" and index == len(self._points)

    def _choices(self) -> list[str]:
        if self.session.task is None:
            return ["-"]
        count = len(self.session.task[0].answers)
        keys = [*"1234567890"] if self.session.mode == "points" else [*LETTERS[:count]]
        return [*keys, "-"]

    def _help(self) -> str:
        choices = ", ".join(key for key in self._choices() if key != "-")
        return HELP[self.session.mode].format(choices)

    def _progress(self) -> str:
        """Where the rater stands, for instance `instruction 2 of 40, question 1 of 3`."""
        if self.session.task is None:
            return f"{self.session.done} of {len(self.session.tasks)} judged"
        item, aspect = self.session.task
        at, question = divmod(self.session.tasks.index((item.id, aspect)), len(QUESTIONS))
        return (
            f"instruction {at + 1} of {len(self.session.items)}, "
            f"question {question + 1} of {len(QUESTIONS)}"
        )

    def _question_html(self) -> str:
        if self.session.task is None:
            return "<p>All is judged. Thank you!</p>"
        return _question(self.session.task[1], self.session.mode)

    def static(self) -> Bundle:
        """The item in hand as plain HTML, for a page, a viewer or a test."""
        note = f"{self.session.done} of {len(self.session.tasks)} judged"
        task = self.session.task
        page = self._question_html()
        if task is not None:
            order = self.session.order(task[0])
            page = rating_html(task[0], order, task[1], self.session.mode, tuple(self._points))
        return Bundle(
            {
                "text/plain": f"<rating by {self.session.rater}: {note}>",
                "text/html": f"{page}<p><em>{note}; {html.escape(self._help())}</em></p>",
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
        return {WIDGET_VIEW: self.widget.get_view_spec(), **self.static().data}


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
        frame = FRAME.format(BORDER.format(TURN if turn else PLAIN))
        answer = parts_html(item.answers[name])
        cells.append(f'<div style="{frame}"><b>{_mark(index, points)}</b>{answer}</div>')
    return (
        f'<div style="color:#111;background:#fff;padding:6px">{parts_html(item.asked)}'
        f'{_question(aspect, mode)}<div style="display:flex;flex-wrap:wrap">{"".join(cells)}</div>'
        "</div>"
    )


def _question(aspect: str, mode: Mode) -> str:
    wish = "1 (not at all) to 10 (fully)" if mode == "points" else "choose the best"
    return f"<p><b>{html.escape(QUESTIONS[aspect])}</b> {wish}</p>"


def _mark(index: int, points: Sequence[int]) -> str:
    return f"{LETTERS[index]}: {points[index]}" if index < len(points) else LETTERS[index]
