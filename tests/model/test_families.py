"""Any causal LM: tiny random models of many families go all the way, from stage 1 to a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

from nextgpt_lite.errors import ConfigError
from nextgpt_lite.model import families
from nextgpt_lite.model.config import LoraSettings
from nextgpt_lite.model.families import KNOWN, WAYS, Family, lora_targets, ways_of
from nextgpt_lite.training.loop import Trainer
from nextgpt_lite.training.schedule import Schedule
from nextgpt_lite.training.stages import STAGES, frozen_state, part_of
from tests.test_chat import same
from tests.tiny import Made, tiny_model
from tests.training.runs import record, snapshot

NEW = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
       "num_key_value_heads": 2, "max_position_embeddings": 256}  # fmt: skip
OLD = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256}
PLAIN = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
STATE = {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 8}
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
UNPACKED, STATEFUL = WAYS - {"packed"}, frozenset({"padded", "chunked"})
# Numbers of a tiny one, the ways in which it reads, and what LoRA adapts.
FAMILIES: dict[str, tuple[dict[str, Any], frozenset[str], Any]] = {
    "llama": (NEW, WAYS, ATTENTION),
    "mistral": ({**NEW, "sliding_window": None}, WAYS, ATTENTION),
    "qwen2": (NEW, WAYS, ATTENTION),
    "qwen3": ({**NEW, "head_dim": 8}, WAYS, ATTENTION),
    "gemma": ({**NEW, "head_dim": 8}, WAYS, ATTENTION),
    "gemma2": ({**NEW, "head_dim": 8}, WAYS - {"masked"}, ATTENTION),
    "phi": ({**NEW, "num_key_value_heads": 4}, WAYS, ["q_proj", "v_proj", "fc1", "fc2"]),
    "phi3": ({**NEW, "pad_token_id": 0}, WAYS, "all-linear"),
    "gpt2": (OLD, WAYS, ["c_attn"]),
    "gpt_neo": (
        {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "max_position_embeddings": 256,
         "attention_types": [[["global", "local"], 1]]},
        WAYS, ["q_proj", "v_proj"],
    ),
    "gpt_neox": ({**PLAIN, "intermediate_size": 48}, WAYS, ["query_key_value"]),
    "gptj": ({**OLD, "rotary_dim": 4}, WAYS, ["q_proj", "v_proj"]),
    "opt": (
        {**PLAIN, "ffn_dim": 48, "max_position_embeddings": 256, "word_embed_proj_dim": 32},
        UNPACKED, ["q_proj", "v_proj"],
    ),
    "bloom": ({"hidden_size": 32, "n_layer": 2, "n_head": 4}, WAYS - {"packed", "masked"},
              ["query_key_value"]),
    "falcon": (PLAIN, UNPACKED, ["query_key_value"]),
    "mpt": ({"d_model": 32, "n_layers": 2, "n_heads": 4}, UNPACKED, ["Wqkv"]),
    "stablelm": (NEW, WAYS, ATTENTION),
    "olmo": (NEW, WAYS, ATTENTION),
    "olmo2": (NEW, WAYS, ATTENTION),
    "cohere": (NEW, WAYS, ATTENTION),
    "granite": ({**NEW, "logits_scaling": 4.0, "embedding_multiplier": 3.0}, WAYS, ATTENTION),
    "mamba": (STATE, STATEFUL, "all-linear"),
    "mamba2": ({**STATE, "num_heads": 8, "head_dim": 8, "n_groups": 1}, STATEFUL, "all-linear"),
    "jamba": (
        {**NEW, "num_experts": 1, "attn_layer_period": 2, "attn_layer_offset": 1,
         "use_mamba_kernels": False},
        frozenset({"padded"}), ATTENTION,
    ),
}  # fmt: skip


def family(name: str, **changes: Any) -> Callable[[int], PreTrainedModel]:
    def build(vocabulary: int) -> PreTrainedModel:
        torch.manual_seed(0)
        numbers = {**FAMILIES[name][0], **changes}
        config = AutoConfig.for_model(name, vocab_size=vocabulary, **numbers)
        causal_lm = AutoModelForCausalLM.from_config(config).eval()
        for parameter in causal_lm.parameters():
            if parameter.ndim == 2:  # as if it were trained: what others say has some weight
                torch.nn.init.normal_(parameter, std=0.2)
        causal_lm.tie_weights()
        return causal_lm

    return build


@pytest.mark.parametrize("name", FAMILIES)
def test_logits_and_ways_are_the_models_own(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    original = family(name)(100)
    ids = torch.tensor([[5, 90, 17, 6, 33, 4, 99]])
    wrapped = tiny_model(family=family(name)).llm
    monkeypatch.setattr(families, "KNOWN", frozenset())
    assert ways_of(Family(original), original) == FAMILIES[name][1]
    assert not original.training and (name in KNOWN) <= (FAMILIES[name][1] == WAYS)
    vocabulary = original.get_input_embeddings().weight.shape[0]
    original = family(name)(len(wrapped.tokenizer) - len(wrapped.new_ids))
    with torch.no_grad():
        theirs = original(ids).logits
        hidden = wrapped.hidden(wrapped.embed(ids))
        ours = wrapped.logits(hidden)[..., : theirs.shape[-1]]
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
        labels = torch.tensor([90, 17, 6, 33, 4, 99])
        errors = torch.nn.functional.cross_entropy(
            wrapped.logits(hidden)[0, :-1], labels, reduction="none"
        )
        torch.testing.assert_close(wrapped.errors(hidden[0, :-1], labels), errors)
    assert vocabulary == 100


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_trains_answers_and_is_read_back(name: str, tmp_path: Path) -> None:
    model = tiny_model(family=family(name))
    for number, stage in STAGES.items():
        before = snapshot(model)
        schedule = Schedule.of(stage, steps=2, batch_size=2, learning_rate=1e-2, warmup=1,
                               log_every=1)  # fmt: skip
        lines = Trainer(model, stage, Made(record), tmp_path / str(number), schedule).run()
        assert all(torch.isfinite(torch.tensor([*line.values()])).all() for line in lines)
        frozen = dict(frozen_state(model, stage))
        assert frozen.keys() <= before.keys()
        assert all(torch.equal(value, before[name]) for name, value in frozen.items())
        changed = {n for n, value in model.named_parameters() if not torch.equal(value, before[n])}
        assert {part_of(name) for name in changed} == set(stage.learns)
    lora = [name for name, p in model.named_parameters() if "lora_B" in name and p.any()]
    assert lora, "LoRA learned"
    again = tiny_model(family=family(name))
    again.load_trained(tmp_path / "3")
    asked = ["Draw a red car in the garden", "What do you hear? A dog barks", "Draw"]
    options = {"output_modalities": ["image", "audio"], "max_new_tokens": 6, "seeds": [1, 2, 3]}
    replies = model.chat_batch(asked, **options)
    assert all(
        same(*pair) for pair in zip(replies, again.chat_batch(asked, **options), strict=True)
    )
    for seed, (words, ours) in enumerate(zip(asked, replies, strict=True), 1):
        alone = again.chat(words, seed=seed, output_modalities=["image", "audio"], max_new_tokens=6)
        assert ours.text == alone.text
        for mine, theirs in zip(ours.made, alone.made, strict=True):
            assert mine.block.modality == theirs.block.modality
            torch.testing.assert_close(mine.condition, theirs.condition, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_states_of_a_layer_are_those_that_transformers_gives(name: str) -> None:
    llm = tiny_model(family=family(name), hidden_layer=1).llm
    embeddings = llm.embed(torch.tensor([[5, 6, 7]]))
    with torch.no_grad():
        every = llm.causal_lm.get_decoder()(inputs_embeds=embeddings, output_hidden_states=True)
        with llm.tapped() as tapped:
            llm.hidden(embeddings)
    lacks_embeddings = name.startswith("mamba")
    assert torch.equal(tapped[0], every.hidden_states[0 if lacks_embeddings else 1])


@pytest.mark.parametrize("name", FAMILIES)
def test_lora_adapts_attention_or_what_peft_adapts_in_the_family(name: str) -> None:
    causal_lm, (_, _, targets) = family(name)(50), FAMILIES[name]
    assert lora_targets(causal_lm, LoraSettings()) == targets
    linear = tiny_model(family=family(name), lora={"targets": "all-linear"}).llm
    adapted = {n.split(".lora_")[0] for n, _ in linear.named_parameters() if ".lora_A" in n}
    assert len(adapted) >= 2 and not any(n.endswith(("lm_head", "embed_out")) for n in adapted)


def test_what_cannot_work_is_said_in_a_sentence() -> None:
    with pytest.raises(ConfigError, match=r"'lora.targets' names 'w_proj'.* use some of .*c_attn"):
        tiny_model(family=family("gpt2"), lora={"targets": ["c_attn", "w_proj"]})
    rwkv = AutoModelForCausalLM.from_config(
        AutoConfig.for_model("rwkv", vocab_size=50, hidden_size=32, num_hidden_layers=2,
                             attention_hidden_size=32)
    )  # fmt: skip
    with pytest.raises(ConfigError, match="type 'rwkv' takes no embeddings or no cache"):
        Family(rwkv)
    short = tiny_model(family=family("gpt2", n_positions=20))
    with pytest.raises(ConfigError, match=r"takes 21 positions, .* learned 20"):
        short.llm.hidden(torch.zeros(1, 21, 32))
    with pytest.raises(ConfigError, match="reads 20 positions"):
        short.chat("Draw", output_modalities=["video"], max_new_tokens=5)


def test_the_trial_leaves_a_training_model_as_it_was() -> None:
    causal_lm = family("bloom")(50).train()
    assert "packed" not in ways_of(Family(causal_lm), causal_lm)
    assert causal_lm.training


@pytest.mark.parametrize("name", ["gpt2", "bloom", "mamba"])
def test_packed_or_not_the_losses_are_the_same(name: str, tmp_path: Path) -> None:
    """A family in which conversations would see each other gets a row for each."""
    model = tiny_model(family=family(name))
    rows = []
    for packed in (True, False):
        schedule = Schedule.of(STAGES[3], steps=1, batch_size=4, packed=packed, row=400)
        batch, _ = Trainer(model, STAGES[3], Made(record), tmp_path, schedule).batch(0)
        model.eval()
        rows.append((len(batch.ids), [float(loss.detach()) for loss in model.loss(batch)]))
    assert rows[0][0] == (1 if name == "gpt2" else 4)
    assert rows[0][1] == pytest.approx(rows[1][1], rel=1e-4)
