"""No words, caption, path, name or message of anybody becomes an element of a page."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from PIL import Image

from nextgpt_lite.data.check import PAGE as CHECK_PAGE, check
from nextgpt_lite.display import parts_html, reply_bundle
from nextgpt_lite.evaluation.ratings.items import Item
from nextgpt_lite.evaluation.ratings.session import Session
from nextgpt_lite.notebook import exercises
from nextgpt_lite.notebook.chat import ChatWidget
from nextgpt_lite.notebook.inside import show_trace
from nextgpt_lite.notebook.inspection import InspectionWidget
from nextgpt_lite.notebook.rating import RatingWidget
from nextgpt_lite.training.samples_page import PAGE, SamplesPage

ELEMENTS = {
    "p", "b", "em", "small", "div", "img", "audio", "video", "br", "table", "tr", "td", "th",
    "h1", "h2", "meta", "title", "style", "code", "pre", "span", "section", "input",
}  # fmt: skip
PIECES = (
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onload='x", "<svg/onload=x>",
    "</td></table>", "<!--", "]]>", "&lt;b&gt;", "{0}", "{}", "javascript:x", "\u2028", "a/b", "#?",
    "</style><script>", "<a href=x>", "%22%3E",
)  # fmt: skip
TEXTS = ["".join(random.Random(n).choices(PIECES, k=1 + n % 4)) for n in range(40)]


class Elements(HTMLParser):
    """Collects what a browser would make of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        ours = tag == "input"  # the slider of a trace
        if tag not in ELEMENTS or any(name.startswith("on") and not ours for name, _ in attrs):
            self.wrong.append(self.get_starttag_text() or tag)
        if any(name == "src" and "javascript" in f"{value}"[:11] for name, value in attrs):
            self.wrong.append(f"{attrs}")

    def handle_data(self, data: str) -> None:
        self.words += data


def _reply(text: str, _: Path) -> str:
    part = {"type": "text", "text": text}
    image = {"type": "image", "data": Image.new("RGB", (4, 4))}
    return str(reply_bundle([part, image], 0, 0.0, [text])["text/html"])


def _unloaded(text: str, _: Path) -> str:
    return parts_html([{"type": "image", "path": text}, {"type": "audio", "caption": text}])


def _chat(text: str, folder: Path) -> str:
    widget = ChatWidget(SimpleNamespace(config=SimpleNamespace(signal_tokens={})))
    messages = [
        {"role": "user", "content": [{"type": "image", "path": text}]},
        {"role": text, "content": text},
    ]
    return str(widget.static(messages, folder, text).data["text/html"])


def _rating(text: str, folder: Path) -> str:
    part = [{"type": "text", "text": text}]
    session = Session([Item(text, text, text, part, {text: part, "b": part})], folder / "r", text)
    widget = RatingWidget(session)
    shown = [widget._asked.value, widget._question.value]
    shown += [child.value for card in widget._cards.children for child in card.children]
    return "".join([*shown, widget.static().data["text/html"]])


def _samples(text: str, folder: Path) -> str:
    place = folder / "samples" / "00000010" / "0"
    place.mkdir(parents=True)
    media = [{"modality": name, "path": text.replace("\0", "")} for name in ("image", "audio")]
    (place / "reply.json").write_text(json.dumps({"text": text, "media": media}))
    (folder / "samples" / ".DS_Store").write_bytes(b"")  # others' files are left alone
    page = SamplesPage(SimpleNamespace(), folder, 1, [text])._page()  # type: ignore[arg-type]
    assert PAGE.endswith(".html")
    return page


def _check(text: str, folder: Path) -> str:
    said = [{"from": "human", "value": text}, {"from": "gpt", "value": text}]
    (folder / "data.json").write_text(
        json.dumps([{"id": text, "kind": text, "conversation": said}])
    )
    check(folder, folder)
    return (folder / CHECK_PAGE).read_text()


def _inspection(text: str, folder: Path) -> str:
    said = [{"role": "user", "content": text}, {"role": "assistant", "content": text}]
    widget = object.__new__(InspectionWidget)
    record = SimpleNamespace(id=text, messages=said)
    widget.review = SimpleNamespace(record=record, folder=folder, done=0, records=[text])
    return str(widget.static().data["text/html"])


def _trace(text: str, folder: Path) -> str:
    origins = ("word", "word", "signal")
    rows = [SimpleNamespace(token=text, forward=n, origin=o) for n, o in enumerate(origins)]
    reply = SimpleNamespace(made=[])
    with patch("nextgpt_lite.notebook.inside.display") as shown:
        show_trace(SimpleNamespace(rows=rows, blocks=[], reply=reply))  # type: ignore[arg-type]
    return str(shown.call_args.args[0].data["text/html"])


def _verdict(text: str, folder: Path) -> str:
    def judged(answer: str) -> str:
        return answer

    judged.__name__ = text
    with patch("nextgpt_lite.notebook.exercises.display") as shown:
        exercises.check(judged, text)
    return str(shown.call_args.args[0].data["text/html"])


PAGES = [_reply, _unloaded, _chat, _rating, _samples, _check, _inspection, _trace, _verdict]


@pytest.mark.parametrize("page", PAGES)
def test_words_of_others_stay_words(page: Callable[[str, Path], Any], tmp_path: Path) -> None:
    for number, text in enumerate(TEXTS):
        (tmp_path / f"{number}").mkdir()
        html = page(text, tmp_path / f"{number}")
        reader = Elements()
        reader.feed(html)
        assert not reader.wrong, f"{text!r} became {reader.wrong}"
        assert page is _unloaded or text.strip()[:5] in reader.words
