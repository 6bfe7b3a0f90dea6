"""What loading a decoder says, and where its messages go."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DiffusionPipeline

from nextgpt_lite.decoders import load_decoder
from nextgpt_lite.decoders.loading import without_advice
from nextgpt_lite.model.config import locate


def test_loading_repeats_no_advice_that_misleads() -> None:
    code = (
        "from nextgpt_lite.model.config import locate\n"
        "from nextgpt_lite.decoders import load_decoder\n"
        "for modality in ('image', 'audio'): load_decoder(locate(f'lite/{modality}'))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "torchvision" not in done.stderr
    assert "deprecated" not in done.stderr


def test_other_libraries_loggers_are_left_as_they_were() -> None:
    logger = logging.getLogger("transformers.utils.import_utils")
    before = list(logger.filters)
    with without_advice():
        assert len(logger.filters) == len(before) + 1
        misleading = logging.LogRecord(
            "", 0, "", 0, "X requires torchvision (not installed)", (), None
        )
        assert not logger.filter(misleading)
    assert logger.filters == before


@pytest.mark.parametrize("modality", ["image", "audio", "video"])
def test_diffusers_alone_loads_a_shipped_decoder(modality: str, tmp_path: Path) -> None:
    """The video's autoencoder is the image's, shipped once, and diffusers refuses to look outside
    of a folder: it is given by hand, or written beside the rest once, by `save_pretrained`."""
    folder = locate(f"lite/{modality}")
    borrowed = {}
    if modality == "video":
        borrowed = {"vae": AutoencoderKL.from_pretrained(locate("lite/image") / "vae")}
    pipeline = DiffusionPipeline.from_pretrained(folder, **borrowed)
    ours = load_decoder(folder).pipeline
    assert type(pipeline) is type(ours)
    assert pipeline.components.keys() == ours.components.keys()
    if modality == "video":
        ours.save_pretrained(tmp_path)
        pipeline = DiffusionPipeline.from_pretrained(tmp_path)
        assert torch.equal(pipeline.vae.quant_conv.weight, ours.vae.quant_conv.weight)
