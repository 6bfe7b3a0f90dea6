"""A chat in a notebook cell: text, uploads, which modalities to answer in, seed; streamed reply.

Where no kernel or no widget front end runs (a page, a viewer, a test) the same conversation
shows as plain HTML. Knows: widgets and turns. Leaves to others: the reply itself (`model.chat`),
what media look like (`display`), reading files (`media`).
"""

from __future__ import annotations

import html
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipywidgets as widgets

from nextgpt_lite.display import MIME, WIDGET_VIEW, Bundle, part_text, parts_html
from nextgpt_lite.errors import ConfigError, RunError
from nextgpt_lite.media import MediaError
from nextgpt_lite.media.formats import sniff
from nextgpt_lite.messages import Conversation, Message, Part
from nextgpt_lite.model.modality import MODALITIES, get_modality

if TYPE_CHECKING:
    from nextgpt_lite.chat import NextGPT
    from nextgpt_lite.reply import Reply

USER = "background:#eef3fb;margin:6px 0 6px 15%"
ASSISTANT = "background:#f5f5f0;margin:6px 15% 6px 0"
BOX = "padding:4px 12px;border-radius:8px;color:#111"


class ChatWidget:
    """A conversation with `model`; show it as the last line of a cell, or call `send`."""

    def __init__(self, model: NextGPT, seed: int = 0) -> None:
        self.messages: list[Message] = []
        self._model = model
        self._folder = tempfile.TemporaryDirectory(prefix="nextgpt-lite-chat-")
        self._history = widgets.HTML()
        self._live = widgets.HTML()
        self._status = widgets.Label("the first reply takes a little longer")
        self._text = widgets.Textarea(
            placeholder="say something, or ask for an image, audio, a video",
            layout=widgets.Layout(width="auto", height="60px"),  # 100 % and margins overflow
        )
        extensions = [suffix for row in MODALITIES.values() for suffix in row.extensions]
        self._upload = widgets.FileUpload(
            accept=",".join(extensions), multiple=True, description="Attach"
        )
        self._auto = widgets.Checkbox(
            True,
            description="model chooses what to answer in",
            indent=False,
            layout=widgets.Layout(width="auto"),
        )
        self._wanted = {
            name: widgets.ToggleButton(
                False, description=name, disabled=True, layout=widgets.Layout(width="80px")
            )
            for name in MODALITIES
        }
        self._seed = widgets.BoundedIntText(seed, min=0, max=2**31 - 1, description="seed")
        self._button = widgets.Button(description="Send", button_style="primary")
        self._button.on_click(lambda _: self._on_send())
        self._auto.observe(self._on_auto, "value")
        self.widget = widgets.VBox(
            [
                self._history,
                self._live,
                self._text,
                widgets.HBox([self._button, self._upload, self._seed]),
                widgets.HBox([self._auto, *self._wanted.values()]),
                self._status,
            ]
        )

    @property
    def output_modalities(self) -> str | list[str]:
        """ "auto", or the media that the next reply must hold; none means text only."""
        if self._auto.value:
            return "auto"
        return [name for name, toggle in self._wanted.items() if toggle.value]

    def send(self, text: str, files: Iterable[str | Path] = ()) -> Bundle:
        """Takes one turn and returns the conversation so far, ready to be shown.

        A file that cannot be read, or a failing model, leaves one sentence in the status line
        and the conversation as it was.
        """
        try:
            message = _user_message(text, files)
            self._show([*self.messages, message])
            reply = self._stream([*self.messages, message])
        except MediaError as error:
            self._upload.value = ()  # nobody could take the wrong file off by hand
            self._status.value = str(error)
        except Exception as error:  # a traceback inside a widget's callback would be lost
            self._status.value = str(error) or type(error).__name__
        else:
            self.messages += [message, reply.message]
            self._status.value = " ".join(reply.warnings)
        self._live.value = ""
        self._show(self.messages)
        return self.static(self.messages, note=self._status.value)

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
        parts: list[Part] = []
        events = self._model.chat(
            messages,
            stream=True,
            seed=self._seed.value,
            output_modalities=self.output_modalities,
        )
        for event in events:
            if event.type == "step":
                self._status.value = f"{event.modality}: step {event.step} of {event.total}"
                continue
            if event.reply is not None:
                return event.reply
            if event.type == "media":
                parts.append({"type": event.modality, "data": event.media})
            elif parts and parts[-1]["type"] == "text":
                parts[-1]["text"] += event.text
            else:
                parts.append({"type": "text", "text": event.text})
            self._live.value = _box("assistant", parts)
        raise RunError("the model stopped without finishing its reply: send it again")

    def _show(self, messages: Sequence[Message]) -> None:
        self._history.value = _transcript(messages)

    def _on_send(self) -> None:
        self._button.disabled = True
        try:
            self.send(self._text.value, self._save_uploads())
            if not self._status.value:
                self._text.value = ""
                self._upload.value = ()
        finally:
            self._button.disabled = False

    def _on_auto(self, change: Mapping[str, Any]) -> None:
        for toggle in self._wanted.values():
            toggle.disabled = change["new"]

    def _save_uploads(self) -> list[Path]:
        """The uploaded files on disk, each in a folder of its own under its bare name."""
        paths = []
        for upload in self._upload.value:
            folder = Path(tempfile.mkdtemp(dir=self._folder.name))
            path = folder / (Path(upload["name"].replace("\\", "/")).name or "upload")
            path.write_bytes(upload["content"])
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
