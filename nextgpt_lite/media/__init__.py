"""Images, audio and videos: their types, reading, checking and saving."""

from nextgpt_lite.errors import MediaError
from nextgpt_lite.media.files import (
    Audio,
    Media,
    Video,
    load_array,
    load_audio,
    load_image,
    load_video,
    resample,
    safe_path,
    save_array,
    save_audio,
    save_image,
    save_video,
)

__all__ = [
    "Audio",
    "Media",
    "MediaError",
    "Video",
    "load_array",
    "load_audio",
    "load_image",
    "load_video",
    "resample",
    "safe_path",
    "save_array",
    "save_audio",
    "save_image",
    "save_video",
]
