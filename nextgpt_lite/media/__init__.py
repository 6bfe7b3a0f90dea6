"""Images, audio and videos: their types, reading, checking and saving."""

from nextgpt_lite.errors import MediaError
from nextgpt_lite.media.audios import load_audio, save_audio
from nextgpt_lite.media.files import check_name, follow_links, load_array, safe_path, save_array
from nextgpt_lite.media.given import as_array, as_audio, as_image, as_video, fetch, several, take
from nextgpt_lite.media.images import load_image, save_image
from nextgpt_lite.media.notes import note, noted
from nextgpt_lite.media.remarks import remarks
from nextgpt_lite.media.types import Audio, Media, Video, resample
from nextgpt_lite.media.videos import load_video, save_video

__all__ = [
    "Audio",
    "Media",
    "MediaError",
    "Video",
    "as_array",
    "as_audio",
    "as_image",
    "as_video",
    "check_name",
    "fetch",
    "follow_links",
    "load_array",
    "load_audio",
    "load_image",
    "load_video",
    "note",
    "noted",
    "remarks",
    "resample",
    "safe_path",
    "save_array",
    "save_audio",
    "save_image",
    "save_video",
    "several",
    "take",
]
