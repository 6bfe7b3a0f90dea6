"""Folders of ours as peft, transformers and the hub read them; nothing is fetched here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
from huggingface_hub import HfApi, ModelCard
from peft import PeftModel
from PIL import Image
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoProcessor,
    AutoTokenizer,
)

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.errors import (
    CheckpointError,
    ConfigError,
    DownloadError,
    MediaError,
    MissingError,
)
from nextgpt_lite.model.checkpoint import seal
from nextgpt_lite.model.config import locate
from nextgpt_lite.processor import NextGPTProcessor
from nextgpt_lite.training.stages import STAGES, ledger
from tests.tiny import tiny_causal_lm, tiny_model

SHIPPED = locate("lite/nextgpt")


def agree(llm: Any, base: Any, folder: Path) -> None:
    """Logits of the language model in ours, and of what peft makes of the saved folder alone."""
    base.resize_token_embeddings(llm.vocabulary, mean_resizing=False)
    theirs = PeftModel.from_pretrained(base, str(folder)).eval()
    ids = torch.tensor([[1, 5, *llm.new_ids[:9], 7, *llm.new_ids[-3:]]])
    with torch.no_grad():
        ours = llm.logits(llm.hidden(llm.embed(ids)))
        torch.testing.assert_close(theirs(input_ids=ids).logits, ours, atol=1e-4, rtol=1e-4)
        plain = theirs.get_base_model()
        with theirs.disable_adapter():
            assert not torch.allclose(plain(input_ids=ids).logits, ours, atol=1e-2)


@pytest.mark.parametrize("tied", [False, True])
def test_peft_reads_the_saved_lora_and_rows(tmp_path: Path, tied: bool) -> None:
    model = tiny_model(family=lambda size: tiny_causal_lm(size, tied=tied))
    with torch.no_grad():
        for name, parameter in model.llm.named_parameters():
            if "lora_" in name or "trainable_tokens" in name:
                parameter.add_(torch.randn(parameter.shape) * 0.1)
    model.save_pretrained(tmp_path)
    known = model.llm.base["vocabulary"]
    agree(model.llm, tiny_causal_lm(known, tied=tied), tmp_path)


def test_peft_reads_the_shipped_lora(lite) -> None:
    base = AutoModelForCausalLM.from_pretrained(locate("lite/llm"), dtype=torch.float32)
    agree(lite.llm, base, SHIPPED)


def test_what_peft_is_told_is_the_same_each_time(tmp_path: Path) -> None:
    model = tiny_model()
    for name in ("a", "b"):
        model.save_pretrained(tmp_path / name)
    one, two = ((tmp_path / name / "adapter_config.json").read_text() for name in ("a", "b"))
    assert one == two
    told = json.loads(one)
    assert told["base_model_name_or_path"] == "lite/llm" and told["r"] == 2
    assert told["target_modules"] == sorted(told["target_modules"])


def test_the_adapter_goes_by_its_old_name_too_but_not_by_both(tmp_path: Path) -> None:
    model = tiny_model()
    model.save_pretrained(tmp_path)
    new, old = tmp_path / "adapter_model.safetensors", tmp_path / "adapter.safetensors"
    new.rename(old)
    seal(tmp_path)
    model.load_trained(tmp_path)
    shutil.copy(old, new)
    with pytest.raises(CheckpointError, match=r"adapter\.safetensors: delete the older one"):
        model.load_trained(tmp_path)


def test_transformers_auto_classes_know_a_folder_of_ours() -> None:
    assert AutoConfig.from_pretrained(SHIPPED).config["llm"] == "lite/llm"
    model = AutoModel.from_pretrained(SHIPPED)
    assert isinstance(model, NextGPT)
    assert model.chat("Tell me about a dog.", output_modalities=[]).text


def test_a_processor_gives_what_chat_takes_and_the_ids_that_the_model_reads(lite) -> None:
    processor = AutoProcessor.from_pretrained(SHIPPED)
    assert isinstance(processor, NextGPTProcessor)
    image = Image.new("RGB", (64, 64), "red")
    talk = [
        {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is it?"}]}
    ]
    options: dict[str, Any] = {"output_modalities": [], "max_new_tokens": 8}
    ours = lite.chat("What is it?", images=image, **options).text
    assert lite.chat(**processor(text="What is it?", images=image), **options).text == ours
    assert lite.chat(**processor(talk, images=[image]), **options).text == ours
    ids = processor.apply_chat_template(talk, add_generation_prompt=True, tokenize=True)
    assert ids == [lite.conversation.encode(talk, reply_follows=True).ids]
    inputs = processor.apply_chat_template(
        talk, tokenize=True, return_dict=True, return_tensors="pt"
    )
    assert (
        inputs["input_ids"].shape
        == inputs["attention_mask"].shape
        == (1, len(lite.conversation.encode(talk)))
    )
    assert "What is it?" in processor.apply_chat_template(talk)
    assert processor.tokenizer.get_vocab() == lite.llm.tokenizer.get_vocab()
    with pytest.raises(MediaError, match="no known image format"):
        processor("What is it?", images=b"nothing")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the hub's that holds "someone/model", and no hub that could be reached."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    commit = "0" * 40
    cached = tmp_path / "models--someone--model"
    shutil.copytree(SHIPPED, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    return cached


def test_a_hub_id_is_taken_from_the_cache_and_fetched_only_for_who_asks(hub: Path) -> None:
    assert NextGPT.from_pretrained("someone/model").config.profile == "lite"
    with pytest.raises(MissingError, match=r"someone/other .* give download=True"):
        NextGPT.from_pretrained("someone/other")
    with pytest.raises(DownloadError, match=r"someone/other: the hub at .* out of reach") as said:
        NextGPT.from_pretrained("someone/other", download=True)
    assert "\n" not in str(said.value)
    with pytest.raises(MissingError, match="lite part"):
        NextGPT.from_pretrained("lite/nothing", download=True)
    with pytest.raises(MissingError, match="No folder 'some folder'"):
        NextGPT.from_pretrained("some folder", download=True)


def test_what_is_put_on_the_hub_is_a_model_with_tokenizer_and_card(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, sent = tiny_model(), tmp_path / "sent"
    run = tmp_path / "run"
    run.mkdir()
    rows = [row._asdict() for row in ledger(model, STAGES[3])]
    (run / "ledger.json").write_text(json.dumps(rows))
    measured = {"part": "LLM", "measure": "arithmetic, exact", "value": 97.5, "low": 95.0,
                "high": 99.0, "unit": "%", "count": 500, "met": True}  # fmt: skip
    (run / "scores.json").write_text(json.dumps({"llm": {"rows": [measured]}}))

    def upload(_: HfApi, *, repo_id: str, folder_path: str, **__: Any) -> SimpleNamespace:
        shutil.copytree(folder_path, sent)
        return SimpleNamespace(commit_url=f"https://hub/{repo_id}")

    with pytest.raises(DownloadError, match="out of reach"):
        model.push_to_hub("me/mine")
    with pytest.raises(ConfigError, match="'me mine' is no hub id: give 'owner/name'"):
        model.push_to_hub("me mine")
    monkeypatch.setattr(HfApi, "create_repo", lambda *_, **__: None)
    monkeypatch.setattr(HfApi, "upload_folder", upload)
    with pytest.raises(MissingError, match=r"ledger\.json is missing"):
        model.push_to_hub("me/mine", run=tmp_path)
    where = model.push_to_hub("me/mine", run=run, scores=run / "scores.json")
    assert where == "https://hub/me/mine"
    model.load_trained(sent)
    tokenizer = AutoTokenizer.from_pretrained(sent)
    assert len(tokenizer) == model.llm.vocabulary
    card = ModelCard.load(sent / "README.md")
    assert card.data.pipeline_tag == "any-to-any" and card.data.library_name == "nextgpt_lite"
    assert card.data.eval_results[0].metric_value == 97.5
    for words in ("me/mine", "LoRA", "token rows", "arithmetic, exact", rows[0]["part"]):
        assert words in card.text
    assert str(tmp_path) not in card.text
    assert str(tmp_path) not in "".join(path.read_text() for path in sent.glob("*.json"))
