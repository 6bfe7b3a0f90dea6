"""Metrics by the networks of papers, with small random ones in their places."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import (
    ASTConfig,
    ASTFeatureExtractor,
    ASTForAudioClassification,
    CLIPConfig,
    CLIPModel,
)

from nextgpt_lite.errors import MissingError, PackageError
from nextgpt_lite.evaluation.metrics import published
from nextgpt_lite.evaluation.metrics.distances import frechet_distance, inception_score
from nextgpt_lite.evaluation.metrics.named import Outcome
from nextgpt_lite.evaluation.registry import find
from nextgpt_lite.evaluation.tables.sheet import Sheet
from nextgpt_lite.media import Audio, Video
from nextgpt_lite.model.config import CHECKPOINTS, folder_name
from nextgpt_lite.world.pretraining.tokenizers import llm_tokenizer
from tests.tiny import SENTENCES

RNG = np.random.default_rng(0)


def pixels(*size: int) -> np.ndarray:
    return RNG.integers(0, 255, (*size, 3), np.uint8)


def outcome(modality: str, made: list[Any], truth: list[Any] = ()) -> Outcome:  # type: ignore[assignment]
    captions = [["a red car"], ["a dog barks"], ["a blue bird"]][: len(made)]
    return Outcome(modality, made, captions, None, truth)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv(CHECKPOINTS, str(tmp_path))
    yield tmp_path
    for cached in (published._inception, published._clip, published._tagger):
        cached.cache_clear()


def test_clip_reads_frames_and_captions_as_transformers_does(folder: Path) -> None:
    tokenizer = llm_tokenizer(SENTENCES)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
             "num_attention_heads": 2}  # fmt: skip
    text = {**small, "vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id}
    vision = {**small, "image_size": 32, "patch_size": 16}
    model = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=8)).eval()
    model.save_pretrained(folder / folder_name(published.CLIP))
    tokenizer.save_pretrained(folder / folder_name(published.CLIP))
    clips = [Video(pixels(2, 32, 32), 4.0), Video(pixels(3, 32, 32), 4.0)]
    found = find("metric", "CLIPSIM-CLIP")(outcome("video", clips))
    means = []
    for clip, words in zip(clips, ("a red car", "a dog barks"), strict=True):
        frames = torch.from_numpy(clip.frames).float().permute(0, 3, 1, 2) / 255
        mean, std = ([0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711])
        frames = (frames - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
        with torch.inference_mode():
            both = model(pixel_values=frames, **tokenizer([words], return_tensors="pt"))
        means.append((both.image_embeds @ both.text_embeds.T).mean())  # unit vectors
    assert found == pytest.approx(float(torch.stack(means).mean()), abs=1e-5)


def test_the_tagger_hears(folder: Path) -> None:
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
             "num_attention_heads": 2, "max_length": 64, "num_mel_bins": 32,
             "num_labels": 5}  # fmt: skip
    place = folder / folder_name(published.TAGGER)
    ASTForAudioClassification(ASTConfig(**sizes)).eval().save_pretrained(place)
    ASTFeatureExtractor(max_length=64, num_mel_bins=32).save_pretrained(place)
    audios = [Audio(RNG.normal(size=(1, 8000)).astype(np.float32) / 9, 8000) for _ in range(6)]
    made = outcome("audio", audios[:3], audios[:3])
    assert find("metric", "FD-AudioSet")(made) == pytest.approx(0, abs=1e-6)
    assert find("metric", "FD-AudioSet")(outcome("audio", audios[:3], audios[3:])) > 1e-6
    features, logits = published._tagger(place)(audios[:3])
    assert (features.shape, logits.shape) == ((3, 16), (3, 5))
    score = find("metric", "IS-AudioSet")(made)
    assert score == pytest.approx(inception_score(logits.softmax(-1)))


def test_inception_takes_its_weights_from_the_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / published.INCEPTION).write_bytes(b"weights")
    images = [Image.fromarray(pixels(8, 8)) for _ in range(3)] + [Image.fromarray(pixels(6, 9))]
    with pytest.raises(PackageError, match=r"torchmetrics.*nextgpt-lite\[published\]"):
        find("metric", "FID-Inception")(outcome("image", images[:2], images[2:]))

    class Network(torch.nn.Module):
        def __init__(self, name: str, outputs: list[str], path: str) -> None:
            super().__init__()
            assert (name, path) == ("inception-v3-compat", str(folder / published.INCEPTION))
            self.wanted = outputs

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            assert images.dtype == torch.uint8
            means = images.float().mean((2, 3))
            return means if self.wanted == ["2048"] else means / 99

    fake = SimpleNamespace(NoTrainInceptionV3=Network)
    for name in ("torchmetrics", "torchmetrics.image"):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace())
    monkeypatch.setitem(sys.modules, "torchmetrics.image.fid", fake)
    means = torch.tensor([np.asarray(i).reshape(-1, 3).mean(0) for i in images])
    found = outcome("image", images[:2], images[2:])
    distance = find("metric", "FID-Inception")(found)
    assert distance == pytest.approx(frechet_distance(means[2:], means[:2]), rel=1e-4)
    score = find("metric", "IS-Inception")(found)
    assert score == pytest.approx(inception_score((means[:2] / 99).softmax(-1)), rel=1e-4)


def test_a_network_that_is_not_there_costs_its_column_alone(folder: Path) -> None:
    found = outcome("image", [Image.fromarray(pixels(8, 8))])
    with pytest.raises(MissingError, match="openai--clip-vit-base-patch32 is not in the folder"):
        find("metric", "CLIPSIM-CLIP")(found)
    sheet = Sheet("mine", columns=("CLIPSIM-CLIP",))
    sheet.add("ours", found, sheet.columns)
    assert sheet.rows == {"ours": (None,)}
    assert "get it from its publisher" in sheet.markdown()
