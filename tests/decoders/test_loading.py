"""What loading a decoder says, and where its messages go."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
import torch
from diffusers import DiffusionPipeline

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
def test_diffusers_alone_loads_a_shipped_decoder(modality: str) -> None:
    folder = locate(f"lite/{modality}")
    if modality == "video" and not (folder / "vae").is_dir():
        pytest.skip("git made no link of video/vae here: give diffusers the image's as vae=")
    pipeline = DiffusionPipeline.from_pretrained(folder)
    ours = load_decoder(folder).pipeline
    assert type(pipeline) is type(ours)
    assert pipeline.components.keys() == ours.components.keys()
    for theirs, own in zip(pipeline.vae.parameters(), ours.vae.parameters(), strict=True):
        assert torch.equal(theirs, own)


def test_the_linked_autoencoder_is_not_part_of_what_identifies_the_weights() -> None:
    """Sums, caches and the suite go by the files of a folder, as before there was a link."""
    assert not [path for path in locate("lite/video").rglob("*") if "vae" in path.parts[-2:-1]]
