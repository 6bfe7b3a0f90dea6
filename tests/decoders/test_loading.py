"""What loading a decoder says, and where its messages go."""

from __future__ import annotations

import logging
import subprocess
import sys

from nextgpt_lite.decoders.loading import without_advice


def test_loading_repeats_no_advice_that_misleads() -> None:
    code = (
        "from nextgpt_lite.model.config import locate\n"
        "from nextgpt_lite.decoders import load_decoder\n"
        "for modality in ('image', 'audio'): load_decoder(locate(f'lite/{modality}'))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "Loading" in done.stderr  # what loads tells of it there
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
