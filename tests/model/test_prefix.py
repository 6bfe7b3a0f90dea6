"""Frozen beginnings of rows are read apart, and nothing changes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.model.batch import collate
from nextgpt_lite.training.features import Features
from tests.model.test_batch import losses_and_gradients, open_and_stirred
from tests.training.runs import record


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_frozen_prefixes_are_read_once_and_change_nothing(
    attention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stage 2: one caption as a sound, a clip and a picture, and two other conversations."""
    model = open_and_stirred(2)
    model.llm.causal_lm.set_attn_implementation(attention)
    talks = [[{"role": "user", "content": ""},
              {"role": "assistant", "content": [{"type": "text", "text": "A dog barks twice."},
                                                {"type": modality, "caption": "a dog"}]}]
             for modality in ("audio", "video", "image")]  # fmt: skip
    talks += [record(index).messages for index in (0, 1)]
    features = Features(model)
    batch = collate(
        [model.conversation.encode(messages) for messages in talks],
        pad_id=0, width=24, features=features.media, conditions=features.conditions,
    )  # fmt: skip
    forwards: list[tuple[int, bool]] = []

    def watched(embeddings: Tensor, *rest: object, **named: object) -> Tensor:
        forwards.append((embeddings.shape[0] * embeddings.shape[1], torch.is_grad_enabled()))
        return hidden(embeddings, *rest, **named)

    hidden = model.llm.hidden
    monkeypatch.setattr(model.llm, "hidden", watched)
    ours, gradients = losses_and_gradients(model, batch)
    (before, graph), (behind, _) = forwards
    assert not graph, "no backward pass through what is frozen"
    assert before + behind < 0.8 * batch.ids.numel()
    forwards.clear()
    monkeypatch.setattr(NextGPT, "prefixes_frozen", False)
    theirs, expected = losses_and_gradients(model, batch)
    assert len(forwards) == 1
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert set(gradients) == set(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name], gradient, atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize(("number", "frozen"), [(1, False), (2, True), (3, False)])
def test_only_stage_2_has_frozen_prefixes(number: int, frozen: bool) -> None:
    assert open_and_stirred(number).prefixes_frozen is frozen
