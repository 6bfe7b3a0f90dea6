"""Images, audio and videos as Python objects, and their way from and to files.

Knows: every file format the package reads and writes, and how to say in one sentence what is
wrong with a file. Leaves to others: what the encoder makes of it (`encoders.preprocess`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from nextgpt_lite.errors import MediaError
from nextgpt_lite.media.formats import is_cut_off, sniff

if TYPE_CHECKING:
    from PIL import Image

MAX_BYTES = 2 * 2**30  # a larger file is refused unread
MAX_PIXELS = 64_000_000  # a larger image is refused before it is decoded
MAX_SECONDS = 3600  # longer audio is cut, with a warning
MAX_VALUES = 2**28  # samples x channels, 1 GiB as float32; likewise cut
MAX_SIDE = 768  # a video's frames are scaled down to this longer side
KEYFRAMES_ABOVE = 300  # seconds from which only a video's key frames are decoded


@dataclass(frozen=True)
class Audio:
    """An audio clip: `samples` float32 in [-1, 1] of shape (channels, length), `rate` in Hz."""

    samples: np.ndarray
    rate: int

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.samples.shape[1] / self.rate

    def mono(self, rate: int) -> np.ndarray:
        """The mean of all channels at `rate` Hz: float32 of shape (length,)."""
        return resample(self.samples.mean(axis=0), self.rate, rate)


@dataclass(frozen=True)
class Video:
    """A video: `frames` uint8 of shape (T, H, W, 3), `fps` frames a second."""

    frames: np.ndarray
    fps: float

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.frames) / self.fps


Media: TypeAlias = "Image.Image | Audio | Video"


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Samples (..., length) from `rate` to `new_rate` Hz by a polyphase filter, as float32."""
    if rate == new_rate:
        return samples.astype(np.float32)
    from scipy.signal import resample_poly

    common = math.gcd(rate, new_rate)
    result = resample_poly(samples, new_rate // common, rate // common, axis=-1)
    return result.astype(np.float32)


def load_image(path: str | Path) -> Image.Image:
    """Reads an image as RGB: upright as its EXIF says, first frame, transparency over white."""
    from PIL import Image

    path = _checked(path, "image")
    with image_errors(path), Image.open(path) as file:
        return as_rgb(file)


@contextmanager
def image_errors(name: str | Path) -> Iterator[None]:
    """What Pillow says of an image that it cannot read, as one sentence with its name."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except Image.DecompressionBombError as error:
        limit = MAX_PIXELS // 1_000_000
        raise _error(name, f"has more than {limit} megapixels", "scale it down") from error
    except Exception as error:  # Pillow's plug-ins raise OSError, SyntaxError, EOFError, ...
        raise _error(name, "is damaged or cut off", "save or download it again") from error


def as_rgb(image: Image.Image) -> Image.Image:
    """Upright eight-bit RGB; 16-bit and float greys are scaled, transparency is over white."""
    from PIL import Image, ImageOps

    if image.width * image.height > MAX_PIXELS:
        raise Image.DecompressionBombError
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        grey = np.nan_to_num(np.asarray(image, dtype=np.float32))
        top = 65535 if image.mode.startswith("I") else max(float(grey.max()), 1e-6)
        return Image.fromarray(np.clip(grey / top * 255, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")


def load_audio(path: str | Path) -> Audio:
    """Reads an audio file, or the audio of a video; what exceeds an hour is cut with a warning."""
    import soundfile

    path = _checked(path, "audio", "video")
    try:
        with soundfile.SoundFile(path) as file:
            limit = min(MAX_SECONDS * file.samplerate, MAX_VALUES // file.channels)
            samples = file.read(min(file.frames, limit), dtype="float32", always_2d=True)
            expected, rate = min(file.frames, limit), file.samplerate
            too_long = file.frames > limit
    except soundfile.LibsndfileError:
        samples, rate, too_long = _decode_audio(path)
        expected = len(samples)
    if len(samples) < expected:
        raise _error(path, "is cut off", "save or download it again")
    if not len(samples):
        raise _error(path, "holds no audio (0 samples)", "record it again")
    if too_long:
        minutes = len(samples) / rate / 60
        warnings.warn(f"{path}: only its first {minutes:.0f} minutes are used", stacklevel=2)
    clean = np.clip(np.nan_to_num(samples), -1, 1).astype(np.float32)
    return Audio(np.ascontiguousarray(clean.T), rate)


def load_video(path: str | Path, max_frames: int = 128) -> Video:
    """Reads a video as at most `max_frames` evenly spaced frames, `fps` adapted.

    Frames are thinned out while decoding, so memory stays the same for a video of any length:
    whenever twice as many as wanted are held, every second one is dropped.
    """
    import av

    path = _checked(path, "video", "GIF")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise _error(path, "has no video track", "pass it as audio")
            seconds = container.duration / av.time_base if container.duration else 0.0
            keyframes = seconds > KEYFRAMES_ABOVE
            frames, times = _decode_video(container, max_frames, keyframes)
            if keyframes and len(frames) < 8:
                container.seek(0)
                frames, times = _decode_video(container, max_frames, False)
            rate = container.streams.video[0].average_rate
    except av.FFmpegError as error:
        raise _error(path, "is damaged or cut off", "save or download it again") from error
    if not frames:
        raise _error(path, "holds no frames", "save or download it again")
    span = times[-1] - times[0]
    fps = (len(frames) - 1) / span if span > 0 else float(rate or 1)
    return Video(np.stack(frames), fps)


def thinned(frames: np.ndarray, max_frames: int = 128) -> tuple[np.ndarray, int]:
    """Frames (T, H, W, 3) as `load_video` keeps them, and of how many it keeps one."""
    import av

    every = 1
    while -(-len(frames) // every) >= 2 * max_frames:
        every *= 2
    every *= -(-len(frames) // every // max_frames) or 1
    if every > 1:
        frames = frames[::every]
    height, width = frames.shape[1:3]
    if (scale := MAX_SIDE / max(height, width)) < 1:
        size = {"width": max(1, round(width * scale)), "height": max(1, round(height * scale))}
        pictures = map(av.VideoFrame.from_ndarray, frames)  # rgb24
        frames = np.stack([each.to_ndarray(format="rgb24", **size) for each in pictures])
    return frames, every


def load_array(path: str | Path) -> np.ndarray:
    """Reads numbers of any shape from an NPY file; pickles are refused."""
    path = _present(path)
    try:
        array: np.ndarray = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _error(path, "is damaged or no NPY file of numbers", "write it with numpy") from error
    if not isinstance(array, np.ndarray) or not np.issubdtype(array.dtype, np.number):
        raise _error(path, "holds no numbers", "write it with numpy.save")
    return array


def save_image(image: Image.Image, path: str | Path) -> None:
    """Writes a PNG."""
    image.save(_made(path), "PNG")


def save_audio(audio: Audio, path: str | Path) -> None:
    """Writes a 16-bit WAV."""
    import soundfile

    samples = np.clip(audio.samples, -1, 1).T
    soundfile.write(_made(path), samples, audio.rate, subtype="PCM_16", format="WAV")


def save_video(video: Video, path: str | Path) -> None:
    """Writes an MP4 every browser plays: H.264, yuv420p; odd sizes gain an edge row or column."""
    import av

    _, height, width, _ = video.frames.shape
    even = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
    frames = np.pad(video.frames, even, mode="edge")
    with av.open(str(_made(path)), "w", format="mp4") as container:
        # Without mbtree=0, x264 reads memory it never wrote when frames are so small, and the same
        # video now and then gives other bytes.
        stream: Any = container.add_stream(
            "libx264",
            rate=Fraction(video.fps).limit_denominator(1000),
            options={"crf": "15", "x264-params": "mbtree=0"},
        )
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for array in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
        container.mux(stream.encode())


def save_array(array: Any, path: str | Path) -> None:
    """Writes an NPY file."""
    with _made(path).open("wb") as file:  # numpy.save would add its own suffix to another
        np.save(file, np.asarray(array), allow_pickle=False)


def safe_path(folder: str | Path, name: str | Path) -> Path:
    """Where the media file `name` of a data file lies: always inside `folder`, else MediaError.

    Absolute names, "..", and links that lead out of the folder are refused.
    """
    folder, name = Path(folder), str(name)
    windows = PureWindowsPath(name)  # also splits at "/", so one look serves both kinds of names
    unsafe = (
        not name
        or "\0" in name
        or PurePosixPath(name).is_absolute()
        or bool(windows.anchor)
        or ".." in windows.parts
    )
    path = folder if unsafe else folder / name
    if unsafe or not path.resolve().is_relative_to(folder.resolve()):
        raise MediaError(
            f"{name!r} points outside its data folder {folder}: name a file inside that folder"
        )
    return path


def _error(path: str | Path, wrong: str, remedy: str) -> MediaError:
    return MediaError(f"{path} {wrong}: {remedy} or choose another file")


def _present(path: str | Path) -> Path:
    """The path of a file that can be read and is neither empty nor too large."""
    path = Path(path)
    try:
        is_there = path.exists()
    except (OSError, ValueError):  # longer than a name can be, or with a zero byte in it
        is_there, path = False, Path(f"{str(path)[:60]}...")
    if not is_there:
        raise _error(path, "does not exist", "correct the path")
    if path.is_dir():
        raise _error(path, "is a folder", "name a file inside it")
    try:
        with path.open("rb"):
            size = path.stat().st_size
    except OSError as error:
        raise _error(path, f"cannot be read ({error.strerror})", "check it") from error
    if size == 0:
        raise _error(path, "is empty (0 bytes)", "save or download it again")
    if size > MAX_BYTES:
        raise _error(path, f"is larger than {MAX_BYTES // 2**30} GiB", "cut it into pieces")
    return path


def _checked(path: str | Path, *accepted: str) -> Path:
    """The path, once it is known to be a whole file of an accepted modality or format."""
    path = _present(path)
    form = sniff(path)
    if form is None:
        raise _error(path, f"is no known {accepted[0]} format", "convert it to PNG, WAV or MP4")
    if form.modality not in accepted and form.name not in accepted:
        known = form.modality in ("image", "audio", "video")
        remedy = f"pass it as {form.modality}" if known else "unpack or convert it"
        raise _error(path, f"is really of type {form.name}, not {accepted[0]}", remedy)
    if is_cut_off(path, form):
        raise _error(path, "is cut off (shorter than its header says)", "save or download it again")
    return path


def _decode_audio(path: Path) -> tuple[np.ndarray, int, bool]:
    """The audio of a container that libsndfile does not read: samples (length, channels), rate."""
    import av

    pieces: list[np.ndarray] = []
    length, too_long = 0, False
    try:
        with av.open(str(path)) as container:
            if not container.streams.audio:
                raise _error(path, "has no audio track", "pass it as video")
            stream = container.streams.audio[0]
            rate, channels = stream.rate, stream.codec_context.channels
            limit = min(MAX_SECONDS * rate, MAX_VALUES // channels)
            resampler = av.AudioResampler("fltp", stream.layout, rate)
            for frame in container.decode(stream):
                pieces += [part.to_ndarray().T for part in resampler.resample(frame)]
                length += frame.samples
                if too_long := length > limit:
                    break
    except av.FFmpegError as error:
        raise _error(path, "is damaged or cut off", "save or download it again") from error
    samples = np.concatenate(pieces)[:limit] if pieces else np.zeros((0, 1), np.float32)
    return samples, rate, too_long


def _decode_video(
    container: Any, max_frames: int, keyframes: bool
) -> tuple[list[np.ndarray], list[float]]:
    """Evenly thinned frames (H, W, 3) and their times in seconds."""
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    stream.codec_context.skip_frame = "NONKEY" if keyframes else "DEFAULT"
    frames: list[np.ndarray] = []
    times: list[float] = []
    stride, size = 1, None
    for index, frame in enumerate(container.decode(stream)):
        if index % stride:
            continue
        if size is None:
            scale = min(1.0, MAX_SIDE / max(frame.width, frame.height))
            size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
        array = frame.to_ndarray(format="rgb24", width=size[0], height=size[1])
        frames.append(np.rot90(array, frame.rotation // 90))
        times.append(frame.time if frame.time is not None else float(index))
        if len(frames) == 2 * max_frames:
            frames, times, stride = frames[::2], times[::2], stride * 2
    step = -(-len(frames) // max_frames)
    return frames[::step], times[::step]


def _made(path: str | Path) -> Path:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return Path(path)
