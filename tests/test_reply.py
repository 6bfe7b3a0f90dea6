"""A reply and its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.test_chat import EVERY
from tests.tiny import tiny_model


@pytest.fixture(scope="module")
def model():
    return tiny_model()


def test_a_reply_saves_itself(model, tmp_path: Path) -> None:
    reply = model.chat("Draw", output_modalities=EVERY, max_new_tokens=3, num_inference_steps=1)
    values = json.loads(reply.save(tmp_path / "new").read_text())
    assert set(values) == {"text", "media", "signal_tokens", "warnings", "seconds"}
    assert values["text"] == reply.text
    assert {entry["modality"] for entry in values["media"]} == set(EVERY)
    for entry in values["media"]:
        assert (tmp_path / "new" / entry["path"]).stat().st_size > 0
    assert values["seconds"] > 0
