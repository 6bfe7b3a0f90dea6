"""A trace tells what the LLM really read, forward by forward."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from nextgpt_lite.trace import Trace, trace
from tests.tiny import tiny_model

MESSAGES = [
    {
        "role": "user",
        "content": [
            {"type": "image", "data": Image.new("RGB", (40, 40), "red")},
            {"type": "text", "text": "Draw a red car"},
        ],
    }
]


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def traced(model) -> Trace:
    return trace(
        model, MESSAGES, output_modalities=["audio", "image"], max_new_tokens=3,
        num_inference_steps=1,
    )  # fmt: skip


def test_each_position_has_its_origin(model, traced: Trace) -> None:
    assert [row.position for row in traced.rows] == list(range(len(traced.rows)))
    media = [row for row in traced.rows if row.origin == "media"]
    assert [row.token for row in media] == ["image 1/2", "image 2/2"]
    assert traced.rows[media[0].position - 1].token == "<Img>"
    assert traced.rows[media[-1].position + 1].token == "</Img>"
    signal = [row.token for row in traced.rows if row.origin == "signal"]
    assert signal == traced.reply.signal_tokens


def test_a_block_is_one_forward(model, traced: Trace) -> None:
    lengths = sorted(len(block.tokens) for block in traced.blocks)
    assert lengths == [5, 9]
    words = len(traced.ids) - sum(lengths)
    assert sorted(traced.forwards) == sorted([traced.prompt_length, *[1] * words, *lengths])
    for block in traced.blocks:
        rows = traced.rows[block.start : block.start + len(block.tokens)]
        assert [row.token for row in rows] == block.tokens
        assert len({row.forward for row in rows}) == 1


def test_the_traced_reply_is_the_untraced_one(model, traced: Trace) -> None:
    reply = model.chat(
        MESSAGES, output_modalities=["audio", "image"], max_new_tokens=3, num_inference_steps=1
    )
    assert traced.reply.text == reply.text
    for block, made in zip(traced.blocks, reply.made, strict=True):
        torch.testing.assert_close(block.condition, made.condition)
    embedding = model.llm.causal_lm.get_input_embeddings()
    assert not embedding._forward_pre_hooks
    assert not model.llm.causal_lm.get_decoder()._forward_pre_hooks


def test_printed_it_is_one_line_a_forward(traced: Trace) -> None:
    text = str(traced)
    assert "(2 projected vectors)" in text
    assert "[AUD0] .. [AUD8] (9 at once)" in text
    assert max(map(len, text.splitlines())) <= 76
