"""Audio clips from and to files, all of what a player would play.

Knows: libsndfile, and FFmpeg for what it reads better. Leaves to others: channels and rates that an
encoder wants (`encoders.preprocess`).
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from nextgpt_lite.media.files import checked, made, refused
from nextgpt_lite.media.formats import DEMUXERS, corrected, joined, sniff
from nextgpt_lite.media.notes import note
from nextgpt_lite.media.types import Audio, resample

MAX_SECONDS = 3600  # longer audio is cut, with a warning
MAX_VALUES = 2**28  # samples x channels, 1 GiB as float32; likewise cut
RATES = range(50, 1_000_001)  # in Hz, that a recording can have
DECODER_DELAY = 529  # samples of an MP3 before its sound
MP3_DELAY = DECODER_DELAY + 576  # with those of the encoder, where no tag counts them
QUIET = 0.01  # of full scale, that they may have
MAX_DAMAGED = 0.1  # of packets that cannot be decoded, as between joined files


def load_audio(path: str | Path) -> Audio:
    """Reads an audio file, or the audio of a video; what exceeds an hour is cut with a warning."""
    import soundfile

    path = checked(path, "audio", "video")
    form = sniff(path)
    name = form.name if form is not None else ""
    is_wrong = (content := corrected(path)) is not None
    samples = None
    if name in ("OGG", "FLAC") and (pieces := joined(path)):
        samples, rate, too_long = _together(path, pieces)
    # Lengths of MP3s libsndfile can only guess.
    elif name != "MP3":
        try:
            with soundfile.SoundFile(content or path) as file:
                rate, limit = file.samplerate, _limit(path, file.samplerate, file.channels)
                expected = min(file.frames, limit)
                samples = file.read(expected, dtype="float32", always_2d=True)
                too_long = file.frames > limit
        except soundfile.LibsndfileError:
            samples = None
        else:
            if len(samples) < expected and name != "WAV":
                raise refused(path, "is cut off", "save or download it again")
            samples = samples if len(samples) == expected else None  # of an MP3 inside a WAV
    if samples is None or not len(samples):
        samples, rate, too_long = _decoded(path, content)
    if not len(samples):
        raise refused(path, "holds no audio (0 samples)", "record it again")
    if is_wrong:
        note(f"{path} has another size than its header says: what is there is used.")
    if too_long:
        note(f"{path}: only its first {len(samples) / rate / 60:.0f} minutes are used.")
    if not np.isfinite(samples).all():
        note(f"{path} holds samples that are no numbers: they are taken for silence.")
    clean = np.clip(np.nan_to_num(samples), -1, 1).astype(np.float32)
    return Audio(np.ascontiguousarray(clean.T), rate)


def save_audio(audio: Audio, path: str | Path) -> None:
    """Writes a 16-bit WAV."""
    import soundfile

    samples = np.clip(audio.samples, -1, 1).T
    soundfile.write(made(path), samples, audio.rate, subtype="PCM_16", format="WAV")


def _limit(path: Path, rate: int, channels: int) -> int:
    """How many samples of each channel are read."""
    if rate not in RATES or channels < 1:
        raise refused(path, f"states {channels} channels of {rate} Hz", "convert it to 44100 Hz")
    return min(MAX_SECONDS * rate, MAX_VALUES // channels)


def _together(path: Path, pieces: list[bytes]) -> tuple[np.ndarray, int, bool]:
    """Samples (length, channels) of recordings one after the other, all as the first one has them,
    their rate, and if there are more."""
    import soundfile

    found: list[np.ndarray] = []
    rate = channels = limit = 0
    try:
        for piece in pieces:
            with soundfile.SoundFile(BytesIO(piece)) as file:
                most = _limit(path, file.samplerate, file.channels)
                part = file.read(most, "float32", always_2d=True)
            if not found:
                rate, channels, limit = file.samplerate, file.channels, most
            part = resample(part.T, file.samplerate, rate).T
            same = part.shape[1] == channels
            found.append(part if same else part.mean(1, keepdims=True).repeat(channels, 1))
            if sum(map(len, found)) > limit:
                break
    except soundfile.LibsndfileError as error:
        raise refused(path, "is damaged or cut off", "save or download it again") from error
    samples = np.concatenate(found)
    return samples[:limit], rate, len(samples) > limit


def _decoded(path: Path, content: BytesIO | None) -> tuple[np.ndarray, int, bool]:
    """Samples (length, channels) by FFmpeg until nothing comes, their rate, and if there are more.

    Packets that cannot be decoded are left out, unless they are many. What follows at another rate
    or with other channels, as in joined files, comes as the rest.
    """
    import av

    pieces: list[np.ndarray] = []
    length = packets = damaged = 0
    too_long = False
    try:
        if content is not None:
            content.seek(0)
        with av.open(content or str(path), "r", options=DEMUXERS) as container:
            if not container.streams.audio:
                raise refused(path, "has no audio track", "pass it as video")
            stream = container.streams.audio[0]
            if stream.codec_context is None:
                raise refused(path, "has a codec that is not known here", "convert it to WAV")
            rate, layout = stream.rate, stream.layout.name  # which change with what is decoded
            limit = _limit(path, rate, stream.codec_context.channels)
            resampler: Any = None
            last: tuple[int, str, str] | None = None
            is_bare = container.format.name == "mp3" and not stream.start_time
            delay = MP3_DELAY if is_bare and "mp3" in stream.codec_context.name else 0  # not of MP2
            for packet in container.demux(stream):
                packets += 1
                try:
                    frames = packet.decode()
                except av.InvalidDataError:
                    damaged += 1
                    continue
                for frame in frames:
                    form = (frame.rate, frame.layout.name, frame.format.name)
                    if last != form:
                        if resampler is not None:
                            pieces += [part.to_ndarray().T for part in resampler.resample(None)]
                        resampler = av.AudioResampler("fltp", layout, rate)
                    last, frame.pts = form, None
                    pieces += [part.to_ndarray().T for part in resampler.resample(frame)]
                    length += frame.samples
                if too_long := length > limit:
                    break
    except av.FFmpegError as error:
        raise refused(path, "is damaged or cut off", "save or download it again") from error
    if damaged > MAX_DAMAGED * packets:
        raise refused(path, "is damaged or cut off", "save or download it again")
    if damaged > 1:  # one is the tag between or behind joined files
        note(f"{path} is damaged: {damaged} of its {packets} packets are left out.")
    samples = np.concatenate(pieces)[:limit] if pieces else np.zeros((0, 1), np.float32)
    if delay < len(samples) and abs(samples[:DECODER_DELAY]).max(initial=0) < QUIET:
        samples = samples[delay:]
    return samples, rate, too_long
