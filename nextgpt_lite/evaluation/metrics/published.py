"""Metrics by the networks that papers measure with, where those are on this machine.

| metric | network | its place |
|---|---|---|
| FID-Inception, IS-Inception | Inception v3 of FID (torchmetrics, torch-fidelity) | `INCEPTION` |
| CLIPSIM-CLIP | OpenAI's CLIP ViT-B/32 (transformers) | `CLIP` |
| FD-AudioSet, IS-AudioSet | AST, which tags AudioSet as PANNs does (transformers) | `TAGGER` |

Each is a file or folder of that name in the folder of checkpoints, a hub id with "--" for "/"; none
is fetched. They are further columns of any table: `evaluate --table 2 --metric FID-Inception`. What
a table calls FID, FD, IS and CLIPSIM is measured by the model's own encoder (`features`).

Knows: these networks' inputs and which of their outputs counts. Leaves to others: what is computed
of them (`distances`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from nextgpt_lite.encoders.preprocess import PreprocessConfig, preprocess_image
from nextgpt_lite.errors import DataError, MissingError, extra
from nextgpt_lite.evaluation.metrics.distances import (
    frechet_distance,
    inception_score,
    similarities,
)
from nextgpt_lite.evaluation.metrics.named import Outcome
from nextgpt_lite.evaluation.registry import register
from nextgpt_lite.media import Audio, Video
from nextgpt_lite.model.config import CHECKPOINTS, folder_name, locate

INCEPTION = "weights-inception-2015-12-05-6726825d.pth"
CLIP = "openai/clip-vit-base-patch32"
TAGGER = "MIT/ast-finetuned-audioset-10-10-0.4593"
BATCH = 16


@register("metric", "FID-Inception")
def frechet_inception(found: Outcome) -> float:
    """FID of images, or of all frames of videos."""
    network = _inception(_found(INCEPTION), "2048")
    sets = (_images(found.truth), _images(found.made))
    return frechet_distance(*(_batched(network, _pixels(images)) for images in sets))


@register("metric", "IS-Inception")
def inception(found: Outcome) -> float:
    """Inception Score of images, or of all frames of videos; one split."""
    network = _inception(_found(INCEPTION), "logits_unbiased")
    return inception_score(_batched(network, _pixels(_images(found.made))).softmax(-1))


@register("metric", "CLIPSIM-CLIP")
def clip_similarity(found: Outcome) -> float:
    """Cosine of the caption with the image or each frame, mean over frames, then over items."""
    look, read = _clip(_found(CLIP))
    means = []
    for made, text in zip(found.made, found.asked, strict=True):
        frames = look(_images([made]))  # (T, E)
        means.append(similarities(frames, read(text).expand_as(frames)).mean())
    return float(torch.stack(means).mean())


@register("metric", "FD-AudioSet")
def frechet_audio(found: Outcome) -> float:
    """Frechet distance of audio clips by an AudioSet tagger's last features."""
    hear = _tagger(_found(TAGGER))
    return frechet_distance(*(hear(audios)[0] for audios in (found.truth, found.made)))


@register("metric", "IS-AudioSet")
def inception_audio(found: Outcome) -> float:
    """Inception Score of audio clips by the tagger's classes."""
    return inception_score(_tagger(_found(TAGGER))(found.made)[1].softmax(-1))


def _found(name: str) -> Path:
    try:
        return locate(name)
    except MissingError as error:
        raise MissingError(
            f"{folder_name(name)} is not in the folder that {CHECKPOINTS} names: get it from its "
            "publisher and put it there."
        ) from error


@lru_cache(maxsize=2)
@extra("published")
def _inception(path: Path, output: str) -> Any:
    from torchmetrics.image.fid import NoTrainInceptionV3

    return NoTrainInceptionV3("inception-v3-compat", [output], str(path)).eval()


@lru_cache(maxsize=1)
def _clip(folder: Path) -> tuple[Callable[[list[Image.Image]], Tensor], Callable[[str], Tensor]]:
    """Images -> (N, E), a text -> (E,)."""
    from transformers import AutoTokenizer, CLIPModel

    model = CLIPModel.from_pretrained(folder, local_files_only=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    # ImageBind's images are prepared as CLIP's: bicubic, the middle square, the same mean.
    size = PreprocessConfig(image_size=model.config.vision_config.image_size)

    @torch.inference_mode()
    def look(images: list[Image.Image]) -> Tensor:
        pixels = [
            preprocess_image(image, size).reshape(3, *[size.image_size] * 2) for image in images
        ]
        seen = model.vision_model(torch.stack(pixels)).pooler_output
        return model.visual_projection(seen)

    @torch.inference_mode()
    def read(text: str) -> Tensor:
        ids = tokenizer([text], truncation=True, max_length=77, return_tensors="pt")
        return model.text_projection(model.text_model(**ids).pooler_output)[0]

    return look, read


@lru_cache(maxsize=1)
def _tagger(folder: Path) -> Callable[[Sequence[Audio]], tuple[Tensor, Tensor]]:
    """Audio clips -> features (N, D), logits (N, classes)."""
    from transformers import AutoFeatureExtractor, AutoModelForAudioClassification

    model = AutoModelForAudioClassification.from_pretrained(folder, local_files_only=True).eval()
    prepare = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
    rate = prepare.sampling_rate

    @torch.inference_mode()
    def hear(audios: Sequence[Audio]) -> tuple[Tensor, Tensor]:
        features, logits = [], []
        for audio in audios:
            inputs = prepare(audio.mono(rate), sampling_rate=rate, return_tensors="pt")
            said = model(**inputs, output_hidden_states=True)
            features.append(said.hidden_states[-1].mean(1))
            logits.append(said.logits)
        return torch.cat(features), torch.cat(logits)

    return hear


def _images(media: Sequence[Any]) -> list[Image.Image]:
    """Images as they are, of videos each frame."""
    images: list[Image.Image] = []
    for medium in media:
        frames = medium.frames if isinstance(medium, Video) else ()
        images += [Image.fromarray(frame) for frame in frames] if len(frames) else [medium]
    if any(not isinstance(image, Image.Image) for image in images):
        raise DataError("This metric is of images or videos: leave it out of a table of audio.")
    return images


def _pixels(images: Sequence[Image.Image]) -> list[Tensor]:
    return [torch.from_numpy(np.asarray(i.convert("RGB")).copy()).permute(2, 0, 1) for i in images]


@torch.inference_mode()
def _batched(network: Any, pixels: list[Tensor]) -> Tensor:
    """(N, 3, H, W) uint8, of any sizes -> (N, outputs)."""
    sizes = {each.shape for each in pixels}
    size = BATCH if len(sizes) == 1 else 1
    batches = [torch.stack(pixels[n : n + size]) for n in range(0, len(pixels), size)]
    return torch.cat([network(batch) for batch in batches])
