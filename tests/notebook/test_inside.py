"""The player of a reply: a frame for each thing that happened, the last one shown."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from nextgpt_lite.display import MIME
from nextgpt_lite.notebook import inside
from nextgpt_lite.trace import trace
from tests.tiny import tiny_model


def test_a_frame_for_each_forward_condition_step_and_medium(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, shown = tiny_model(), []
    monkeypatch.setattr(inside, "display", shown.append)
    options: Any = {"output_modalities": ["image"], "num_inference_steps": 2, "max_new_tokens": 2}
    traced = trace(model, "a <b>dog</b>", previews=1, **options)
    assert [step for step, _ in traced.blocks[0].film] == [1, 2]
    plain = model.chat("a <b>dog</b>", **options)
    assert np.array_equal(*map(np.asarray, (plain.images[0], traced.reply.images[0])))

    inside.show_trace(traced)
    data = shown[0].data
    assert data[MIME]["frames"] == len(traced.forwards) + 1 + 2 + 1
    page = data["text/html"]
    assert page.count("<section hidden>") == data[MIME]["frames"] - 1
    assert page.count("<span class=") == len(traced.rows) + 2
    assert "<b>dog" not in page, "what a user says is no HTML"
    assert data["text/plain"] == str(traced)
