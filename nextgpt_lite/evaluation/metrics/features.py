"""The named feature extractor behind FID, FD, IS, CLIPSIM and their kin: the model's own ImageBind.

Knows: vectors of media and texts, and class probabilities read off them. Leaves to others: what
is computed from them (`distances`).

The paper's numbers come from Inception v3 (images), PANNs (audio clips) and CLIP (texts). None of
them is here: one frozen encoder serves all, `Features.name` says which, and a value is to be
compared only with values of the same extractor, the same N and the same images' size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.encoders import Encoder
from nextgpt_lite.media import Video
from nextgpt_lite.model.config import locate


class Features:
    """Unit vectors of media and texts in one space.

    Args:
        encoder: with its text trunk where texts or classes are asked for.
        name: what a table calls it.
    """

    def __init__(self, encoder: Encoder, name: str) -> None:
        self.encoder = encoder
        self.name = f"ImageBind ({name}, {encoder.width} features, not Inception)"

    @classmethod
    def of(cls, model: NextGPT) -> Features:
        """The model's encoder, loaded again with its text trunk if it was loaded without."""
        encoder = model.encoder
        if encoder.tokenizer is None and not model._given_encoder:
            folder = locate(model.config.encoder)
            encoder = Encoder.from_pretrained(folder, trunks=("vision", "audio", "text"))
            encoder = encoder.to(model.device)
        return cls(encoder, model.config.encoder)

    def media(self, modality: str, items: Sequence[Any]) -> Tensor:
        """(N, E) of images, audio or videos."""
        return F.normalize(self.encoder.encode([(modality, item) for item in items]), dim=-1).cpu()

    def frames(self, clip: Video) -> Tensor:
        """(T, E) of a video's frames, each as an image."""
        return self.media("image", [Image.fromarray(frame) for frame in clip.frames])

    def texts(self, texts: Sequence[str]) -> Tensor:
        """(N, E) of texts."""
        return F.normalize(self.encoder.encode_text(texts), dim=-1).cpu()

    def class_probabilities(
        self, modality: str, items: Sequence[Any], classes: Sequence[Sequence[str]]
    ) -> Tensor:
        """(N, classes) zero-shot: the Inception Score's classifier, made of captions.

        Protocol: a class is the mean vector of its captions; softmax over the cosines times the
        text trunk's learned scale.
        """
        names = torch.stack([self.texts(captions).mean(0) for captions in classes])
        cosines = self.media(modality, items) @ F.normalize(names, dim=-1).T  # (N, classes)
        scale = self.encoder.encode_text(classes[0][:1]).norm().cpu()
        return torch.softmax(cosines * scale, dim=-1)
