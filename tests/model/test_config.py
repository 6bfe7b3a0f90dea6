"""What a configuration accepts and refuses."""

from __future__ import annotations

import pytest

from nextgpt_lite.model.config import (
    LANGUAGE_MODELS,
    NextGPTConfig,
)
from tests.tiny import tiny_model

ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
VICUNA, QWEN = "lmsys/vicuna-7b-v1.5", "Qwen/Qwen3-0.6B"
TINYLLAMA, SMOLLM = "TinyLlama/TinyLlama-1.1B-Chat-v1.0", "HuggingFaceTB/SmolLM2-360M-Instruct"


def test_an_unknown_choice_is_named() -> None:
    for changes, said in (
        ({"distance": "l3"}, "'distance' is 'l3': use one of l2, plain-l2, cosine, norm-matched"),
        ({"output_projection": {"kind": "rnn"}}, "'output_projection.kind' is 'rnn'"),
    ):
        with pytest.raises(ValueError, match=said):
            NextGPTConfig.from_dict(changes)
    with pytest.raises(ValueError, match="'hidden_layer' is 7: this language model has 2 blocks"):
        tiny_model(hidden_layer=7)


def test_an_unknown_messenger_is_refused() -> None:
    with pytest.raises(ValueError, match="signal, caption"):
        NextGPTConfig.from_dict({"messenger": "pigeon"})


def test_short_names_lead_to_the_families() -> None:
    found = {values["llm"] for values in LANGUAGE_MODELS.values()}
    assert {VICUNA, TINYLLAMA, QWEN, SMOLLM} <= found
    assert LANGUAGE_MODELS["vicuna-7b-v0"]["chat_format"] == "vicuna-v0"


def test_targets_are_words_not_letters() -> None:
    for given, kept in (
        ("all-linear", "all-linear"),
        ("q_proj", ("q_proj",)),
        (["a", "b"], ("a", "b")),
    ):
        config = NextGPTConfig.from_dict({"lora": {"targets": given}})
        assert config.lora.targets == kept
        assert NextGPTConfig.from_dict(config.to_dict()) == config
    assert NextGPTConfig.from_profile("paper").lora.targets == tuple(ATTENTION)
