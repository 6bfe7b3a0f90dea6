"""How images, audio clips, videos and replies show themselves in a notebook.

Every object becomes one MIME bundle: HTML or PNG for the reader, plain text for a terminal, and
a small JSON description under `MIME` for tests, which thus read the very object the reader sees.
Knows: browsers' formats and how to keep them small. Leaves to others: figures with axes (`plots`).
"""

from __future__ import annotations

import html
import io
from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from PIL import Image

from nextgpt_lite.media import Audio, Media, Video
from nextgpt_lite.messages import Part
from nextgpt_lite.model.modality import get_modality

__all__ = ["MIME", "Bundle", "media_bundle", "media_html", "parts_html", "reply_bundle"]

MIME = "application/vnd.nextgpt-lite+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
SHOWN_SIDE = 192  # pixels on the page of an image's or video's longer side


@dataclass(frozen=True)
class Bundle:
    """Something ready to be shown: `data` maps MIME types to what each of them shows."""

    data: dict[str, Any]

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The data, and the plain text as the alternative of a picture, for those who see none."""
        alt = {"alt": str(self.data["text/plain"]).strip("<>")}
        return self.data, {"image/png": alt} if "image/png" in self.data else {}

    def __repr__(self) -> str:
        return str(self.data["text/plain"])


def media_bundle(media: Media) -> Bundle:
    """One image as PNG, one audio clip as a player, one video as an animation."""
    data: dict[str, Any] = {"text/plain": describe(media), MIME: facts(media)}
    if isinstance(media, Image.Image):
        data["image/png"] = b64encode(png(upscale(media))).decode()
    else:
        data["text/html"] = media_html(media)
    return Bundle(data)


def reply_bundle(
    parts: Sequence[Part], signal_tokens: int, seconds: float, warnings: Sequence[str] = ()
) -> dict[str, Any]:
    """A reply as MIME types to contents: its words and media in their order, then warnings."""
    plain = [p["text"] if p["type"] == "text" else part_text(p) for p in parts]
    return {
        "text/plain": "\n".join([*plain, *(f"Warning: {each}" for each in warnings)]),
        "text/html": parts_html(parts) + _warnings_html(warnings),
        MIME: {
            "kind": "reply",
            "text": " ".join(part["text"] for part in parts if part["type"] == "text"),
            "media": [facts(part["data"]) for part in parts if part["type"] != "text"],
            "signal_tokens": signal_tokens,
            **({"warnings": [*warnings]} if warnings else {}),
            "seconds": round(seconds, 3),
        },
    }


def _warnings_html(warnings: Iterable[str]) -> str:
    """Warnings of a reply as a piece of HTML."""
    return "".join(f"<p><small>Warning: {html.escape(each)}</small></p>" for each in warnings)


def parts_html(parts: Iterable[Part]) -> str:
    """The parts of one message as a piece of HTML; text is escaped."""
    pieces = []
    for part in parts:
        if part["type"] == "text":
            if part["text"].strip():
                pieces.append(f"<p>{html.escape(part['text'].strip())}</p>")
        elif part.get("data") is not None:
            shown = get_modality(part["type"]).html(part["data"])
            pieces.append(f"<div>{shown}</div>")
        else:
            pieces.append(f"<p><em>{html.escape(part_text(part))}</em></p>")
    return "\n".join(pieces)


def media_html(media: Media | np.ndarray) -> str:
    """One HTML element that shows or plays `media`, its bytes included; of an array, a map."""
    label = html.escape(describe(media), quote=True)
    if isinstance(media, np.ndarray):
        if media.ndim != 2:
            return f"<code>{label}</code>"
        media = _as_grey(media)
    if isinstance(media, Audio):
        kind, data = _sound_file(media)
        style = "max-width:100%"  # of a narrow column: players have a width of their own
        source = _data_uri(kind, data)
        return f'<audio controls title="{label}" style="{style}" src="{source}"></audio>'
    if isinstance(media, Video):
        height, width = media.frames.shape[1:3]
        uri = _data_uri("image/webp", webp(media))
    else:
        width, height = media.size
        uri = _data_uri("image/png", png(media))
    scale = SHOWN_SIDE / max(width, height)
    style = f"width:{round(width * scale)}px;image-rendering:pixelated"
    return f'<img alt="{label}" title="{label}" style="{style}" src="{uri}">'


def describe(media: Media | np.ndarray) -> str:
    """The text fallback, for instance `<audio, 2.0 s, 16000 Hz>`."""
    if isinstance(media, np.ndarray):
        return f"<array, {' x '.join(map(str, media.shape))}>"
    if isinstance(media, Audio):
        return f"<audio, {media.duration:.1f} s, {media.rate} Hz>"
    if isinstance(media, Video):
        count, height, width, _ = media.frames.shape
        return f"<video, {count} frames, {width} x {height}, {media.duration:.1f} s>"
    return f"<image, {media.width} x {media.height}>"


def part_text(part: Part) -> str:
    """A media part as text: what it is, or where it lies when it is not loaded."""
    if part.get("data") is not None:
        return describe(part["data"])
    where = part.get("path") or part.get("caption") or "no data"
    return f"<{part['type']}: {where}>"


def facts(media: Media | np.ndarray) -> dict[str, Any]:
    """What a test may want to know of a shown medium, as plain JSON."""
    if isinstance(media, np.ndarray):
        return {"kind": "array", "shape": list(media.shape)}
    if isinstance(media, Audio):
        loudness = float(np.sqrt(np.mean(np.square(media.samples, dtype=np.float64))))
        return {
            "kind": "audio",
            "seconds": round(media.duration, 3),
            "rate": media.rate,
            "loudness": round(loudness, 5),
        }
    if isinstance(media, Video):
        count, height, width, _ = media.frames.shape
        return {"kind": "video", "frames": count, "width": width, "height": height}
    return {"kind": "image", "width": media.width, "height": media.height}


def upscale(image: Image.Image) -> Image.Image:
    """The image enlarged by whole pixels (nearest neighbour) to about SHOWN_SIDE."""
    factor = SHOWN_SIDE // max(image.size)
    if factor > 1:
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    if factor == 0:
        image = image.copy()
        image.thumbnail((2 * SHOWN_SIDE, 2 * SHOWN_SIDE))
    return image


def png(image: Image.Image) -> bytes:
    """The image as PNG, first scaled down to twice SHOWN_SIDE where it is larger."""
    if max(image.size) > 2 * SHOWN_SIDE:
        image = image.copy()
        image.thumbnail((2 * SHOWN_SIDE, 2 * SHOWN_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def webp(video: Video) -> bytes:
    """The video as an endless animated WebP; every browser shows one in an <img>."""
    frames = [Image.fromarray(frame) for frame in video.frames]
    for frame in frames:
        frame.thumbnail((SHOWN_SIDE, SHOWN_SIDE))
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=round(1000 / video.fps),
        loop=0,
        quality=90,
    )
    return buffer.getvalue()


def register() -> None:
    """Lets audio and videos show themselves as the last line of a cell."""
    from IPython.core.getipython import get_ipython

    shell = get_ipython()
    if shell is None or shell.display_formatter is None:
        return
    formatter = cast("Any", shell.display_formatter).mimebundle_formatter
    for media_class in (Audio, Video):
        formatter.for_type(media_class, lambda media: media_bundle(media).data)


def _as_grey(array: np.ndarray) -> Image.Image:
    """Numbers (H, W) from black, the least, to white, the most."""
    least, most = np.nanmin(array), np.nanmax(array)
    grey = (array - least) / (most - least) if most > least else np.zeros_like(array, np.float32)
    return Image.fromarray((255 * np.nan_to_num(grey)).astype(np.uint8))


def _sound_file(audio: Audio) -> tuple[str, bytes]:
    """A mono MP3, a sixth of the WAV's size; WAV for a rate that MP3 does not know."""
    import soundfile

    samples = np.clip(audio.samples.mean(axis=0), -1, 1)
    buffer = io.BytesIO()
    try:
        soundfile.write(buffer, samples, audio.rate, format="MP3", compression_level=0.3)
    except soundfile.LibsndfileError:
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, audio.rate, format="WAV", subtype="PCM_16")
        return "audio/wav", buffer.getvalue()
    return "audio/mpeg", buffer.getvalue()


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{b64encode(data).decode()}"
