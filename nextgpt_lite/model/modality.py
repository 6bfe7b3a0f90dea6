"""The one table of modalities: a new one is a row here, an encoder trunk and a decoder.

Knows: how each modality is marked in a conversation, its signal tokens, its file types and which
classes carry it. Leaves to others: reading files (`media`), encoding and decoding.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Modality:
    """One row of the table.

    Attributes:
        name: "image", "audio" or "video"; also the `type` of a message part.
        plural: the name of the list of such media in a reply and in `chat`.
        open, close: markers around the projected vectors of an input item (paper section 3).
        signal: prefix of its signal tokens, `[IMG0]` and so on.
        paper_signals: number of signal tokens printed in the paper (section 5.1).
        trunk: the encoder trunk that reads it; clips go through the vision trunk.
        decoder: "module:class" of its decoder, imported only when one is loaded.
        suffix: file type in which replies save it.
        extensions: file types that are read.
    """

    name: str
    plural: str
    open: str
    close: str
    signal: str
    paper_signals: int
    trunk: str
    decoder: str
    suffix: str
    extensions: tuple[str, ...]

    def signal_tokens(self, count: int) -> list[str]:
        """The names of its first `count` signal tokens."""
        return [f"[{self.signal}{index}]" for index in range(count)]

    def caption_marks(self) -> list[str]:
        """What stands around a caption that is the messenger: `<Image>` and `</Image>`."""
        return [f"<{self.name.capitalize()}>", f"</{self.name.capitalize()}>"]


MODALITIES: dict[str, Modality] = {
    row.name: row
    for row in (
        Modality(
            "image", "images", "<Img>", "</Img>", "IMG", 5, "vision",
            "nextgpt_lite.decoders.image:ImageDecoder", ".png",
            (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp"),
        ),
        Modality(
            "audio", "audios", "<Aud>", "</Aud>", "AUD", 9, "audio",
            "nextgpt_lite.decoders.audio:AudioDecoder", ".wav",
            (".wav", ".flac", ".ogg", ".mp3", ".m4a"),
        ),
        Modality(
            "video", "videos", "<Vid>", "</Vid>", "VID", 25, "vision",
            "nextgpt_lite.decoders.video:VideoDecoder", ".mp4",
            (".mp4", ".webm", ".mov", ".mkv", ".avi"),
        ),
    )
}  # fmt: skip


def markers() -> list[str]:
    """Every open and close marker, in table order."""
    return [marker for row in MODALITIES.values() for marker in (row.open, row.close)]
