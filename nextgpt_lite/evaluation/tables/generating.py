"""Text to image, video and audio: Tables 2, 3 and 4 of the paper.

Knows: the request and the three rows: our model, its decoder alone, and a floor. Leaves to others:
items (a plugin, `benchmarks.items`), metrics (`metrics.named`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.decoders.base import Decoder
from nextgpt_lite.evaluation.metrics.features import Features
from nextgpt_lite.evaluation.metrics.named import Outcome
from nextgpt_lite.evaluation.registry import register
from nextgpt_lite.evaluation.tables.kept import in_parts
from nextgpt_lite.evaluation.tables.sheet import TABLES, Setting, Sheet
from nextgpt_lite.turn import signal_conditions

MODALITY = {2: "image", 3: "video", 4: "audio"}
REQUEST = {
    "image": "Show me a picture of {}.",
    "audio": "I wonder how it sounds when {}.",
    "video": "Show me how {}.",
}
MEASURED = {
    2: "FID",
    3: "FID of whole clips and CLIPSIM over frames",
    4: "FD, and IS of a zero-shot classifier of the plugin's own classes of sound",
}
BATCH = 8
FLOOR = "floor: the same captions rendered again"


@register("table", "2", "3", "4")
def measure(number: int, model: NextGPT, setting: Setting) -> Sheet:
    """Table 2, 3 or 4."""
    number = int(number)
    modality, features = MODALITY[number], Features.of(model)
    items = setting.items(modality)
    captions = [item.captions for item in items]
    texts = [item.captions[0] for item in items]
    rows = {
        "decoder alone, its own caption": from_captions(model, modality, texts, setting),
        "NExT-GPT, signal tokens": from_signals(model, modality, texts, setting),
    }
    if all(item.again for item in items):
        rows[FLOOR] = [item.again.open() for item in items if item.again]
    columns = (*TABLES[number].columns, *setting.metrics)
    sheet = Sheet(number, columns=columns)
    truth = [item.media() for item in items]
    for name, made in rows.items():
        found = Outcome(modality, made, captions, features, truth, plugin=setting.source)
        sheet.add(name, found, columns)
    sheet.protocol = (
        f"{MEASURED[number]}; N = {len(items)} items of {setting.where}, one medium each; "
        f"features: {features.name}, unit vectors. A Frechet distance of so few items is biased "
        "upwards, equally for all rows."
    )
    return sheet


def from_captions(
    model: NextGPT, modality: str, texts: Sequence[str], setting: Setting
) -> list[Any]:
    """What the decoder makes of captions through its own text encoder: the best we could do."""
    decoder = model.decoder(modality)
    return decode(decoder, decoder.encode_text(texts), setting, "captions")


def from_signals(
    model: NextGPT, modality: str, texts: Sequence[str], setting: Setting
) -> list[Any]:
    """What the model makes of a request for each caption (one turn, as the paper's section 6)."""
    asked = [REQUEST[modality].format(text.rstrip(" .")) for text in texts]
    conditions = signal_conditions(model, asked, modality)
    return decode(model.decoder(modality), conditions, setting, "signal tokens")


def decode(decoder: Decoder, conditions: Tensor, setting: Setting, name: str) -> list[Any]:
    """Media of conditions (N, L, C), each with a seed of its own, a few at a time."""

    def make(part: range) -> list[Any]:
        here, seeds = conditions[part.start : part.stop], [setting.seed + i for i in part]
        return [*decoder.generate_each(here, seeds, BATCH, num_inference_steps=setting.steps)]

    return in_parts(setting.parts, name, len(conditions), BATCH, make)
