"""What a media file really is, judged by its bytes, and whether all of it is there.

Knows: where the headers of image, audio and video formats state a length. Leaves to others: first
bytes (the package filetype; of rare formats Pillow and FFmpeg), decoding (`files`), and which
formats to accept.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import BinaryIO, Literal

import filetype

HEAD = 8192  # bytes that tell a format
# Options for FFmpeg: what it may take a file for. Playlists, which name other files, are not among
# them, nor texts, of which it makes clips.
DEMUXERS = {
    "format_whitelist": "aac,ac3,aiff,amr,asf,au,avi,caf,dv,eac3,flac,flv,gif,h264,hevc,ivf,"
    "matroska,mov,mp3,mpeg,mpegts,mpegvideo,mxf,nut,ogg,rm,tta,voc,w64,wav,wv,yuv4mpegpipe"
}
RARE = ("BLP", "CUR", "DDS", "DIB", "ICNS", "IM", "MSP", "PCX", "QOI", "SGI", "SUN", "XBM", "XPM")
RARE_SOUND = ("NIST", "SVX", "PVF", "IRCAM")  # of those that libsndfile reads
LEFT_OVER = 1024  # bytes behind the sound of a file that are no chunk, and so are sound too
# By first bytes, where chunks begin, bytes of a name and of a length, in which order, of which a
# chunk takes a multiple, and what the sound's is called.
_CHUNKS: dict[bytes, tuple[int, int, int, Literal["little", "big"], int, bytes]] = {
    b"RIFF": (12, 4, 4, "little", 2, b"data"),
    b"RIFX": (12, 4, 4, "big", 2, b"data"),
    b"FORM": (12, 4, 4, "big", 2, b"SSND"),
    b"caff": (8, 4, 8, "big", 1, b"data"),
    b"riff": (40, 16, 8, "little", 8, b"data"),
}
# First bytes that filetype does not know.
_BEGINNINGS = {
    rb"caff": ("CAF", "audio"),
    rb"riff\x2e\x91\xcf\x11": ("W64", "audio"),
    rb"RF64|RIFX": ("WAV", "audio"),
    rb"FORM.{4}AIF[FC]": ("AIFF", "audio"),
    rb"(.{4})?G.{187}(.{4})?G.{187}(.{4})?G": ("TS", "video"),  # a packet each 188 or 192 bytes
    rb".{4}ftypavis": ("AVIF", "image"),  # an animated one
    rb".{4}ftyp(hei|hev|msf1)": ("HEIC", "image"),  # of ten bits, or several
    rb".{4}ftypcrx": ("CR3", "image"),
    rb".{4}ftyp": ("MP4", "video"),  # of one of its many brands
    rb"\xff\x0a|.{4}JXL ": ("JXL", "image"),
    rb"\s*<(\?xml|svg)": ("SVG", "image"),
    rb"P[1-6f]\s": ("PPM", "image"),
    rb"\xff\x4f\xff\x51": ("J2K", "image"),
    rb".[\x00\x01][\x01-\x03\x09-\x0b].{13}[\x08\x0f\x10\x18\x20]": ("TGA", "image"),
    # An MP3 without tags starts with a frame header: 11 sync bits, then a layer that is not 0.
    rb"\xff[\xe2-\xe7\xea-\xef\xf2-\xf7\xfa-\xff]": ("MP3", "audio"),
}


@dataclass(frozen=True)
class Format:
    """A file format: its usual ending as `name`, and the `modality` of what it holds."""

    name: str
    modality: str


def sniff(path: Path) -> Format | None:
    """The format by the file's first bytes; None when they are none that is known."""
    with path.open("rb") as file:
        head = file.read(HEAD)
    if (kind := filetype.guess(head)) is not None:
        return Format(kind.extension.upper(), kind.mime.partition("/")[0])
    known = (kind for begin, kind in _BEGINNINGS.items() if re.match(begin, head, re.DOTALL))
    return next((Format(*kind) for kind in known), None) or _by_libraries(path)


def _by_libraries(path: Path) -> Format | None:
    """What Pillow, libsndfile or FFmpeg take a file for that begins like nothing known."""
    import av
    import soundfile
    from PIL import Image

    try:
        with Image.open(path, formats=RARE) as image:
            return Format(image.format or "", "image")
    except Exception:  # each of its plug-ins has errors of its own
        pass
    with suppress(soundfile.LibsndfileError):
        if (name := soundfile.info(path).format) in RARE_SOUND:
            return Format(name, "audio")
    try:
        with av.open(str(path), options=DEMUXERS) as container:
            modality = "video" if container.streams.video else "audio"
            return Format(container.format.name.upper(), modality)
    except (av.FFmpegError, ValueError):
        return None


def corrected(path: Path) -> BytesIO | None:
    """A sound file whose header states more sound than there is, or much less, put right.

    None of all others, and where the length is known to be unknown, as in what comes from a pipe.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if (chunks := _CHUNKS.get(file.read(4))) is None:
            return None
        begin, name, width, order, multiple, sound = chunks
        own = name + width if name == 16 else 0  # those of W64 count their own header

        def length_of(header: bytes) -> int:
            return int.from_bytes(header[name:], order, signed=width == 8) - own

        file.seek(begin)
        while not (header := file.read(name + width)).startswith(sound):
            if len(header) < name + width or length_of(header) < 0:
                return None
            file.seek(length_of(header) + -length_of(header) % multiple, os.SEEK_CUR)
        length, start = length_of(header), file.tell()
        if len(header) < name + width or length == -1 or length >= 0xFFFFFFF0:
            return None
        if 0 <= length <= size - start:
            file.seek(start + length + -length % multiple)
            if (rest := size - file.tell()) < LEFT_OVER:
                return None
            behind = file.read(name + width)
            if length_of(behind) <= rest - len(behind) and re.match(rb"[ -~]{4}", behind):
                return None
    content = bytearray(path.read_bytes())
    content[start - width : start] = (size - start + own).to_bytes(width, order)
    return BytesIO(content)


def joined(path: Path) -> list[bytes]:
    """The recordings that an OGG or FLAC file holds one after the other, where they are several."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        starts, opens = [0], True
        # A page of OGG, with whether it opens a stream, or the beginning of a FLAC.
        for found in re.finditer(rb"OggS\0(.)|fLaC\0\0\0\x22", content, re.DOTALL):
            opened, opens = opens, found[1] is not None and bool(found[1][0] & 2)
            if not opened and (opens or found[1] is None):
                starts.append(found.start())
        return [content[a:b] for a, b in pairwise([*starts, len(content)])] if starts[1:] else []


def is_cut_off(path: Path, form: Format) -> bool:
    """True when a header states more bytes than the file has.

    libsndfile returns the part of a WAV or OGG that is there and FFmpeg the part of an MP4, both
    without a word; the stated lengths tell. Formats whose decoder complains by itself, or that
    state no length (MP3, streamed files), give False.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        match form.name:
            case "AVI":
                return _riff_is_cut_off(file, size)
            case "MP4" | "M4A" | "M4V" | "MOV" | "3GP":
                return _boxes_are_cut_off(file, size)
            case "OGG":
                return _ogg_is_cut_off(file, size)
            case "WEBM" | "MKV":
                return _matroska_is_cut_off(file, size)
    return False


def _riff_is_cut_off(file: BinaryIO, size: int) -> bool:
    file.seek(12)
    while len(header := file.read(8)) == 8:
        length = int.from_bytes(header[4:], "little")
        if file.tell() + length > size:
            return True
        file.seek(length + length % 2, os.SEEK_CUR)
    return False


def _boxes_are_cut_off(file: BinaryIO, size: int) -> bool:
    start, seen = 0, set()
    while start < size:
        file.seek(start)
        header = file.read(16)
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        seen.add(header[4:8])
        if length == 0:
            break  # this box runs to the end of the file
        if length < 8 or start + length > size:
            return True
        start += length
    return b"moov" not in seen


def _ogg_is_cut_off(file: BinaryIO, size: int) -> bool:
    file.seek(max(0, size - 2**17))  # a page has at most 65307 bytes
    tail = file.read()
    start = tail.rfind(b"OggS")
    page = tail[start:]
    if start < 0 or len(page) < 27:
        return True
    segments = page[27 : 27 + page[26]]
    return len(page) < 27 + page[26] + sum(segments) or not page[5] & 4  # 4: last page of stream


def _matroska_is_cut_off(file: BinaryIO, size: int) -> bool:
    for _ in range(2):  # the EBML header, then the segment that holds everything
        file.seek(4, os.SEEK_CUR)
        first = file.read(1)
        if not first or not first[0]:
            return True
        width = 9 - first[0].bit_length()
        value = int.from_bytes(first + file.read(width - 1), "big") & (1 << 7 * width) - 1
        if value == (1 << 7 * width) - 1:
            return False  # length unknown, as in a live recording
        file.seek(value, os.SEEK_CUR)
    return file.tell() > size
