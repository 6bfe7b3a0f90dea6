"""Pictures, sounds and clips: their types, reading, checking and saving."""

from nextgpt_lite.errors import MediaError
from nextgpt_lite.media.files import (
    Audio,
    Media,
    Video,
    load,
    load_audio,
    load_image,
    load_video,
    resample,
    safe_path,
    save,
    save_audio,
    save_image,
    save_video,
)

__all__ = [
    "Audio",
    "Media",
    "MediaError",
    "Video",
    "load",
    "load_audio",
    "load_image",
    "load_video",
    "resample",
    "safe_path",
    "save",
    "save_audio",
    "save_image",
    "save_video",
]
