"""Images from and to files, as upright eight-bit RGB.

Knows: Pillow and its many kinds of pixels. Leaves to others: animations as clips (`videos`), what
size an encoder wants (`encoders.preprocess`).
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nextgpt_lite.errors import MediaError
from nextgpt_lite.media.files import checked, made, refused
from nextgpt_lite.media.formats import sniff
from nextgpt_lite.media.notes import note

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 64_000_000  # a larger image is refused before it is decoded
MAX_REDUCED = 178_000_000  # a JPEG of so many is decoded at an eighth of its size
ENDING = b"\xff\xd9"  # of a JPEG
UNREADABLE = ("HEIC", "JXL", "JXR", "CR2", "CR3", "SVG", "XCF", "DWG")  # by Pillow without plug-ins


def load_image(path: str | Path) -> Image.Image:
    """Reads an image as RGB: upright as its EXIF says, first frame, transparency over white."""
    from PIL import Image

    path = checked(path, "image")
    with image_errors(path), Image.open(path) as file:
        try:
            return as_rgb(file)
        except OSError:
            if file.format != "JPEG":
                raise
    # Browsers show the part of a JPEG that is there, as libjpeg does once it finds an end.
    with image_errors(path), Image.open(io.BytesIO(path.read_bytes() + ENDING)) as file:
        image = as_rgb(file)
    note(f"{path} is cut off: the part that is there is used.")
    return image


def save_image(image: Image.Image, path: str | Path) -> None:
    """Writes a PNG."""
    image.save(made(path), "PNG")


@contextmanager
def image_errors(name: str | Path) -> Iterator[None]:
    """What Pillow says of an image that it cannot read, as one sentence with its name."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            yield
    except MediaError:
        raise
    except Image.DecompressionBombError as error:
        limit = MAX_PIXELS // 1_000_000
        raise refused(name, f"has more than {limit} megapixels", "scale it down") from error
    except Exception as error:  # Pillow's plug-ins raise OSError, SyntaxError, EOFError, ...
        form = sniff(name) if isinstance(name, Path) else None
        if form is not None and form.name in UNREADABLE:
            kind = f"is a picture of type {form.name}, which cannot be read here"
            raise refused(name, kind, "convert it to JPEG or PNG") from error
        raise refused(name, "is damaged or cut off", "save or download it again") from error


def as_rgb(image: Any) -> Image.Image:
    """Upright eight-bit RGB; 16-bit and float greys are scaled, transparency is over white."""
    from PIL import Image, ImageOps

    if image.width * image.height > MAX_PIXELS:
        if image.format != "JPEG" or image.width * image.height > MAX_REDUCED:
            raise Image.DecompressionBombError
        image.draft("RGB", (image.width // 8, image.height // 8))
    name = getattr(image, "filename", "") or "The image given"
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        values = np.asarray(image, dtype=np.float32)
        if not np.isfinite(values).all():
            note(f"{name} holds pixels that are no numbers: they are taken for black or white.")
        grey = np.nan_to_num(values)
        top = 65535 if image.mode.startswith("I") else max(float(grey.max()), 1e-6)
        return Image.fromarray(np.clip(grey / top * 255, 0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    converted: Image.Image = image.convert("RGB")
    return converted
