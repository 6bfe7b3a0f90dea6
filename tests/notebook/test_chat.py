"""The chat of a notebook: its turns, and what is pressed in it."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from nextgpt_lite.display import MIME, WIDGET_VIEW
from nextgpt_lite.media import save_image
from nextgpt_lite.notebook.chat import ChatWidget
from nextgpt_lite.reply import Event, Reply

PICTURE = Image.new("RGB", (16, 16), "red")


class FakeModel:
    """Repeats the user's words, draws a picture, fails when asked to, and works for ever."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.seen: list[str] = []

    def chat(self, messages: Any, **options: Any) -> Iterator[Event]:
        self.calls.append((messages, options))
        words = messages[-1]["content"][-1]["text"]
        if words == "fail":
            raise ValueError("no such luck")
        yield Event("text", text=words[:3])
        yield Event("text", text=words[3:])
        while words == "long":
            yield Event("step", modality="image", step=1, total=20)
            time.sleep(0.01)
        yield Event("step", modality="image", step=4, total=20, media=PICTURE)
        self.seen.append(chat_of[self].widget.live)
        yield Event("media", modality="image", media=PICTURE)
        parts = [{"type": "text", "text": words}, {"type": "image", "data": PICTURE}]
        yield Event("done", reply=Reply(parts=parts, warnings=["odd"] if words == "odd" else []))


chat_of: dict[Any, ChatWidget] = {}


@pytest.fixture
def chat() -> ChatWidget:
    model = FakeModel()
    chat_of[model] = ChatWidget(model, seed=7)  # type: ignore[arg-type]
    return chat_of[model]


def press(chat: ChatWidget, kind: str, *files: tuple[str, bytes], **said: Any) -> None:
    """What the page sends; waits for what comes of it."""
    message = {"kind": kind, "seed": chat.widget.seed, "wanted": None, "text": "", **said}
    message["names"] = [name for name, _ in files]
    chat._on_message(None, message, [content for _, content in files])


def wait(chat: ChatWidget) -> None:
    end = time.monotonic() + 60
    while chat.widget.busy and time.monotonic() < end:
        time.sleep(0.01)
    assert not chat.widget.busy


def test_it_keeps_the_conversation(chat: ChatWidget, tmp_path: Path) -> None:
    save_image(PICTURE, tmp_path / "a.png")
    chat.send("what is this?", [tmp_path / "a.png"])
    page = chat.send("and now?").data["text/html"]
    assert [m["role"] for m in chat.messages] == ["user", "assistant"] * 2
    (_, options), (messages, _) = chat._model.calls
    assert len(messages) == 3
    assert page.count("<img") == 3
    assert (options["seed"], options["output_modalities"]) == (7, "auto")
    assert options["previews"] and all("<img" in live for live in chat._model.seen)
    assert chat.widget.live == "" and chat.widget.past.count("<img") == 3


def test_it_goes_on_after_a_bad_file_and_a_failing_model(chat: ChatWidget, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    assert "notes.txt is no image" in chat.send("look", [tmp_path / "notes.txt"]).data[MIME]["note"]
    assert chat.send("fail").data[MIME]["note"] == "no such luck"
    assert chat.messages == []
    assert chat.send("hello").data[MIME] == {"kind": "chat", "turns": 2, "note": ""}
    assert chat.send("odd").data[MIME]["note"] == "Warning: odd"


def test_what_is_pressed_is_done(chat: ChatWidget) -> None:
    buffer = io.BytesIO()
    PICTURE.save(buffer, "PNG")
    press(chat, "send", ("../../evil.png", buffer.getvalue()), text="hello", wanted=["audio"])
    wait(chat)
    assert chat._model.calls[0][1]["output_modalities"] == ["audio"]
    kept = [path for path in Path(chat._folder.name).rglob("*") if path.is_file()]
    assert [path.name for path in kept] == ["evil.png"]
    press(chat, "retry")
    wait(chat)
    (first, before), (again, options) = chat._model.calls
    assert first == again and (before["seed"], options["seed"]) == (7, 8)
    assert len(chat.messages) == 2
    press(chat, "send", text="long")
    while not chat.widget.status:
        time.sleep(0.01)
    press(chat, "clear")  # not while it works
    press(chat, "stop")
    wait(chat)
    assert "stopped" in chat.widget.status and len(chat.messages) == 2
    press(chat, "clear")
    assert chat.messages == [] and chat.widget.past == ""
    press(chat, "retry")
    wait(chat)
    assert "nothing to answer" in chat.widget.status


def test_a_transcript_shows_where_no_widgets_run(chat: ChatWidget, tmp_path: Path) -> None:
    save_image(PICTURE, tmp_path / "a.png")
    messages: Any = [
        {"role": "user", "content": [{"type": "image", "path": "a.png"}]},
        {"role": "assistant", "content": "a <b>car</b>"},
        {"role": "user", "content": [{"type": "audio", "path": "missing.wav"}]},
    ]
    data = chat.static(messages, folder=tmp_path).data
    assert data["text/html"].count("<img") == 1
    assert "a &lt;b&gt;car&lt;/b&gt;" in data["text/html"]
    assert "&lt;audio: missing.wav&gt;" in data["text/html"]
    live = chat._repr_mimebundle_()
    assert "text/html" in live
    assert live[WIDGET_VIEW]["model_id"] == chat.widget.model_id
