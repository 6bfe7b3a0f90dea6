"""Metrics by the names that tables print, each one number of what was made of a table's items.

Knows: which features and which captions a metric is of. Leaves to others: the formulas
(`captioning`, `distances`), the features themselves (`features`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from nextgpt_lite.errors import ConfigError, DataError
from nextgpt_lite.evaluation.metrics import captioning
from nextgpt_lite.evaluation.metrics.distances import (
    frechet_distance,
    inception_score,
    mel_cepstral_distortion,
    similarities,
)
from nextgpt_lite.evaluation.metrics.features import Features
from nextgpt_lite.evaluation.registry import find, has, register

GREY = 127  # laid over what is edited, so that only what should stay is compared


@dataclass(frozen=True)
class Outcome:
    """What was made of N items: all that a metric may look at.

    Attributes:
        modality: of what was made; "text" too.
        made: texts or media.
        captions: of each item; the first says what was asked for.
        truth: media as they should be, where that is known.
        given, masks: media before an edit, and where they may change.
        features: of media and texts.
        plugin: that made the items; "" where they come from a benchmark's file.
    """

    modality: str
    made: Sequence[Any]
    captions: Sequence[Sequence[str]]
    features: Features
    truth: Sequence[Any] = ()
    given: Sequence[Any] = ()
    masks: Sequence[Any] = ()
    plugin: str = ""

    def __post_init__(self) -> None:
        if not self.made or len(self.made) != len(self.captions):
            raise DataError(
                f"{len(self.made)} media or texts for {len(self.captions)} items: give one for "
                "each, one item at least."
            )
        if missing := [number for number, each in enumerate(self.made) if each is None]:
            raise DataError(f"Nothing was made of item {missing[0]}: leave the item out.")

    @property
    def asked(self) -> list[str]:
        """The caption of each item that was asked for."""
        return [texts[0] for texts in self.captions]


@register("metric", "B@4")
def bleu_4(found: Outcome) -> float:
    """BLEU-4, in [0, 1]."""
    return captioning.bleu_4(found.made, found.captions)


@register("metric", "ROUGE-L")
def rouge_l(found: Outcome) -> float:
    """ROUGE-L, in [0, 1]."""
    return captioning.rouge_l(found.made, found.captions)


@register("metric", "CIDEr")
def cider(found: Outcome) -> float:
    """CIDEr-D, in [0, 10]."""
    return captioning.cider(found.made, found.captions)


@register("metric", "METEOR")
def meteor(found: Outcome) -> float:
    """METEOR 1.5 where Java is, else that of 2005 with equal words only; in [0, 1]."""
    metric = captioning.meteor_1_5 if captioning.has_java() else captioning.meteor_2005
    return metric(found.made, found.captions)


@register("metric", "SPIDEr")
def spider(found: Outcome) -> float:
    """The mean of CIDEr and SPICE; a plugin may have `facts` in the place of SPICE."""
    own = has("facts", found.plugin)
    meaning = find("facts", found.plugin) if own else captioning.spice
    return captioning.spider(found.made, found.captions, meaning)


@register("metric", "FID", "FD")
def frechet(found: Outcome) -> float:
    """Frechet distance of the true media and those made, a video being one vector."""
    sets = (found.truth, found.made)
    return frechet_distance(*(found.features.media(found.modality, media) for media in sets))


@register("metric", "masked FID")
def masked_frechet(found: Outcome) -> float:
    """Frechet distance of images given and edited, both grey where the edit may change them.

    0 where nothing changed that should not have.
    """
    sets = (zip(images, found.masks, strict=True) for images in (found.given, found.made))
    vectors = (found.features.media("image", [_grey(*each) for each in pairs]) for pairs in sets)
    return frechet_distance(*vectors)


@register("metric", "IS")
def inception(found: Outcome) -> float:
    """Inception Score of a zero-shot classifier of the plugin's classes of audio.

    Raises:
        ConfigError: the items are of a file, and no plugin names classes of its sounds: by those of
            another world nearly any audio gets 1.
    """
    if not has("sound_classes", found.plugin):
        raise ConfigError(
            "the Inception Score needs the classes of these sounds, which no plugin names; it is "
            "not measured."
        )
    classes = find("sound_classes", found.plugin)()
    probabilities = found.features.class_probabilities(found.modality, found.made, classes)
    return inception_score(probabilities)


@register("metric", "CLIP")
def clip_score(found: Outcome) -> float:
    """100 times the cosine of each medium and its caption."""
    media = found.features.media(found.modality, found.made)
    return 100 * float(similarities(media, found.features.texts(found.asked)).mean())


@register("metric", "CLIPSIM", "CLIP-T")
def clip_similarity(found: Outcome) -> float:
    """Cosine of the caption with each frame, mean over frames, then over videos."""
    means = []
    for clip, text in zip(found.made, found.features.texts(found.asked), strict=True):
        frames = found.features.frames(clip)  # (T, E)
        means.append(similarities(frames, text.expand_as(frames)).mean())
    return float(torch.stack(means).mean())


@register("metric", "CLIP-I")
def steadiness(found: Outcome) -> float:
    """Cosine of each frame with the next, mean over frames, then over videos."""
    frames = [found.features.frames(clip) for clip in found.made]
    return float(torch.stack([similarities(f[:-1], f[1:]).mean() for f in frames]).mean())


@register("metric", "MCD")
def cepstral_distortion(found: Outcome) -> float:
    """Mel-cepstral distortion in decibels to the audio clips as they should be."""
    pairs = zip(found.truth, found.made, strict=True)
    return float(np.mean([mel_cepstral_distortion(*pair) for pair in pairs]))


def _grey(picture: Image.Image, mask: np.ndarray) -> Image.Image:
    pixels = np.asarray(picture.convert("RGB")).copy()
    pixels[mask] = GREY
    return Image.fromarray(pixels)
