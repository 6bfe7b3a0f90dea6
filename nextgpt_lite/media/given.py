"""Whatever people hold a medium in, as the very object that its file would have given.

Knows: bytes, URLs, arrays of numpy and torch, their layouts and number formats. Leaves to others:
file formats (`files`), message parts (`messages`).

Letters: T frames, H height, W width, C channels.
"""

from __future__ import annotations

import math
import urllib.request
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from numbers import Real
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import numpy as np

from nextgpt_lite.errors import MediaError
from nextgpt_lite.media.audios import MAX_SECONDS, MAX_VALUES, RATES
from nextgpt_lite.media.files import MAX_BYTES
from nextgpt_lite.media.images import as_rgb, image_errors, load_image
from nextgpt_lite.media.notes import note, noted
from nextgpt_lite.media.types import Audio, Video
from nextgpt_lite.media.videos import VideoFile, thinned

if TYPE_CHECKING:
    from PIL import Image

FPS = 24.0  # of frames that come without a rate
LOUDEST = 16.0  # louder floats were never meant as parts of full scale
SECONDS = 30  # until a server that does not answer is given up
_ANY_FILE = "a path, a file:// or data: URL, bytes, a file object"
_ACCEPTED = {
    "image": "a PIL image, or an array (height, width, 3) of numpy or torch",
    "audio": "an Audio, a pair (array, rate), or {'array': ..., 'sampling_rate': ...}",
    "video": "a Video, a list of frames, an array (frames, height, width, 3), or (frames, fps)",
}


def take(given: Any, load: Callable[[Path], Any], convert: Callable[[Any], Any]) -> Any:
    """The medium in what a user holds: files by `load`, objects by `convert`.

    Raises:
        MediaError: saying what was given and what is accepted.
    """
    if isinstance(given, Mapping) and "array" not in given:  # as data sets have it, not decoded
        given = next((given[k] for k in ("bytes", "path") if given.get(k) is not None), given)
    name = "What was given as bytes"
    if hasattr(given, "read"):
        name = str(getattr(given, "name", "The file object"))
        given = _content(given, name)
    elif isinstance(given, str):
        place = _behind(given)
        name = given if isinstance(place, Path) else "The data: URL"
        given = place
    if isinstance(given, bytes | bytearray | memoryview):
        # Decoders want a file that they can seek in; a long video keeps it open.
        with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            path = Path(folder, "given")
            path.write_bytes(given)
            try:
                with noted() as notes:
                    medium = load(path)
            except MediaError as error:
                raise MediaError(str(error).replace(str(path), name)) from error
        for sentence in notes:
            note(sentence.replace(str(path), name))
        return medium
    return load(Path(given)) if isinstance(given, PathLike) else convert(given)


def fetch(url: str) -> bytes:
    """What an http or https address holds, for whoever asks: `images=[fetch(url)]`.

    Raises:
        MediaError: nothing can be had there, or too much.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise MediaError(f"{url} cannot be fetched (it is no http address): check the address.")
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            content: bytes = answer.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise MediaError(f"{url} cannot be fetched ({error}): check the address.") from error
    if len(content) > MAX_BYTES:
        raise MediaError(f"{url} holds more than {MAX_BYTES // 2**30} GiB: choose another file.")
    return content


def as_image(given: Any) -> Image.Image:
    """An RGB image of a PIL image or an array; uint8, 16 bits, or floats from 0 to 1 or to 255."""
    from PIL import Image

    if isinstance(given, Image.Image):
        return _plain(given)
    array = _numbers(given)
    if array is None or array.ndim not in (2, 3) or not array.size:
        raise _refused(given, "image")
    if array.ndim == 3:
        array = _channels_last(array, given, "image", (-1, -3))
    grey = array.ndim == 2 or array.shape[-1] == 1
    if array.dtype != np.uint16 or not grey:  # Pillow knows 16 bits of grey
        array = _levels(array, given, "image")
    return _plain(Image.fromarray(array.reshape(array.shape[:2]) if grey else array))


def as_audio(given: Any) -> Audio:
    """An `Audio` of samples and their rate; channels may stand first or last."""
    samples: Any = given
    rate: Any = None
    if isinstance(given, Audio):
        samples, rate = given.samples, given.rate
    elif isinstance(given, Mapping):
        samples, rate = given.get("array"), given.get("sampling_rate")
    elif (pair := _with_number(given)) is not None:
        samples, rate = pair
    array = _numbers(samples)
    if array is None or array.ndim not in (1, 2) or not _is_rate(rate) or rate != int(rate):
        raise _refused(given, "audio")
    array = array[None] if array.ndim == 1 else array
    array = array.T if len(array) > array.shape[1] else array  # (channels, length)
    if not array.size:
        raise MediaError("The audio given holds no samples: record it again.")
    if int(rate) not in RATES:
        raise MediaError(
            f"{_described(given)} has a rate of {rate} Hz: use one from {RATES[0]} to {RATES[-1]}."
        )
    rate, limit = int(rate), min(MAX_SECONDS * int(rate), MAX_VALUES // len(array))
    if array.shape[1] > limit:
        array = array[:, :limit]
        minutes = limit / rate / 60
        note(f"Of the audio only the first {minutes:.0f} minutes are used.")
    samples = _full_scale(array, given)
    same = isinstance(given, Audio) and np.array_equal(samples, given.samples)
    return given if same and given.samples.dtype == np.float32 else Audio(samples, rate)


def as_video(given: Any) -> Video:
    """A `Video` of frames and their rate; of frames alone, which are taken for 24 a second.

    Frames are thinned out and scaled down as those of a file.
    """
    if isinstance(given, VideoFile):
        return given
    frames, fps = given, FPS
    if isinstance(given, Video):
        frames, fps = given.frames, given.fps
    elif (pair := _with_number(given)) is not None:
        frames, fps = pair
    if not _is_rate(fps):
        raise _refused(given, "video")
    is_list = isinstance(frames, list | tuple)
    array = _stacked(frames, given) if is_list else _numbers(frames)
    if array is None or array.ndim != 4 or not array.size:
        raise _refused(given, "video")
    array = _channels_last(array, given, "video", (-1, -3, -4))  # (T, H, W, C)
    levels = _levels(array, given, "video")
    if levels.shape[-1] != 3:
        levels = np.stack([np.asarray(as_image(frame)) for frame in levels])
    kept, every = thinned(levels)
    same = isinstance(given, Video) and kept is given.frames
    return given if same else Video(kept, float(fps) / every)


def as_array(given: Any) -> Any:
    """Numbers of torch as numpy's; all else as it is."""
    return _numbers(given) if hasattr(given, "detach") else given


def several(items: Any) -> list[Any]:
    """What a user gives as media of a modality: a list of them, or one without a list."""
    if items is None:
        return []
    is_iterator = isinstance(items, Iterator) and not hasattr(items, "read")
    many = is_iterator or (isinstance(items, list | tuple) and _with_number(items) is None)
    return [*items] if many else [items]


def _plain(image: Image.Image) -> Image.Image:
    """As its file would be read; the image itself, where that changes nothing."""
    from PIL import ExifTags

    if not all(image.size):
        raise _refused(image, "image")
    with image_errors("The image given"):
        image.load()  # of a file that was only opened
        is_upright = image.getexif().get(ExifTags.Base.Orientation, 1) == 1
        is_opaque = "transparency" not in image.info
        return image if image.mode == "RGB" and is_upright and is_opaque else as_rgb(image)


def _content(file: Any, name: str) -> bytes:
    """All bytes of a file object, wherever it stands."""
    try:
        if getattr(file, "seekable", lambda: False)():
            file.seek(0)
        content = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:  # closed, or open for writing alone
        raise MediaError(f"{name} cannot be read ({error}): open it again.") from error
    if not isinstance(content, bytes):
        raise MediaError(f"{name} gives text: open it with mode 'rb'.")
    if len(content) > MAX_BYTES:
        raise MediaError(f"{name} holds more than {MAX_BYTES // 2**30} GiB: cut it into pieces.")
    return content


def _behind(text: str) -> Path | bytes:
    """The file or the bytes that a text names."""
    scheme, _, rest = text.partition(":")
    if scheme.lower() == "data" and "," in rest:
        head, _, content = rest.partition(",")
        encoded = head.lower().endswith(";base64")
        return _decoded(unquote(content)) if encoded else unquote_to_bytes(content)
    is_file = scheme.lower() == "file" and rest.startswith("/")
    if len(scheme) < 2 or not (is_file or rest.startswith("//")):
        return Path(text)
    if is_file and urlsplit(text).netloc in ("", "localhost"):
        return Path(urllib.request.url2pathname(urlsplit(text).path))
    raise MediaError(
        f"{_shortened(text)} is not on this machine, and nothing is fetched behind your back: give "
        "a file, or nextgpt_lite.media.fetch(url) in place of the address."
    )


def _decoded(text: str) -> bytes:
    """The bytes that base64 stands for."""
    packed = "".join(text.split()).rstrip("=")
    try:
        return b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except ValueError as error:
        raise MediaError(f"{_shortened(text)} is no base64: encode the file's bytes.") from error


def _numbers(given: Any) -> np.ndarray | None:
    """An array of numpy; None of what is none."""
    if isinstance(given, str | bytes | Mapping):
        return None
    try:
        if hasattr(given, "detach"):  # torch's: wherever it is, bfloat16 as well
            given = given.detach().cpu()
            given = given.float() if given.is_floating_point() else given
        array = np.asarray(given)
    except (ValueError, TypeError, RuntimeError):  # unlike rows; sparse, or without numbers
        return None
    return array if array.dtype.kind in "buif" else None


def _with_number(given: Any) -> tuple[Any, Any] | None:
    """(what, number) of a pair in either order, such as (array, rate)."""
    if not isinstance(given, list | tuple) or len(given) != 2:
        return None
    first, second = (isinstance(item, Real) for item in given)
    if first == second:
        return None
    return (given[1], given[0]) if first else (given[0], given[1])


def _is_rate(rate: Any) -> bool:
    return isinstance(rate, Real) and not isinstance(rate, bool) and 0 < float(rate) < math.inf


def _channels_last(
    array: np.ndarray, given: Any, modality: str, axes: tuple[int, ...]
) -> np.ndarray:
    """The same with that axis last that has 1, 3 or 4 entries; torch puts it before H and W."""
    if hasattr(given, "detach"):
        axes = (axes[1], axes[0], *axes[2:])
    for axis in axes:
        if array.shape[axis] in (1, 3, 4):
            return array if axis == -1 else np.ascontiguousarray(np.moveaxis(array, axis, -1))
    raise _refused(given, modality)


def _levels(array: np.ndarray, given: Any, modality: str) -> np.ndarray:
    """uint8 of pixels: of 16 bits the upper 8, of floats from 0 to 1 or to 255 the nearest."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.uint16:
        return (array >> 8).astype(np.uint8)
    if not np.isfinite(array).all() or array.min() < 0 or array.max() > 255:
        raise MediaError(
            f"{_described(given)} has pixels that are no numbers from 0 to 255 (integers) or from "
            f"0 to 1 (floats): scale the {modality} to that range."
        )
    is_share = array.dtype.kind == "b" or (array.dtype.kind == "f" and array.max() <= 1)
    return np.rint(array * 255.0 if is_share else array).astype(np.uint8)


def _full_scale(array: np.ndarray, given: Any) -> np.ndarray:
    """float32 in [-1, 1] of samples, whatever numbers they are."""
    if array.dtype in (np.int16, np.int32):
        array = array / -float(np.iinfo(array.dtype).min)
    elif array.dtype == np.uint8:
        array = (array - 128.0) / 128
    clean = np.nan_to_num(array) if array.dtype.kind == "f" else array
    if clean is not array and not np.isfinite(array).all():
        note(f"{_described(given)} holds samples that are no numbers: they are taken for silence.")
    if array.dtype.kind != "f" or abs(clean).max() > LOUDEST:
        raise MediaError(
            f"{_described(given)} has samples that are neither int16, int32 or uint8 nor floats "
            "from -1 to 1: scale the audio to that range."
        )
    return np.ascontiguousarray(np.clip(clean, -1, 1), np.float32)


def _stacked(frames: Sequence[Any], given: Any) -> np.ndarray:
    """(T, H, W, C) of a list of frames, each of anything that is an image."""
    arrays = [_numbers(frame) for frame in frames if not hasattr(frame, "mode")]
    known = [array for array in arrays if array is not None and array.ndim in (2, 3)]
    if frames and len(known) == len(frames) and len({array.shape for array in known}) == 1:
        first, *_ = known  # together, so that floats of a dark frame mean the same as the others'
        together = np.stack(known)
        if first.ndim == 2:
            return together[..., None]
        return _channels_last(together, frames[0], "video", (-1, -3))
    images = [np.asarray(take(frame, load_image, as_image)) for frame in frames]
    if len({image.shape for image in images}) != 1:
        raise MediaError(
            f"{_described(given)} has frames of unlike sizes, or none: scale them to one size."
        )
    return np.stack(images)


def _refused(given: Any, modality: str) -> MediaError:
    return MediaError(
        f"{_described(given)} cannot be taken for {modality}: give {_ANY_FILE}, "
        f"{_ACCEPTED[modality]}."
    )


def _described(given: Any) -> str:
    """What was given, in a few words."""
    shape = getattr(given, "shape", None)
    if shape is not None:
        return f"{type(given).__name__} of shape {tuple(shape)} and {given.dtype}"
    if isinstance(given, list | tuple):
        kinds = ", ".join(dict.fromkeys(type(item).__name__ for item in given)) or "nothing"
        return f"{type(given).__name__} of {len(given)} ({kinds})"
    return f"{type(given).__name__} {_shortened(str(given))}"


def _shortened(text: str) -> str:
    return repr(text if len(text) < 80 else f"{text[:60]}...")
