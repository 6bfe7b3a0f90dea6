"""The one table of modalities: a row holds all that the package knows of a kind of medium.

Arguments of `chat`, properties of a reply, flags of the command line and keys of data files all
derive from it. A reader's own code adds a row with `register`; the command line imports plugins
first, which may do so (docs/add_a_modality.md).

Knows: names, tokens, file types, and where the functions of a row are. Leaves to others: what those
functions do, and decoders, which say themselves what they make (`decoders`). A model knows the
modalities it was built with and no others: further rows change nothing for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from nextgpt_lite import media
from nextgpt_lite.errors import ConfigError, MediaError
from nextgpt_lite.media.formats import sniff

Reference: TypeAlias = str | Callable[..., Any]  # or "package.module:name", imported at first use


@dataclass(frozen=True, kw_only=True)
class Modality:
    """One row of the table.

    Attributes:
        name: "image"; the `type` of a message part, a flag of the command line (`--image`), the
            placeholder of data files (`<image>`, `image_name`).
        signal: prefix of its signal tokens (`[IMG0]`), and what its markers are made of (`<Img>`).
        plural: argument of `chat`, property of a reply, folder beside data files; empty adds an s.
        signals: signal tokens of a new model; for the first three those of the paper (section 5.1).
        trunk: the encoder trunk that reads it; empty takes the name.
        preprocessor: `(medium, PreprocessConfig) -> Tensor`, what the trunk reads of one medium.
        loader: `(path) -> medium`; raises `MediaError`.
        converter: `(object) -> medium`, of what people hold besides files; raises `MediaError`.
        saver: `(medium, path)`.
        suffix: file type in which it is saved.
        extensions: file types that are read.
        pair_id: the field that identifies a pair in the released formats.
        viewer: `(medium) -> str`, an HTML element that shows it.
        link: HTML element that shows a file of it, with `{}` for the file's address.
    """

    name: str
    signal: str
    plural: str = ""
    signals: int = 4
    trunk: str = ""
    preprocessor: Reference = "nextgpt_lite.encoders.preprocess:as_tensor"
    loader: Reference = "nextgpt_lite.media:load_array"
    converter: Reference = "nextgpt_lite.media:as_array"
    saver: Reference = "nextgpt_lite.media:save_array"
    suffix: str = ".npy"
    extensions: tuple[str, ...] = (".npy",)
    pair_id: str = "id"
    viewer: Reference = "nextgpt_lite.display:media_html"
    link: str = '<a href="{0}">{0}</a>'

    def __post_init__(self) -> None:
        defaults = {"plural": f"{self.name}s", "trunk": self.name}
        for field, value in defaults.items():
            object.__setattr__(self, field, getattr(self, field) or value)

    @property
    def open(self) -> str:
        """The marker before the projected vectors of an input item (paper section 3)."""
        return f"<{self.signal.capitalize()}>"

    @property
    def close(self) -> str:
        """The marker behind them."""
        return f"</{self.signal.capitalize()}>"

    def signal_tokens(self, count: int) -> list[str]:
        """The names of its first `count` signal tokens."""
        return [f"[{self.signal}{index}]" for index in range(count)]

    def caption_marks(self) -> list[str]:
        """What stands around a caption that is the messenger: `<Image>` and `</Image>`."""
        return [f"<{self.name.capitalize()}>", f"</{self.name.capitalize()}>"]

    def load(self, path: str | Path) -> Any:
        """The medium in a file; raises `MediaError`."""
        return resolve(self.loader)(path)

    def take(self, given: Any) -> Any:
        """The medium in whatever a user holds: files, bytes, URLs, arrays, the medium itself.

        Raises:
            MediaError: saying what was given and what is accepted.
        """
        return media.take(given, self.load, resolve(self.converter))

    def save(self, medium: Any, path: str | Path) -> None:
        """Writes a medium to a file of type `suffix`."""
        resolve(self.saver)(medium, path)

    def preprocess(self, medium: Any, config: Any) -> Any:
        """The tensor that the encoder trunk reads, without its batch dimension.

        Args:
            config: the encoder's `PreprocessConfig`.
        """
        return resolve(self.preprocessor)(medium, config)

    def html(self, medium: Any) -> str:
        """One HTML element that shows or plays a medium."""
        return str(resolve(self.viewer)(medium))


def _suffixes(words: str) -> tuple[str, ...]:
    return tuple(f".{word}" for word in words.split())


MODALITIES: dict[str, Modality] = {
    row.name: row
    for row in (
        Modality(
            name="image",
            signal="IMG",
            signals=5,
            trunk="vision",
            preprocessor="nextgpt_lite.encoders.preprocess:preprocess_image",
            loader="nextgpt_lite.media:load_image",
            converter="nextgpt_lite.media:as_image",
            saver="nextgpt_lite.media:save_image",
            suffix=".png",
            extensions=_suffixes("png jpg jpeg webp gif bmp tif tiff avif ppm jp2 tga"),
            link='<img src="{}" height="128">',
        ),
        Modality(
            name="audio",
            signal="AUD",
            signals=9,
            preprocessor="nextgpt_lite.encoders.preprocess:preprocess_audio",
            loader="nextgpt_lite.media:load_audio",
            converter="nextgpt_lite.media:as_audio",
            saver="nextgpt_lite.media:save_audio",
            suffix=".wav",
            extensions=_suffixes("wav flac ogg mp3 m4a aac aiff aif caf w64 wma opus"),
            pair_id="audio_id",
            link='<audio controls src="{}"></audio>',
        ),
        Modality(
            name="video",
            signal="VID",
            signals=25,
            trunk="vision",
            preprocessor="nextgpt_lite.encoders.preprocess:preprocess_video",
            loader="nextgpt_lite.media:load_video",
            converter="nextgpt_lite.media:as_video",
            saver="nextgpt_lite.media:save_video",
            suffix=".mp4",
            extensions=_suffixes("mp4 webm mov mkv avi m4v ts mpg mpeg flv wmv"),
            link='<video controls height="128" src="{}"></video>',
        ),
    )
}
BUILT_IN = tuple(MODALITIES)  # rows of the package itself


def get_modality(name: str) -> Modality:
    """The row of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in MODALITIES:
        raise ConfigError(
            f"Unknown modality {name!r}: use one of {', '.join(MODALITIES)}, or add a row with "
            "nextgpt_lite.register(Modality(...))."
        )
    return MODALITIES[name]


def modality_of(path: str | Path) -> str:
    """The modality of a media file, by its first bytes or, where they tell none, by its ending.

    Raises:
        MediaError: it is not there, or no modality of the table reads it.
    """
    path = Path(path)
    if not path.is_file():
        raise MediaError(f"{path} does not exist: correct the path or choose another file.")
    form = sniff(path)
    if form is not None and form.modality in MODALITIES:
        return form.modality
    for row in MODALITIES.values():
        if form is None and path.suffix.lower() in row.extensions:
            return row.name
    raise MediaError(f"{path.name} is no {', '.join(MODALITIES)}: attach PNG, WAV or MP4.")


def register(row: Modality) -> Modality:
    """Adds a row, or replaces one of that name that was added before; gives it back.

    Raises:
        ConfigError: the package has a modality of that name, or another row uses one of its tokens
            or its plural.
    """
    if row.name in BUILT_IN or not row.name.isidentifier() or row.name in ("text", "none", "auto"):
        raise ConfigError(f"A modality cannot be called {row.name!r}: choose another name.")
    others = (other for other in MODALITIES.values() if other.name != row.name)
    taken, words = {word for other in others for word in _words(other)}, _words(row)
    if clash := [word for word in words if word in taken or words.count(word) > 1]:
        raise ConfigError(
            f"Modality {row.name!r} would use {clash[0]!r} twice, or another modality does: choose "
            "another signal, plural or name."
        )
    MODALITIES[row.name] = row
    return row


def unregister(name: str) -> None:
    """Takes a registered row out again; those of the package stay."""
    if name not in BUILT_IN:
        MODALITIES.pop(name, None)


def markers(names: Iterable[str] = BUILT_IN) -> list[str]:
    """The open and close markers of some modalities."""
    rows = map(get_modality, names)
    return [marker for row in rows for marker in (row.open, row.close)]


def resolve(reference: Reference) -> Callable[..., Any]:
    """What a row refers to, imported if it is named."""
    if not isinstance(reference, str):
        return reference
    module, _, name = reference.partition(":")
    found: Callable[..., Any] = getattr(import_module(module), name)
    return found


def _words(row: Modality) -> list[str]:
    """What no two rows may have in common."""
    return [row.plural, row.open, f"[{row.signal}]", row.caption_marks()[0]]
