"""Videos from and to files: frames as a player shows them, at the times at which it does.

Knows: FFmpeg, animations that Pillow reads, display matrices, uneven times. Leaves to others: which
seconds of a video an encoder reads (`encoders.preprocess`).
"""

from __future__ import annotations

import weakref
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from nextgpt_lite.locks import Lock
from nextgpt_lite.media.files import checked, made, refused
from nextgpt_lite.media.formats import DEMUXERS, sniff
from nextgpt_lite.media.images import as_rgb, image_errors
from nextgpt_lite.media.types import Video

MAX_SIDE = 768  # frames are scaled down to this longer side
KEYFRAMES_ABOVE = 300  # seconds from which only key frames are decoded for the whole of a video
WHOLE_BELOW = 10  # seconds up to which a video is decoded as a whole at once
FEWEST = 8  # key frames that are enough for the whole

Shown = tuple[float, np.ndarray]  # seconds from the first frame, (H, W, 3)
ToBeShown = tuple[float, Callable[[], np.ndarray]]  # likewise, not yet made


class VideoFile(Video):
    """A long video that stays in its file: what is asked for is decoded, and no more."""

    path: Path
    seconds: float
    max_frames: int
    file: BinaryIO
    lock: Lock

    def __init__(self, path: Path, seconds: float, max_frames: int) -> None:
        file = path.open("rb")  # which outlives a temporary name
        weakref.finalize(self, file.close)
        self.__dict__.update(
            path=path, seconds=seconds, max_frames=max_frames, file=file, lock=Lock()
        )

    def __reduce__(self) -> Any:
        return VideoFile, (self.path, self.seconds, self.max_frames)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.seconds

    @cached_property
    def whole(self) -> Video:
        """At most `max_frames` evenly spaced frames of all of it."""
        only_keys = self.seconds > KEYFRAMES_ABOVE
        with self.lock:
            shown = self._shown(only_keys)
            if only_keys and len(shown) < FEWEST:
                shown = self._shown(False)
        return _evenly(self.path, shown, self.seconds, self.max_frames)

    def _shown(self, only_keys: bool) -> list[Shown]:
        with _opened(self.path, self.file) as container:
            return _thinned(_decoded(container, only_keys=only_keys), self.max_frames)

    @property
    def frames(self) -> np.ndarray:
        """uint8 of shape (T, H, W, 3), of all of it."""
        return self.whole.frames

    @property
    def fps(self) -> float:
        """Frames a second of `frames`."""
        return self.whole.fps

    def clip(self, start: float, seconds: float, count: int) -> np.ndarray:
        """Frames spread evenly from the first to the last of a clip: (count, H, W, 3)."""
        with self.lock, _opened(self.path, self.file) as container:
            shown: list[Shown] = []
            for time, make in _decoded(container, start):
                if shown and time >= start + seconds:
                    break
                shown.append((time, make()))
        if not shown:
            raise refused(self.path, "is damaged or cut off", "save or download it again")
        times = np.linspace(max(start, shown[0][0]), max(start, shown[-1][0]), count)
        return np.stack([_at(time, shown) for time in times])


def load_video(path: str | Path, max_frames: int = 128) -> Video:
    """Reads a video of any length; a long one stays in its file until frames are asked for.

    Frames are evenly spaced in time and at most `max_frames`, `fps` adapted; those of uneven times
    (telephones, screens) are shown for as long as a player shows them.
    """
    path = checked(path, "video", "GIF", "APNG", "WEBP", "AVIF")
    if (animated := _animation(path)) is not None:
        return _evenly(path, _thinned(animated, max_frames), 0.0, max_frames)
    with _opened(path) as container:
        seconds = container.duration / 1e6 if container.duration else 0.0
        if seconds > WHOLE_BELOW:
            return VideoFile(path, seconds, max_frames)
        shown = _thinned(_decoded(container), max_frames)
        rate = container.streams.video[0].average_rate
    return _evenly(path, shown, seconds, max_frames, float(rate or 1))


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


def save_video(video: Video, path: str | Path) -> None:
    """Writes an MP4 every browser plays: H.264, yuv420p; odd sizes gain an edge row or column."""
    import av

    _, height, width, _ = video.frames.shape
    even = ((0, 0), (0, height % 2), (0, width % 2), (0, 0))
    frames = np.pad(video.frames, even, mode="edge")
    with av.open(str(made(path)), "w", format="mp4") as container:
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


@contextmanager
def _opened(path: Path, file: BinaryIO | None = None) -> Iterator[Any]:
    """The container in a file, which has a video track; what FFmpeg says is a sentence."""
    import av

    try:
        if file is not None:
            file.seek(0)
        with av.open(file or str(path), options=DEMUXERS) as container:
            if not container.streams.video:
                raise refused(path, "has no video track", "pass it as audio")
            if container.streams.video[0].codec_context is None:
                raise refused(path, "has a codec that is not known here", "convert it to MP4")
            yield container
    except av.FFmpegError as error:
        raise refused(path, "is damaged or cut off", "save or download it again") from error


def _decoded(container: Any, start: float = 0.0, only_keys: bool = False) -> Iterator[ToBeShown]:
    """The frames of a container from the one that is shown at `start` on."""
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    stream.codec_context.skip_frame = "NONKEY" if only_keys else "DEFAULT"
    begin = float((stream.start_time or 0) * stream.time_base)
    rate = float(stream.average_rate or 1)
    if start > 0:  # a second early: not every container knows its key frames
        container.seek(int((begin + max(0.0, start - 1)) / stream.time_base), stream=stream)
    size = None
    before: ToBeShown | None = None
    for index, frame in enumerate(container.decode(stream)):
        if size is None:
            scale = min(1.0, MAX_SIDE / max(frame.width, frame.height))
            size = max(1, round(frame.width * scale)), max(1, round(frame.height * scale))
        time = index / rate if frame.time is None else frame.time - begin
        if time > start and before is not None:
            yield before
        before = time, partial(_pixels, frame, size)
        if time > start:
            yield before
            before = None
    if before is not None:
        yield before


def _pixels(frame: Any, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3) of a frame, turned and mirrored as its display matrix says."""
    array = frame.to_ndarray(format="rgb24", width=size[0], height=size[1])
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return np.asarray(array)
    across, from_x, _, from_y, down, *_ = np.frombuffer(matrix, np.int32).tolist()
    if across == down == 0:  # x and y change places
        array, across, down = array.transpose(1, 0, 2), from_y, from_x
    array = array[:, ::-1] if across < 0 else array
    return array[::-1] if down < 0 else array


def _animation(path: Path) -> Iterator[ToBeShown] | None:
    """The frames of an animated WebP, PNG or AVIF, which FFmpeg cannot read; None of others."""
    form = sniff(path)
    if form is None or form.modality != "image" or form.name == "GIF":
        return None
    from PIL import Image

    image: Any = Image.open(path)
    if getattr(image, "n_frames", 1) == 1:
        raise refused(path, f"is a still {form.name}", "pass it as image")

    def frames() -> Iterator[ToBeShown]:
        time = 0.0
        with image_errors(path), image:
            for index in range(image.n_frames):
                image.seek(index)
                image.load()
                yield time, lambda: thinned(np.asarray(as_rgb(image))[None])[0][0]
                time += (image.info.get("duration") or 100) / 1000

    return frames()


def _thinned(frames: Iterable[ToBeShown], max_frames: int) -> list[Shown]:
    """At most `max_frames` of them.

    They are thinned out as they come, so that memory stays the same for a video of any length:
    whenever twice as many as wanted are held, every second one is dropped.
    """
    shown: list[Shown] = []
    stride = 1
    for index, (time, make) in enumerate(frames):
        if index % stride:
            continue
        shown.append((time, make()))
        if len(shown) == 2 * max_frames:
            shown, stride = shown[::2], stride * 2
    return shown[:: -(-len(shown) // max_frames) or 1]


def _evenly(
    path: Path, shown: list[Shown], seconds: float, max_frames: int, rate: float = 1.0
) -> Video:
    """The video of frames at any times: where they are uneven, what is shown at even ones."""
    if not shown:
        raise refused(path, "holds no frames", "save or download it again")
    times = np.array([time for time, _ in shown])
    gaps = np.diff(times)
    if not (gaps > 0).any():
        return Video(np.stack([frame for _, frame in shown]), rate)
    mean = float(times[-1] - times[0]) / len(gaps)
    if (abs(times - times[0] - mean * np.arange(len(times))) < mean / 2).all():
        return Video(np.stack([frame for _, frame in shown]), 1 / mean)
    shortest = float(gaps[gaps > 0].min())
    end = max(seconds, times[-1] + shortest)
    count = min(max_frames, round(end / shortest))
    frames = [_at(index * end / count, shown) for index in range(count)]
    return Video(np.stack(frames), count / end)


def _at(time: float, shown: list[Shown]) -> np.ndarray:
    """The frame that a player shows at a time, or soonest after it."""
    place = bisect_right(shown, time + 1e-6, key=lambda each: each[0])
    return shown[max(0, place - 1)][1]
