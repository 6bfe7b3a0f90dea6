"""Videos as players show them: frames at their times, upright, and no more decoded than is used."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nextgpt_lite.encoders import PreprocessConfig
from nextgpt_lite.encoders.preprocess import preprocess_video
from nextgpt_lite.media import MediaError, Video, load_video, save_video, take, videos

STEP = 12  # levels of grey from a frame to the next


def encoded(
    path: Path, times: Sequence[float], codec: str = "libx264", side: int = 16, **options: str
) -> Path:
    """A file whose frames, ever brighter, are shown from these times on."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"bf": "0", **options})
        if codec == "libx264":  # the others take frames of even times only
            stream.codec_context.time_base = Fraction(1, 1000)
        stream.width = stream.height = side
        stream.pix_fmt = "yuv420p"
        for index, time in enumerate(times):
            grey = np.full((side, side, 3), index * STEP % 250, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.time_base, frame.pts = Fraction(1, 1000), round(1000 * time)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def numbers(frames: np.ndarray) -> list[int]:
    """Which frames these are, of the first twenty."""
    return [round(float(frame.mean()) / STEP) for frame in frames]


def test_frames_of_uneven_times_are_shown_as_long_as_a_player_shows_them(tmp_path: Path) -> None:
    times = [0, 0.25, 0.5, 0.75, 1.0, 3.0, 5.0, 7.0]
    video = load_video(encoded(tmp_path / "uneven.mp4", times))
    assert video.fps == pytest.approx(4)
    shown = [0, 1, 2, 3, *[4] * 8, *[5] * 8, *[6] * 8, 7]
    assert numbers(video.frames) == shown
    assert numbers(video.clip(0, 2, 2)) == [0, 4]
    assert len(load_video(tmp_path / "uneven.mp4", max_frames=10).frames) <= 10


def test_times_that_only_tremble_leave_the_frames_as_they_are(tmp_path: Path) -> None:
    times = [index / 10 + (0.008 if index % 3 else 0) for index in range(12)]
    video = load_video(encoded(tmp_path / "telephone.mp4", times))
    assert numbers(video.frames) == [*range(12)]
    assert video.fps == pytest.approx(10, rel=0.02)


@pytest.mark.parametrize("name", ["long.mp4", "long.mkv"])
def test_of_a_long_video_only_the_seconds_that_are_used_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    times = [index / 5 for index in range(100)]
    path = encoded(tmp_path / name, times, g="20", sc_threshold="0")
    seen: list[object] = []
    pixels = videos._pixels
    monkeypatch.setattr(videos, "_pixels", lambda *args: seen.append(args) or pixels(*args))
    video = load_video(path)
    assert video.duration == pytest.approx(20, abs=0.3) and not seen
    assert numbers(video.clip(0, 2, 2)) == [0, 9]
    assert numbers(video.clip(1.0, 2, 3)) == [5, 9, 14]
    assert len(seen) <= 22
    brightness = [index * STEP % 250 for index in range(100)]
    for start in (7.1, 13.0, 17.9):
        first, last = (float(frame.mean()) for frame in video.clip(start, 2, 2))
        end = min(99, int((start + 2) * 5 - 1e-6))
        assert [first, last] == pytest.approx([brightness[int(start * 5)], brightness[end]], abs=3)
    inputs = preprocess_video(video, PreprocessConfig(image_size=32, clips=5, crops=1))
    assert inputs.shape == (5, 3, 2, 32, 32)
    assert len(seen) < 120
    assert len(video.frames) == 100 and video.fps == pytest.approx(5, rel=0.02)


def test_a_long_video_survives_its_name_and_a_pickle(tmp_path: Path) -> None:
    path = encoded(tmp_path / "long.mp4", [index / 5 for index in range(100)])
    again = pickle.loads(pickle.dumps(load_video(path)))
    held = take(path.read_bytes(), load_video, lambda given: given)
    assert np.array_equal(again.clip(3, 2, 2), held.clip(3, 2, 2))


def test_threads_that_read_one_video_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, opened = threading.Lock(), videos._opened

    @contextmanager
    def alone_in_it(*args: Any) -> Iterator[Any]:
        assert inside.acquire(blocking=False)
        with opened(*args) as container:
            yield container
        inside.release()

    monkeypatch.setattr(videos, "_opened", alone_in_it)
    path = encoded(tmp_path / "long.mp4", [index / 5 for index in range(100)])
    video, starts = load_video(path), [index % 9 * 2.0 for index in range(36)]
    alone = [video.clip(start, 2, 2) for start in starts]
    with ThreadPoolExecutor(8) as pool:
        assert np.array_equal(alone, [*pool.map(lambda start: video.clip(start, 2, 2), starts)])


def test_hours_with_few_key_frames_keep_the_motion_of_their_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(videos, "KEYFRAMES_ABOVE", 12)
    path = encoded(
        tmp_path / "hours.mp4", [index / 5 for index in range(100)], g="10", sc_threshold="0"
    )
    video = load_video(path)
    assert numbers(video.clip(0, 2, 2)) == [0, 9]
    assert len(video.frames) == 10  # its key frames
    times = [index / 5 for index in range(100)]
    path = encoded(tmp_path / "one.mp4", times, g="100", sc_threshold="0")
    assert len(load_video(path).frames) > 50  # one key frame tells nothing of the whole


MATRICES = [(a, 0, 0, d) for a in (1, -1) for d in (1, -1)] + [
    (0, b, c, 0) for b in (1, -1) for c in (1, -1)
]


@pytest.mark.parametrize("matrix", MATRICES)
def test_frames_are_turned_and_mirrored_as_the_file_says(tmp_path: Path, matrix) -> None:
    path = tmp_path / "turned.mp4"
    frame = np.zeros((32, 48, 3), np.uint8)
    frame[:16, :24], frame[:16, 24:], frame[16:, :24] = 240, 160, 80
    save_video(Video(np.stack([frame] * 3), 3.0), path)
    a, b, c, d = matrix
    content = path.read_bytes()
    at = content.index(b"tkhd") + 44
    values = [a << 16, b << 16, 0, c << 16, d << 16, 0, 0, 0, 1 << 30]
    written = b"".join(value.to_bytes(4, "big", signed=True) for value in values)
    path.write_bytes(content[:at] + written + content[at + 36 :])
    rows, columns = np.mgrid[:32, :48]
    x, y = a * columns + c * rows, b * columns + d * rows  # as ISO 14496-12 has it
    expected = np.zeros((32, 48, 3) if a else (48, 32, 3), np.uint8)
    expected[y - y.min(), x - x.min()] = frame
    shown = load_video(path).frames[0]
    assert shown.shape == expected.shape
    assert abs(shown.astype(int) - expected).mean() < 6


@pytest.mark.parametrize("suffix", ["webp", "png", "avif"])
def test_animated_pictures_are_clips_and_still_ones_are_not(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (16, 16), (index * STEP,) * 3) for index in range(8)]
    path = tmp_path / f"moving.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=250, **options)
    video = load_video(path)
    assert numbers(video.frames) == [*range(8)] and video.fps == pytest.approx(4)
    frames[0].save(tmp_path / f"still.{suffix}")
    with pytest.raises(MediaError, match="pass it as image"):
        load_video(tmp_path / f"still.{suffix}")


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("ts", "libx264"), ("mpg", "mpeg2video"), ("flv", "libx264"), ("wmv", "msmpeg4"),
     ("avi", "mpeg4"), ("mov", "libx264")],
)  # fmt: skip
def test_what_ffmpeg_reads_is_accepted_whatever_its_name(
    tmp_path: Path, suffix: str, codec: str
) -> None:
    times = [index / 25 for index in range(20)]
    path = encoded(tmp_path / f"clip.{suffix}", times, codec, side=64)
    frames = load_video(path.rename(tmp_path / "nameless")).frames
    assert 18 <= len(frames) <= 21
    assert numbers(frames) == sorted(numbers(frames))


def test_a_playlist_is_not_followed_to_other_files(tmp_path: Path) -> None:
    encoded(tmp_path / "clip.ts", [0, 0.04, 0.08])
    for name, text in (
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nclip.ts\n#EXT-X-ENDLIST\n"),
        ("list.ffconcat", "ffconcat version 1.0\nfile clip.ts\n"),
        ("art.txt", "a picture of letters\n" * 40),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        with pytest.raises(MediaError, match=name):
            load_video(tmp_path / name)


def test_a_codec_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    path = encoded(tmp_path / "clip.mp4", [0, 0.04, 0.08])
    path.write_bytes(path.read_bytes().replace(b"avc1", b"xyz1").replace(b"avcC", b"xyzC"))
    with pytest.raises(MediaError, match=r"clip\.mp4 has a codec that is not known"):
        load_video(path)
