"""Audio as players read it, whatever its header says."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from nextgpt_lite.encoders import PreprocessConfig, preprocess
from nextgpt_lite.encoders.preprocess import preprocess_audio, resample_sinc
from nextgpt_lite.media import Audio, MediaError, load_audio, noted, save_audio

RATE = 16000
TONE = np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32) / 2
DATA_SIZE = slice(40, 44)  # where the WAV of `save_audio` states it


def encoded(path: Path, codec: str, samples: np.ndarray = TONE, **options: str) -> Path:
    """A file of one channel, written by FFmpeg."""
    import av

    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=RATE, layout="mono")
        stream.bit_rate = 32_000
        length = stream.codec_context.frame_size or 1024
        for start in range(0, len(samples), length):
            frame = av.AudioFrame.from_ndarray(
                samples[None, start : start + length], format="fltp", layout="mono"
            )
            frame.rate, frame.pts = RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def hertz(audio: Audio) -> float:
    return float(np.fft.rfft(audio.samples[0]).__abs__().argmax() / audio.duration)


@pytest.mark.parametrize("size", [0, 2 * RATE + 16, 0x7FFFF000, 0xFFFFFFFF])
def test_a_wav_that_states_a_wrong_size_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    path = tmp_path / "tone.wav"
    save_audio(Audio(TONE[None], RATE), path)
    right = load_audio(path)
    content = bytearray(path.read_bytes())
    content[DATA_SIZE] = size.to_bytes(4, "little")
    path.write_bytes(content)
    with noted() as notes:
        assert np.array_equal(load_audio(path).samples, right.samples)
    assert [str(path) in sentence for sentence in notes] == [True] * (size != 0xFFFFFFFF)


def test_a_wav_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    save_audio(Audio(TONE[None], RATE), path)
    path.write_bytes(path.read_bytes()[: RATE + 44])
    with pytest.warns(UserWarning, match=r"tone\.wav has another size"):
        assert load_audio(path).duration == 0.5
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(MediaError, match=r"tone\.wav"):
        load_audio(path)


def test_an_mp3_is_read_to_its_end_without_a_xing_header_and_when_joined(tmp_path: Path) -> None:
    bare = encoded(tmp_path / "bare.mp3", "libmp3lame", write_xing="0", id3v2_version="0")
    tagged = encoded(tmp_path / "tagged.mp3", "libmp3lame")
    joined = tmp_path / "joined.mp3"
    joined.write_bytes(tagged.read_bytes() + tagged.read_bytes())
    for path, seconds in ((tagged, 1.0), (bare, 1.0), (joined, 2.0)):
        audio = load_audio(path)
        assert audio.duration == pytest.approx(seconds, abs=0.25), path
        assert hertz(audio) == pytest.approx(440, abs=2)
    beginning = load_audio(bare).samples[0, :RATE]
    assert np.argmax(abs(beginning) > 0.25) < 200  # without the encoder's silence before it
    assert np.argmax(abs(load_audio(tagged).samples[0]) > 0.25) < 200


def test_what_was_joined_is_read_to_its_end_at_one_rate(tmp_path: Path) -> None:
    import soundfile

    other = np.stack([np.sin(2 * np.pi * 440 * np.arange(44100) / 44100) / 2] * 2, 1)
    for suffix in ("mp3", "ogg", "flac"):
        soundfile.write(tmp_path / f"one.{suffix}", TONE, RATE)
        soundfile.write(tmp_path / f"two.{suffix}", other, 44100)
        one, two = ((tmp_path / f"{n}.{suffix}").read_bytes() for n in ("one", "two"))
        for content, first in ((one + two, RATE), (two + one, 44100)):
            (path := tmp_path / f"joined.{suffix}").write_bytes(content)
            audio = load_audio(path)
            assert audio.duration == pytest.approx(2, abs=0.15), path
            assert suffix == "mp3" or audio.rate == first
            for half in np.array_split(audio.samples, 2, axis=1):
                assert hertz(Audio(half, audio.rate)) == pytest.approx(440, abs=4), path
        path.write_bytes(one + two[: len(two) // 3])
        if suffix == "ogg":
            with pytest.raises(MediaError, match=r"joined\.ogg is cut off"):
                load_audio(path)


@pytest.mark.parametrize(
    ("suffix", "name", "order"),
    [("aiff", b"SSND", "big"), ("caf", b"data", "big"), ("w64", b"data", "little"),
     ("rifx", b"data", "big")],
)  # fmt: skip
def test_sizes_in_other_headers_are_put_right_too(
    tmp_path: Path, suffix: str, name: bytes, order: Literal["little", "big"]
) -> None:
    import soundfile

    path = tmp_path / f"tone.{suffix}"
    endian, form = ("BIG", "WAV") if suffix == "rifx" else ("FILE", suffix.upper())
    soundfile.write(path, TONE, RATE, "PCM_16", endian, form)
    with noted() as notes:
        right = load_audio(path).samples
    assert not notes and abs(right - TONE).max() < 1e-3
    content = bytearray(path.read_bytes())
    at = content.index(name) + {"w64": 16}.get(suffix, 4)
    width = 8 if suffix in ("caf", "w64") else 4
    for size in (0, len(content) // 3, 2**31 - 8):
        content[at : at + width] = size.to_bytes(width, order)
        path.write_bytes(content)
        with noted() as notes:
            assert np.array_equal(load_audio(path).samples, right)
        assert notes == [f"{path} has another size than its header says: what is there is used."]
    path.write_bytes(content[: len(content) // 2])
    with noted() as notes:
        assert 0.4 < load_audio(path).duration < 0.6
    assert "has another size" in notes[0]


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("aac", "aac"), ("aiff", ""), ("caf", ""), ("w64", ""), ("wma", "wmav2"), ("m4a", "aac"),
     ("ts", "aac"), ("opus", "libopus"), ("au", ""), ("wv", "wavpack"),
     ("mp2", "mp2"), ("nist", "")],
)  # fmt: skip
def test_what_the_libraries_read_is_accepted(tmp_path: Path, suffix: str, codec: str) -> None:
    import soundfile

    path = tmp_path / f"tone.{suffix}"
    if codec == "libopus":
        soundfile.write(path, np.tile(TONE, 2), RATE, format="OGG", subtype="OPUS")
    elif codec:
        encoded(path, codec, np.tile(TONE, 2))
    else:
        form = suffix.upper() if suffix == "nist" else None
        soundfile.write(path, np.tile(TONE, 2), RATE, format=form)
    shutil.copy(path, nameless := tmp_path / "nameless")
    audio = load_audio(nameless)
    assert audio.duration == pytest.approx(2, abs=0.15)
    assert hertz(audio) == pytest.approx(440, abs=2)


def test_a_rate_that_nothing_has_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    save_audio(Audio(TONE[None], RATE), path)
    content = bytearray(path.read_bytes())
    content[24:28] = (2_000_000_000).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"tone\.wav"):
        load_audio(path)


def test_odd_rates_are_resampled_by_the_library_and_usual_ones_as_released(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    asked: list[tuple[int, int]] = []
    kernel = preprocess._sinc_kernel

    def counted(old: int, new: int) -> object:
        asked.append((old, new))
        return kernel(old, new)

    monkeypatch.setattr(preprocess, "_sinc_kernel", counted)
    for rate in (16001, 44101, 47999, 12347, 999_983):
        time = np.arange(rate // 10) / rate
        samples = torch.from_numpy(np.sin(2 * np.pi * 440 * time).astype(np.float32))[None]
        result = resample_sinc(samples, rate, RATE)
        assert result.dtype == torch.float32
        expected = np.sin(2 * np.pi * 440 * np.arange(result.shape[1]) / RATE)
        middle = slice(300, 1200)
        assert np.abs(result[0].numpy() - expected)[middle].max() < 0.02, rate
    assert not asked
    for rate in (8000, 11025, 22050, 32000, 44100, 48000, 96000, 192000):
        resample_sinc(torch.zeros(1, 100), rate, RATE)
    assert len(asked) == 8


def test_a_silent_first_channel_gives_way_to_those_that_sound() -> None:
    config = PreprocessConfig.lite()
    silence = np.zeros_like(TONE)
    expected = preprocess_audio(Audio(TONE[None], RATE), config)
    hiss = np.random.default_rng(0).normal(0, 0.001, len(TONE)).astype(np.float32)
    steady = silence + np.float32(0.1)
    for first in ([silence], [silence] * 2, [hiss]):
        heard = preprocess_audio(Audio(np.stack([*first, TONE]), RATE), config)
        assert abs(heard - expected).max() < 0.02
    assert preprocess_audio(Audio(np.stack([steady, TONE]), RATE), config).std() > 0.4


def wav(tmp_path: Path, samples: np.ndarray = TONE) -> tuple[Path, bytearray]:
    path = tmp_path / "tone.wav"
    save_audio(Audio(samples[None], RATE), path)
    return path, bytearray(path.read_bytes())


@pytest.mark.parametrize("size", [1, 1000, RATE])
def test_a_wav_that_states_much_less_than_it_holds_is_read_to_its_end(
    tmp_path: Path, size: int
) -> None:
    path, content = wav(tmp_path)
    content[DATA_SIZE] = size.to_bytes(4, "little")
    path.write_bytes(content)
    with noted() as notes:
        assert load_audio(path).samples.shape == (1, RATE)
    assert "has another size than its header says" in notes[0]


def test_chunks_behind_the_sound_of_a_wav_are_no_sound(tmp_path: Path) -> None:
    path, content = wav(tmp_path)
    path.write_bytes(content + b"LIST" + (5000).to_bytes(4, "little") + b"INFO" + bytes(4996))
    with noted() as notes:
        assert load_audio(path).samples.shape == (1, RATE)
    assert not notes


def test_what_is_compressed_inside_a_wav_is_read_whole(tmp_path: Path) -> None:
    audio = load_audio(encoded(tmp_path / "inside.wav", "libmp3lame"))
    assert audio.duration == pytest.approx(1, abs=0.2) and hertz(audio) == pytest.approx(440, abs=3)


@pytest.mark.parametrize("junk", [b"\0" * 3000, b"x" * 100])
def test_an_mp3_behind_something_else_is_found(tmp_path: Path, junk: bytes) -> None:
    path = encoded(tmp_path / "bare.mp3", "libmp3lame", write_xing="0", id3v2_version="0")
    for beginning in (junk, b""):
        path.write_bytes(beginning + path.read_bytes()[0 if beginning else len(junk) + 50 :])
        assert hertz(load_audio(path)) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("field", [slice(20, 22), slice(22, 24), slice(24, 28), slice(34, 36)])
def test_a_wav_without_codec_channels_rate_or_bits_is_refused(tmp_path: Path, field: slice) -> None:
    path, content = wav(tmp_path)
    content[field] = bytes(field.stop - field.start)
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"tone\.wav"):
        load_audio(path)
