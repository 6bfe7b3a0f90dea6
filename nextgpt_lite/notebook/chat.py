"""A chat in a notebook cell: text, attachments, what to answer in, seed; streamed reply.

Where no kernel or no widget front end runs (a page, a viewer, a test) the same conversation
shows as plain HTML. Knows: turns, and how to stop one. Leaves to others: what a reader sees and
presses (`chat.js`), the reply itself (`model.chat`), what media look like (`display`), reading
files (`media`).
"""

from __future__ import annotations

import html
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets

from nextgpt_lite.display import MIME, WIDGET_VIEW, Bundle, part_text, parts_html
from nextgpt_lite.errors import ConfigError, RunError, extra
from nextgpt_lite.media import MediaError
from nextgpt_lite.media.formats import sniff
from nextgpt_lite.messages import Conversation, Message, Part
from nextgpt_lite.model.modality import MODALITIES, get_modality

with extra("notebooks"):
    import anywidget

if TYPE_CHECKING:
    from nextgpt_lite.chat import NextGPT
    from nextgpt_lite.reply import Reply

USER = "background:#eef3fb;margin:6px 0 6px 15%"
ASSISTANT = "background:#f5f5f0;margin:6px 15% 6px 0"
BOX = "padding:4px 12px;border-radius:8px;color:#111"
PREVIEWS = 4  # steps of a decoder from one sight of what forms to the next
EXAMPLES = (
    "Show me a large red car in the garden.",
    "I want to hear a dog and to see it move.",
    "I have seven apples and eat two. Draw the rest.",
)


class Front(anywidget.AnyWidget):
    """What is shown and pressed; `chat.js` says how."""

    _esm = Path(__file__).with_name("chat.js")
    _css = Path(__file__).with_name("chat.css")
    past = traitlets.Unicode().tag(sync=True)  # HTML of the conversation
    live = traitlets.Unicode().tag(sync=True)  # HTML of the reply that grows
    status = traitlets.Unicode().tag(sync=True)
    busy = traitlets.Bool().tag(sync=True)
    seed = traitlets.Int().tag(sync=True)
    accept = traitlets.Unicode().tag(sync=True)  # extensions of files
    modalities = traitlets.List(traitlets.Unicode()).tag(sync=True)
    examples = traitlets.List(traitlets.Unicode()).tag(sync=True)


class ChatWidget:
    """A conversation with `model`; show it as the last line of a cell, or call `send`.

    Attributes:
        messages: the conversation so far.
        wanted: "auto", or the media that the next reply must hold; none means text only.
    """

    def __init__(self, model: NextGPT, seed: int = 0, examples: Sequence[str] = EXAMPLES) -> None:
        self.messages: list[Message] = []
        self.wanted: str | list[str] = "auto"
        self._model = model
        self._stopped = threading.Event()
        self._folder = tempfile.TemporaryDirectory(prefix="nextgpt-lite-chat-")
        self.widget = Front(
            seed=seed,
            accept=",".join(suffix for row in MODALITIES.values() for suffix in row.extensions),
            modalities=[*MODALITIES],
            examples=[*examples],
        )
        self.widget.on_msg(self._on_message)

    def send(self, text: str, files: Iterable[str | Path] = ()) -> Bundle:
        """Takes one turn and returns the conversation so far, ready to be shown.

        A file that cannot be read, or a failing model, leaves one sentence in the status line
        and the conversation as it was.
        """
        return self._turn(lambda: [*self.messages, _user_message(text, files)])

    def retry(self) -> Bundle:
        """Has the last message answered again, by the seed that is set now."""
        return self._turn(lambda: self.messages[:-1])

    def stop(self) -> None:
        """Ends the reply that is being made; the conversation is then as it was before."""
        self._stopped.set()

    def clear(self) -> None:
        """Forgets the conversation."""
        self.messages = []
        self.widget.past = self.widget.live = self.widget.status = ""

    def _turn(self, told: Callable[[], list[Message]]) -> Bundle:
        front = self.widget
        front.busy, front.status = True, ""
        self._stopped.clear()
        try:
            messages = told()
            front.past = _transcript(messages)
            reply = self._stream(messages)
        except Exception as error:  # a traceback inside a widget's callback would be lost
            front.status = str(error) or type(error).__name__
        else:
            self.messages = [*messages, reply.message]
            front.status = " ".join(f"Warning: {each}" for each in reply.warnings)
            front.send({"kind": "taken"})
        front.live, front.past, front.busy = "", _transcript(self.messages), False
        return self.static(self.messages, note=front.status)

    def static(
        self, messages: Sequence[Message], folder: str | Path = ".", note: str = ""
    ) -> Bundle:
        """The conversation `messages` as plain HTML; media paths are relative to `folder`."""
        loaded: list[Message] = [
            {**message, "content": [_loaded(part, Path(folder)) for part in _parts(message)]}
            for message in messages
        ]
        text = [f"{message['role']}: {_plain(_parts(message))}" for message in loaded]
        page = _transcript(loaded)
        if note:
            text.append(note)
            page += f"<p><em>{html.escape(note)}</em></p>"
        return Bundle(
            {
                "text/plain": "\n".join(text),
                "text/html": page,
                MIME: {"kind": "chat", "turns": len(loaded), "note": note},
            }
        )

    def _repr_mimebundle_(self, **formats: Any) -> dict[str, Any]:
        """The live widget for a front end that has widgets, the transcript for all others."""
        return {WIDGET_VIEW: self.widget.get_view_spec(), **self.static(self.messages).data}

    def _stream(self, messages: Conversation) -> Reply:
        """Shows the reply as it grows and returns it whole."""
        if not messages:
            raise ConfigError("nothing to answer again: write something first")
        parts: list[Part] = []
        events = self._model.chat(
            messages,
            stream=True,
            seed=self.widget.seed,
            output_modalities=self.wanted,
            previews=PREVIEWS,
        )
        for event in events:
            if self._stopped.is_set():
                events.close()  # type: ignore[attr-defined]  # of a generator
                raise RunError("stopped: the conversation is as it was before")
            if event.reply is not None:
                return event.reply
            forming: list[Part] = []
            if event.type == "step":
                self.widget.status = f"{event.modality}: step {event.step} of {event.total}"
                if event.media is None:
                    continue
                forming = [{"type": event.modality, "data": event.media}]
            elif event.type == "media":
                parts.append({"type": event.modality, "data": event.media})
            elif parts and parts[-1]["type"] == "text":
                parts[-1]["text"] += event.text
            else:
                parts.append({"type": "text", "text": event.text})
            self.widget.live = _box("assistant", [*parts, *forming])
        raise RunError("the model stopped without finishing its reply: send it again")

    def _on_message(self, _: Any, said: Mapping[str, Any], files: Sequence[bytes]) -> None:
        """Does what was pressed. Replies are made aside, so that a kernel can hear of a stop."""
        kind = said["kind"]
        if kind == "stop":
            self.stop()
        if kind not in ("send", "retry", "clear") or self.widget.busy:
            return
        if kind == "clear":
            self.clear()
            return
        again = kind == "retry"  # by the same seed the reply would be the same
        self.widget.busy, self.widget.seed = True, int(said["seed"]) + again
        self.wanted = "auto" if said["wanted"] is None else said["wanted"]
        work: Callable[[], Bundle] = self.retry
        if not again:
            work = partial(self.send, said["text"], self._kept(said["names"], files))
        threading.Thread(target=work, daemon=True).start()

    def _kept(self, names: Sequence[str], contents: Sequence[bytes]) -> list[Path]:
        """The attached files on disk, each in a folder of its own under its bare name."""
        paths = []
        for name, content in zip(names, contents, strict=True):
            folder = Path(tempfile.mkdtemp(dir=self._folder.name))
            path = folder / (Path(name.replace("\\", "/")).name or "upload")
            path.write_bytes(content)
            paths.append(path)
        return paths


def _user_message(text: str, files: Iterable[str | Path]) -> Message:
    """Media first, then the text, all read now so that a bad file is named at once."""
    content: list[Part] = []
    for file in files:
        path = Path(file)
        form = sniff(path) if path.is_file() else None
        if form is None or form.modality not in MODALITIES:
            raise MediaError(f"{path.name} is no image, audio or video: attach PNG, WAV or MP4")
        content.append({"type": form.modality, "data": get_modality(form.modality).load(path)})
    if text.strip():
        content.append({"type": "text", "text": text.strip()})
    if not content:
        raise ConfigError("nothing to send: write something or attach a file")
    return {"role": "user", "content": content}


def _parts(message: Message) -> list[Part]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _loaded(part: Part, folder: Path) -> Part:
    """The part with its media read, where it names a readable file."""
    if part["type"] == "text" or part.get("data") is not None or "path" not in part:
        return part
    try:
        return {**part, "data": get_modality(part["type"]).load(folder / part["path"])}
    except MediaError:
        return part


def _transcript(messages: Sequence[Message]) -> str:
    return "\n".join(_box(message["role"], _parts(message)) for message in messages)


def _box(role: str, parts: Sequence[Part]) -> str:
    style = USER if role == "user" else ASSISTANT
    return f'<div style="{BOX};{style}">{parts_html(parts)}</div>'


def _plain(parts: Sequence[Part]) -> str:
    return " ".join(p["text"] if p["type"] == "text" else part_text(p) for p in parts)
