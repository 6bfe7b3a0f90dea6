"""Figures of the notebooks: images, audio clips, videos, losses; each at most 60 KiB as shown.

They have no ground of their own and lie on light and on dark pages; figures with axes are at least
900 pixels wide. Knows: how to draw small and legible. Leaves to others: players and replies
(`display`), size and colours of text (`start`).
Every `show_...` and `plot_...` function displays at once and returns nothing.
"""

from __future__ import annotations

import io
import math
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from IPython.display import display
from PIL import Image

from nextgpt_lite.display import MIME, Bundle, facts, media_bundle
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.media import Audio, Video
from nextgpt_lite.media.sheet import contact_sheet as contact_sheet
from nextgpt_lite.reading import read_lines

if TYPE_CHECKING:
    from IPython.display import DisplayHandle
    from matplotlib.figure import Figure

MAX_BYTES = 60 * 1024
WIDE = 920  # pixels of a figure with axes
TILE, TEXT = 192, 16  # pixels of an image in a sheet, and of the words below it
NOT_LOSSES = {
    "step", "epoch", "stage", "lr", "learning_rate", "samples", "time", "seconds",
    "samples_per_second", "tokens_per_second", "seconds_left", "peak_memory",
    "data_share", "replaced", "cut",
}  # fmt: skip


def show_images(
    images: Sequence[Image.Image],
    titles: Sequence[str] | None = None,
    columns: int | None = None,
    tile: int = TILE,
) -> None:
    """Shows the images in rows of at most `columns` (by default up to six), titles below."""
    sheet = contact_sheet(images, titles, columns, tile, TEXT, clear=True)
    said = f": {'; '.join(titles)}" if titles else ""
    _show_image(sheet, f"<{len(images)} images{said}>", [facts(image) for image in images])


def show_video(video: Video, title: str = "", frames: int = 8) -> None:
    """Shows the video as a film strip of at most `frames` frames, and below it moving."""
    count = len(video.frames)
    chosen = np.linspace(0, count - 1, min(frames, count)).round().astype(int)
    pictures = [Image.fromarray(video.frames[index]) for index in chosen]
    times = [f"{index / video.fps:.2f} s" for index in chosen]
    times[0] = f"{title} {times[0]}".strip()
    sheet = contact_sheet(pictures, times, len(pictures), 112, TEXT, clear=True)
    _show_image(sheet, f"<film strip of {len(pictures)} frames>", [facts(video)])
    display(media_bundle(video))


def show_audio(audio: Audio, title: str = "") -> None:
    """Shows waveform and log spectrogram of the audio, and below them its player."""
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from scipy.signal import spectrogram

    samples = audio.samples.mean(axis=0)  # (length,)
    window = min(512, len(samples))
    hertz, seconds, power = spectrogram(
        samples, audio.rate, nperseg=window, noverlap=window * 3 // 4
    )
    decibels = 10 * np.log10(power + 1e-10)
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    wave, spectrum = figure.subplots(2, 1, sharex=True, height_ratios=(1, 2))
    wave.plot(np.arange(len(samples)) / audio.rate, samples, linewidth=0.4)
    wave.set(ylim=(-1, 1), ylabel="amplitude", title=title)
    top = decibels.max()
    spectrum.pcolormesh(
        seconds,
        hertz / 1000,
        decibels,
        vmin=top - 60,
        vmax=top,
        cmap=colormaps["magma"].resampled(24),
    )
    spectrum.set(xlabel="seconds", ylabel="kHz")
    _show_figure(figure, f"<waveform and spectrogram of {audio.duration:.1f} s>", [facts(audio)])
    display(media_bundle(audio))


def plot_losses(
    metrics: Sequence[Mapping[str, Any]] | str | Path,
    parts: Sequence[str] | None = None,
    title: str = "",
) -> None:
    """Plots every named part of the loss over the steps, thin as measured and thick smoothed.

    Args:
        metrics: one mapping a step with "step" and the named parts, or a metrics.jsonl file.
        parts: names to plot; by default every number that is no bookkeeping.
    """
    where = ""
    if isinstance(metrics, str | Path):
        where, metrics = f"{metrics}: ", read_lines(Path(metrics), dict[str, float])
    if not metrics:
        raise ConfigError(f"{where}no metrics to plot: train for at least one step first")
    names = list(parts) if parts is not None else _numeric_names(metrics)
    _show_figure(_curves(metrics, names, title), f"<losses: {', '.join(names)}>", [])


class LivePlot:
    """`plot_losses` that grows while a run goes on: a watcher for `Trainer`.

    Args:
        parts: names to plot.
        title: of the figure.
        seconds: between two drawings; the last line of a run is always drawn.
    """

    def __init__(self, parts: Sequence[str], title: str = "", seconds: float = 2.0) -> None:
        self.parts, self.title, self.seconds = list(parts), title, seconds
        self.lines: list[Mapping[str, Any]] = []
        self._drawn = -math.inf
        self._place: DisplayHandle | None = None

    def __call__(self, line: Mapping[str, Any]) -> None:
        """Takes one line of metrics."""
        self.lines.append(line)
        if time.monotonic() - self._drawn < self.seconds and line.get("seconds_left", 1) > 0:
            return
        self._drawn = time.monotonic()
        picture = _picture(_curves(self.lines, self.parts, self.title))
        bundle = _bundle(picture, f"<losses: {', '.join(self.parts)}>", [])
        if self._place is None:
            self._place = display(bundle, display_id=True)
        else:
            self._place.update(bundle)


def _curves(metrics: Sequence[Mapping[str, Any]], names: Sequence[str], title: str) -> Figure:
    """One curve for each name, thin as measured and thick smoothed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    for name in names:
        rows = [(row.get("step", i), row[name]) for i, row in enumerate(metrics) if name in row]
        if not rows:  # it comes later
            continue
        steps, values = np.array(rows, dtype=float).T
        (line,) = axes.plot(steps, _smooth(values), linewidth=2, label=name)
        axes.plot(steps, values, "-", color=line.get_color(), linewidth=0.6, alpha=0.5)
    axes.set(xlabel="step", ylabel="loss", title=title)
    axes.grid(alpha=0.25)
    axes.legend()
    return figure


def show_figure(figure: Figure, text: str = "<figure>") -> None:
    """Shows any matplotlib figure; `text` stands for it where images cannot be shown."""
    _show_figure(figure, text, [])


def _smooth(values: np.ndarray) -> np.ndarray:
    """Moving mean over a tenth of the run, shorter at both ends."""
    width = max(1, len(values) // 10)
    kernel = np.ones(width)
    total = np.convolve(values, kernel, "same")
    return total / np.convolve(np.ones(len(values)), kernel, "same")


def _numeric_names(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    return [
        name
        for name, value in {k: v for row in metrics for k, v in row.items()}.items()
        if isinstance(value, int | float) and name not in NOT_LOSSES
    ]


def _show_figure(figure: Figure, text: str, shown: list[dict[str, Any]]) -> None:
    _show_image(_picture(figure), text, shown)


def _picture(figure: Figure) -> Image.Image:
    buffer = io.BytesIO()
    dpi = max(figure.dpi, WIDE / figure.get_figwidth())
    figure.savefig(buffer, format="png", dpi=dpi, transparent=True)
    return Image.open(buffer).convert("RGBA")


def _show_image(image: Image.Image, text: str, shown: list[dict[str, Any]]) -> None:
    display(_bundle(image, text, shown))


def _bundle(image: Image.Image, text: str, shown: list[dict[str, Any]]) -> Bundle:
    return Bundle(
        {
            "text/plain": text,
            "image/png": b64encode(_small_png(image)).decode(),
            MIME: {"kind": "plot", "media": shown},
        }
    )


def _small_png(image: Image.Image) -> bytes:
    """A palette PNG with fewer colours, then fewer pixels, until it fits into MAX_BYTES."""
    while True:
        for colours in (256, 128, 64, 32):
            buffer = io.BytesIO()
            _with_palette(image, colours).save(buffer, "PNG", optimize=True)
            if buffer.tell() <= MAX_BYTES:
                return buffer.getvalue()
        image = image.resize((image.width * 3 // 4, image.height * 3 // 4))


def _with_palette(image: Image.Image, colours: int) -> Image.Image:
    """The image (RGBA) in so many colours: a quarter for soft edges, the others for what is solid.

    Pillow's only palette with transparency is a rough one, and would spoil pictures.
    """
    alpha = image.getchannel("A")
    solid = image.convert("RGB").quantize(colours * 3 // 4, dither=Image.Dither.NONE)
    soft = image.copy()
    soft.putalpha(alpha.point(lambda value: value % 255))
    soft = soft.quantize(colours // 4, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    first, second = (each.getpalette("RGBA") or [] for each in (solid, soft))
    edges = np.asarray(soft) + len(first) // 4
    places = np.where(np.asarray(alpha) == 255, np.asarray(solid), edges)
    found = Image.fromarray(places.astype(np.uint8), "P")
    found.putpalette(bytes([*first, *second]), "RGBA")
    return found
