"""The page of `nextgpt-lite demo`: a talk in the browser, on this machine only.

Knows: Gradio's chat page, and how its history becomes messages. Leaves to others: replies
(`chat`), media files (`media`).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nextgpt_lite.errors import MissingError, NextGPTError
from nextgpt_lite.messages import Message, Part
from nextgpt_lite.model.modality import MODALITIES, get_modality, modality_of
from nextgpt_lite.shipped import shipped

if TYPE_CHECKING:
    import gradio as gr

    from nextgpt_lite.chat import NextGPT

HOST = "127.0.0.1"
SAMPLES = Path("data_samples")
EXAMPLES = {  # words, and the modality of a file that ships, if one goes with them
    "Show me a large red car in the garden.": None,
    "I want to hear a dog and to see it move.": None,
    "What do you see?": "image",
    "What do you hear?": "audio",
    "What happens here?": "video",
}


def build(model: NextGPT, folder: Path) -> gr.ChatInterface:
    """The page, not served yet.

    Args:
        folder: where the media of replies are kept.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # nothing is told to anybody
    import gradio as gr

    def answer(
        asked: dict[str, Any], history: Sequence[Any], wanted: Sequence[str], seed: float
    ) -> Iterator[list[Any]]:
        place = Path(tempfile.mkdtemp(dir=folder))
        words = ""
        media: list[dict[str, Any]] = []
        try:
            files = [_medium(path) for path in asked["files"]]
            message: Message = {"role": "user", "content": [*files, _text(asked["text"])]}
            events = model.chat(
                [*messages_of(history), message],
                stream=True,
                seed=int(seed),
                output_modalities=list(wanted) or "auto",
            )
            for event in events:
                status = []
                if event.type == "text":
                    words += event.text
                elif event.type == "step":
                    step = f"{event.modality}: step {event.step} of {event.total}"
                    status = [_said("", metadata={"title": step})]
                elif event.type == "media":
                    row = get_modality(event.modality)
                    path = place / f"{row.name}_{len(media)}{row.suffix}"
                    row.save(event.media, path)
                    media.append(_said({"path": str(path)}))
                elif event.reply is not None:
                    for warning in event.reply.warnings:
                        gr.Warning(warning)
                yield [words, *media, *status]
        except NextGPTError as error:
            raise gr.Error(str(error)) from error

    wanted = gr.CheckboxGroup(
        [*MODALITIES], label="Media of the reply", info="None ticked: the model decides."
    )
    seed = gr.Number(0, label="Seed", precision=0, minimum=0)
    return gr.ChatInterface(
        answer,
        multimodal=True,
        textbox=gr.MultimodalTextbox(
            placeholder="Write something, or drop images, audio and videos here",
            file_count="multiple",
            stop_btn="Stop",
            file_types=[suffix for row in MODALITIES.values() for suffix in row.extensions],
        ),
        additional_inputs=[wanted, seed],
        additional_inputs_accordion="Options",
        examples=[[example, [], 0] for example in _examples()],
        cache_examples=False,
        title="NExT-GPT lite",
        api_visibility="private",
    )


def serve(page: gr.ChatInterface, folder: Path, port: int | None, **options: Any) -> str:
    """Serves the page to this machine alone and returns its address.

    Args:
        folder: as for `build`.
        port: None takes the first free one from 7860 on.
        options: of Gradio's `launch`.
    """
    import gradio as gr

    fonts: dict[str, Any] = {"font": ["system-ui", "sans-serif"], "font_mono": ["monospace"]}
    _, address, _ = page.launch(
        server_name=HOST,
        server_port=port,
        share=False,
        quiet=True,
        prevent_thread_lock=True,
        ssr_mode=False,
        theme=gr.themes.Default(**fonts),  # its own come from a server
        footer_links=[],
        allowed_paths=[str(folder)],
        **options,
    )
    return str(address)


def messages_of(history: Sequence[Any]) -> list[Message]:
    """What the page shows as messages; what it has as several of one speaker in a row is one."""
    found: list[Message] = []
    for role, turns in groupby(history, key=lambda turn: turn["role"]):
        parts: list[Part] = []
        for turn in turns:
            if (turn.get("metadata") or {}).get("title"):
                continue  # how far a decoder was
            content = turn["content"]
            for part in [content] if isinstance(content, str | dict) else content:
                if isinstance(part, str):
                    parts.append(_text(part))
                elif part.get("type") == "text":
                    parts.append(_text(part["text"]))
                else:
                    parts.append(_medium(part.get("file", part)["path"]))
        found.append({"role": role, "content": parts})
    return found


def _said(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def _text(words: str) -> Part:
    return {"type": "text", "text": words}


def _medium(path: str) -> Part:
    return {"type": modality_of(path), "path": path}


def _examples() -> Iterator[dict[str, Any]]:
    for words, modality in EXAMPLES.items():
        try:
            files = modality and sorted(shipped(SAMPLES / get_modality(modality).plural).iterdir())
        except MissingError:
            continue
        yield {"text": words, "files": [str(files[0])] if files else []}
