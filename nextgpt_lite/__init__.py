"""NExT-GPT, any-to-any, at three sizes of one system; `lite` runs on a laptop offline.

    from nextgpt_lite import NextGPT
    model = NextGPT.from_pretrained("lite")
    reply = model.chat("Show me a red car.", seed=0)

Letters in shape comments, everywhere: B batch, S sequence, D LLM width, E encoder width, M media
items, K input tokens per item, X signal blocks, N signal tokens, L condition length, C condition
width, T frames, H height, W width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nextgpt_lite.media import Audio, MediaError, Video
    from nextgpt_lite.model.config import NextGPTConfig
    from nextgpt_lite.model.modality import Modality, register, unregister
    from nextgpt_lite.model.nextgpt import NextGPT
    from nextgpt_lite.reply import Event, Reply

__version__ = "0.1.0"
__all__ = [
    "Audio",
    "Event",
    "MediaError",
    "Modality",
    "NextGPT",
    "NextGPTConfig",
    "Reply",
    "Video",
    "register",
    "unregister",
]

_HOMES = {
    "NextGPT": "model.nextgpt",
    "NextGPTConfig": "model.config",
    "Modality": "model.modality",
    "register": "model.modality",
    "unregister": "model.modality",
    "Audio": "media",
    "MediaError": "media",
    "Video": "media",
    "Event": "reply",
    "Reply": "reply",
}


def __getattr__(name: str) -> Any:
    """Imports a public name at first use: torch and transformers cost seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module 'nextgpt_lite' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"nextgpt_lite.{_HOMES[name]}"), name)
