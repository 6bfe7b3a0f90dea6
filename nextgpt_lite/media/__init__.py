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
from nextgpt_lite.media.given import as_array, as_audio, as_image, as_video, fetch, several, take

__all__ = [
    "Audio",
    "Media",
    "MediaError",
    "Video",
    "as_array",
    "as_audio",
    "as_image",
    "as_video",
    "fetch",
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
    "several",
    "take",
]
