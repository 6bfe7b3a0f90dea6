"""Text to image, clip and sound: Tables 2, 3 and 4 of the paper.

Knows: the request, the three rows (our model, its decoder alone, and a floor) and each table's
metrics. Leaves to others: items (`benchmarks.items`), features and
distances (`evaluation.metrics`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from tqdm.auto import tqdm

from nextgpt_lite.chat import signal_condition
from nextgpt_lite.decoders.base import Decoder
from nextgpt_lite.evaluation.benchmarks.items import Item, lite_items, read_items
from nextgpt_lite.evaluation.metrics.distances import (
    frechet_distance,
    inception_score,
    similarities,
)
from nextgpt_lite.evaluation.metrics.features import Features
from nextgpt_lite.evaluation.tables.sheet import Sheet, Values
from nextgpt_lite.model.nextgpt import NextGPT
from nextgpt_lite.world.describe import caption
from nextgpt_lite.world.scene import KINDS, PITCHES, Sound

if TYPE_CHECKING:
    from nextgpt_lite.evaluation.tables.run import Setting

MODALITY = {2: "image", 3: "video", 4: "audio"}
REQUEST = {
    "image": "Show me a picture of {}.",
    "audio": "I wonder how it sounds when {}.",
    "video": "Show me how {}.",
}
BATCH = 8
FLOOR = "floor: the same captions rendered again"


def measure(number: int, model: NextGPT, setting: Setting) -> Sheet:
    """Table 2, 3 or 4."""
    modality = MODALITY[number]
    features = Features.of(model)
    items = caption_items(modality, setting)
    real = [item.media() for item in items]
    texts = [item.captions[0] for item in items]
    sets = {
        "decoder alone, its own caption": from_captions(model, modality, texts, setting),
        "NExT-GPT, signal tokens": from_signals(model, modality, texts, setting),
    }
    rows = {name: _values(number, features, real, made, texts) for name, made in sets.items()}
    if setting.data is None:
        again = [Item(i.id, modality, i.captions, i.source, i.seed + 10**6).media() for i in items]
        rows[FLOOR] = _values(number, features, real, again, texts)
    return Sheet(number, rows, _protocol(number, features, len(items), setting))


def caption_items(modality: str, setting: Setting) -> list[Item]:
    """`count` items of the lite world, or the first ones of a benchmark file.

    Raises:
        ValueError: the file has media of another modality.
    """
    if setting.data is None:
        return lite_items(modality, setting.count, seed=2_000_000 + setting.seed)
    items = read_items(setting.data, setting.media)[: setting.count]
    if items[0].modality != modality:
        raise ValueError(
            f"{setting.data} is about {items[0].modality}, this table about {modality}: give the "
            "benchmark file of the paper's table."
        )
    return items


def from_captions(
    model: NextGPT, modality: str, texts: Sequence[str], setting: Setting
) -> list[Any]:
    """What the decoder makes of captions through its own text encoder: the best we could do."""
    decoder = model.decoder(modality)
    return decode(decoder, decoder.encode_text(texts), setting)


def from_signals(
    model: NextGPT, modality: str, texts: Sequence[str], setting: Setting
) -> list[Any]:
    """What the model makes of a request for each caption (one turn, as the paper's section 6)."""
    request = REQUEST[modality]
    conditions = torch.stack(
        [
            signal_condition(model, request.format(text.rstrip(" .")), modality)
            for text in tqdm(texts, desc=f"signal tokens, {modality}", leave=False)
        ]
    )
    return decode(model.decoder(modality), conditions, setting)


def decode(decoder: Decoder, conditions: Tensor, setting: Setting) -> list[Any]:
    """Media of conditions (N, L, C), each with a seed of its own, a few at a time."""
    seeds = range(setting.seed, setting.seed + len(conditions))
    made = decoder.generate_each(conditions, seeds, BATCH, num_inference_steps=setting.steps)
    return [*tqdm(made, desc=decoder.modality, total=len(conditions), leave=False)]


def clip_similarity(features: Features, clips: Sequence[Any], texts: Sequence[str]) -> float:
    """CLIPSIM: cosine of the caption with each frame, mean over frames, then over clips."""
    means = []
    for clip, text in zip(clips, features.texts(texts), strict=True):
        frames = features.frames(clip)  # (T, E)
        means.append(similarities(frames, text.expand_as(frames)).mean())
    return float(torch.stack(means).mean())


def sound_classes() -> list[list[str]]:
    """The lite world's twenty classes of sound, each by its captions: ten kinds, two pitches."""
    return [
        [caption(Sound(kind, times, pitch)) for times in range(1, 5)]
        for kind in KINDS
        for pitch in PITCHES
    ]


def _values(
    number: int, features: Features, real: list[Any], made: list[Any], texts: list[str]
) -> Values:
    modality = MODALITY[number]
    distance = frechet_distance(features.media(modality, real), features.media(modality, made))
    extra: dict[int, Callable[[], float]] = {
        3: lambda: clip_similarity(features, made, texts),
        4: lambda: inception_score(features.class_probabilities("audio", made, sound_classes())),
    }
    return (distance, extra[number]()) if number in extra else (distance,)


def _protocol(number: int, features: Features, count: int, setting: Setting) -> str:
    where = "the lite world" if setting.data is None else str(setting.data)
    metrics = {
        2: "FID",
        3: "FID of whole clips and CLIPSIM over frames",
        4: "FD, and IS of a zero-shot classifier of twenty kinds and pitches of sound",
    }
    return (
        f"{metrics[number]}; N = {count} items of {where}, one medium each; features: "
        f"{features.name}, unit vectors. A Frechet distance of so few items is biased upwards, "
        "equally for all rows."
    )
