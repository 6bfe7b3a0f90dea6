"""Language models of other families, as stand-ins: templates, vocabularies, number formats."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from peft.tuners.lora import LoraLayer
from transformers import AutoModelForCausalLM, AutoTokenizer

from nextgpt_lite.checkpoints.stand_ins import write_stand_ins
from nextgpt_lite.model.config import (
    LoraSettings,
    folder_name,
)
from nextgpt_lite.model.conversation import ConversationTokenizer
from nextgpt_lite.model.generation import Prompt, generate
from nextgpt_lite.model.llm import LanguageModel
from nextgpt_lite.model.losses import IGNORE
from nextgpt_lite.model.modality import MODALITIES
from nextgpt_lite.training.stages import STAGES, open_for, part_of
from tests.model.test_batch import open_and_stirred
from tests.tiny import tiny_model

SIGNALS = {name: row.signals for name, row in MODALITIES.items()}
LORA = LoraSettings(rank=2, alpha=4, dropout=0.0)
VICUNA, QWEN = "lmsys/vicuna-7b-v1.5", "Qwen/Qwen3-0.6B"
TINYLLAMA, SMOLLM = "TinyLlama/TinyLlama-1.1B-Chat-v1.0", "HuggingFaceTB/SmolLM2-360M-Instruct"
needs_sentencepiece = pytest.mark.skipif(
    find_spec("sentencepiece") is None, reason="Vicuna's tokenizer is a SentencePiece file"
)
FAMILIES = [
    pytest.param(VICUNA, "vicuna-v1", marks=needs_sentencepiece),
    pytest.param(VICUNA, "vicuna-v0", marks=needs_sentencepiece),
    (TINYLLAMA, None),
    (QWEN, None),
    (SMOLLM, None),
]
DIALOGUE: list[dict[str, Any]] = [
    {"role": "user", "content": "What do you hear?"},
    {"role": "assistant", "content": "A dog barks."},
    {"role": "user", "content": "Draw it"},
    {"role": "assistant", "content": [{"type": "text", "text": "Here it is."},
                                      {"type": "image", "caption": "a dog"}]},
]  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = [TINYLLAMA, QWEN, SMOLLM]
    names += [VICUNA] if find_spec("sentencepiece") is not None else []
    return write_stand_ins(tmp_path_factory.mktemp("families"), names)


def load(root: Path, name: str, **options: Any) -> LanguageModel:
    return LanguageModel.from_pretrained(root / folder_name(name), SIGNALS, LORA, name, **options)


@pytest.mark.parametrize(("name", "chat_format"), FAMILIES)
def test_replies_are_found_in_every_template(root: Path, name: str, chat_format: str) -> None:
    llm = load(root, name, chat_format=chat_format)
    conversation = ConversationTokenizer(llm.tokenizer, llm.signal_ids, 2)
    assert llm.end_mark == ("###" if chat_format == "vicuna-v0" else None)
    whole = conversation.encode(DIALOGUE)
    trained = [i for i, label in zip(whole.ids, whole.labels, strict=True) if label != IGNORE]
    words = llm.tokenizer.decode(trained, skip_special_tokens=True).replace("###", " ")
    assert words.split() == ["A", "dog", "barks.", "Here", "it", "is."]
    assert trained.count(llm.eos_id) == 2, "the end of each reply is learned"
    assert llm.signal_ids["image"] == [i for i in trained if i in llm.signal_ids["image"]]
    for turns in (1, 3):
        prompt = conversation.encode(DIALOGUE[:turns], reply_follows=True)
        said = conversation.encode(DIALOGUE[: turns + 1])
        assert said.ids[: len(prompt)] == prompt.ids, "training and use see the same prompt"
        assert IGNORE not in said.labels[len(prompt) :]


@pytest.mark.parametrize(("name", "tied"), [(TINYLLAMA, False), (SMOLLM, True), (QWEN, True)])
def test_only_new_rows_are_made_in_tied_and_untied_matrices(
    root: Path, name: str, tied: bool
) -> None:
    before = AutoModelForCausalLM.from_pretrained(root / folder_name(name), dtype=torch.float32)
    used = len(AutoTokenizer.from_pretrained(root / folder_name(name)))
    llm = load(root, name)
    padded = before.config.vocab_size > used
    assert padded == (name == QWEN)
    assert llm.new_ids == list(range(used, used + len(llm.new_ids)))
    assert llm.vocabulary == max(before.config.vocab_size, used + len(llm.new_ids))
    ids = torch.arange(used)
    with torch.no_grad():
        assert torch.equal(llm.embed(ids), before.get_input_embeddings()(ids))
        head = llm.logits(torch.eye(llm.width))  # (D, V)
        assert torch.equal(head[:, :used].T, before.get_output_embeddings().weight[:used])
        new = llm.embed(torch.tensor(llm.new_ids))
        assert torch.equal(head[:, llm.new_ids].T, new) == tied
    assert len(new.unique(dim=0)) == len(new), "signal tokens can be told apart from the start"


def test_tokens_that_exist_keep_their_ids_and_their_rows(root: Path, tmp_path: Path) -> None:
    """As in a base that somebody has already prepared: one marker, and one whole signal block."""
    tokenizer = AutoTokenizer.from_pretrained(root / folder_name(TINYLLAMA))
    causal_lm = AutoModelForCausalLM.from_pretrained(
        root / folder_name(TINYLLAMA), dtype=torch.float32
    )
    known = ["<Img>", *MODALITIES["image"].signal_tokens(SIGNALS["image"])]
    tokenizer.add_tokens(known, special_tokens=True)
    ids = tokenizer.convert_tokens_to_ids(known)
    causal_lm.resize_token_embeddings(len(tokenizer))
    with torch.no_grad():
        causal_lm.get_input_embeddings().weight[ids] = torch.arange(6.0)[:, None]
    tokenizer.save_pretrained(tmp_path)
    causal_lm.save_pretrained(tmp_path)
    llm = LanguageModel.from_pretrained(tmp_path, SIGNALS, LORA)
    assert llm.signal_ids["image"] == ids[1:]
    assert len(set(llm.new_ids)) == len(llm.new_ids) == 5 + sum(SIGNALS.values())
    assert ids[0] not in llm.new_ids and set(ids[1:]) <= set(llm.new_ids), "signal tokens learn"
    assert torch.equal(llm.embed(torch.tensor(ids))[:, 0], torch.arange(6.0))


def test_a_base_is_the_same_in_every_number_format(root: Path) -> None:
    formats = (torch.float32, torch.bfloat16, torch.float16)
    assert len({load(root, TINYLLAMA, dtype=dtype).base["fingerprint"] for dtype in formats}) == 1
    others = {load(root, name).base["fingerprint"] for name in (TINYLLAMA, QWEN, SMOLLM)}
    assert len(others) == 3


def test_what_learns_is_float32_whatever_the_frozen_part_is(root: Path) -> None:
    llm = load(root, TINYLLAMA, dtype=torch.float16)
    learning = {
        (part_of(name), parameter.dtype)
        for name, parameter in llm.named_parameters()
        if part_of(name) in ("lora", "token_rows")
    }
    assert learning == {("lora", torch.float32), ("token_rows", torch.float32)}
    assert llm.causal_lm.model.layers[0].mlp.up_proj.weight.dtype == torch.float16


def test_numbers_beyond_float16_stop_the_reply_with_what_to_change(root: Path) -> None:
    llm = load(root, TINYLLAMA, dtype=torch.float16)
    with torch.no_grad():
        llm.causal_lm.model.norm.weight.fill_(6e4)  # a hidden state that float16 cannot hold
        start = llm.embed(torch.tensor([5, 6, 7]))
    with pytest.raises(FloatingPointError, match="not finite: set precision") as caught:
        list(generate(llm, [Prompt(start)]))
    assert "\n" not in str(caught.value)


def test_four_bits_train_and_answer(root: Path) -> None:
    pytest.importorskip("bitsandbytes", reason="4-bit matrices are bitsandbytes' work")
    llm = load(root, QWEN, quantization="nf4")
    assert type(llm.causal_lm.model.layers[0].mlp.up_proj).__name__ == "Linear4bit"
    hidden = llm.hidden(llm.embed(torch.tensor([[5, 6, llm.new_ids[0]]])))
    llm.errors(hidden[0], torch.tensor([6, 7, llm.new_ids[1]])).sum().backward()
    moved = {part_of(n) for n, p in llm.named_parameters() if p.grad is not None and p.grad.any()}
    assert moved == {"lora", "token_rows"}
    assert list(generate(llm, [Prompt(llm.embed(torch.tensor([5, 6])), ["image"])]))


def test_new_rows_are_those_of_peft_s_own_layers() -> None:
    model = open_and_stirred(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "trainable_tokens" in name:
                parameter.normal_()
    ids = torch.arange(model.llm.vocabulary).flip(0)[None]
    states = torch.randn(7, model.llm.width)
    lm = model.llm.causal_lm
    assert torch.equal(model.llm.embed(ids), lm.get_input_embeddings()(ids))
    torch.testing.assert_close(model.llm.logits(states), lm.get_output_embeddings()(states))


def test_lora_that_is_frozen_at_zero_is_left_out_and_comes_back() -> None:
    model = tiny_model()
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    embeddings = torch.randn(2, 5, model.llm.width)
    open_for(model, STAGES[2])
    before = model.llm.hidden(embeddings)
    model.train()
    assert layers and all(layer.disable_adapters for layer in layers)
    assert torch.equal(model.llm.hidden(embeddings), before)
    open_for(model, STAGES[3])
    assert not any(layer.disable_adapters for layer in model.train().modules()
                   if isinstance(layer, LoraLayer))  # fmt: skip
    open_for(model, STAGES[1])
    torch.nn.init.normal_(layers[0].lora_B["default"].weight)
    model.train()
    assert not any(layer.disable_adapters for layer in layers), "frozen, but not zero"


def test_the_states_of_a_layer_are_those_that_transformers_gives() -> None:
    llm = tiny_model().llm
    embeddings = llm.embed(torch.tensor([[5, 6, 7]]))
    with torch.no_grad():
        every = llm.causal_lm.get_decoder()(inputs_embeds=embeddings, output_hidden_states=True)
        for layer in (0, 1, -2):
            llm = tiny_model(hidden_layer=layer).llm
            with llm.tapped() as tapped:
                llm.hidden(embeddings)
            assert torch.equal(tapped[0], every.hidden_states[layer]), layer
        for layer in (-1, 2):
            with tiny_model(hidden_layer=layer).llm.tapped() as tapped:
                llm.hidden(embeddings)
            assert not tapped
