"""The stand-ins have the files, keys and quirks of the checkpoints they stand for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from nextgpt_lite.checkpoints.stand_ins import STAND_INS, write_stand_ins
from nextgpt_lite.encoders import ImageBind, ImageBindConfig
from nextgpt_lite.model.config import folder_name

TEXT = "Draw 7 red apples, café!\nThen let me hear a dog."
LANGUAGE_MODELS = (
    "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
    "Qwen/Qwen3-0.6B",
    "HuggingFaceTB/SmolLM2-360M-Instruct",
    "lmsys/vicuna-7b-v1.5",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = [name for name in STAND_INS if not name.startswith("lmsys/")]
    return write_stand_ins(tmp_path_factory.mktemp("stand_ins"), names)


def keys(path: Path) -> set[str]:
    with safe_open(path, "pt") as tensors:
        return set(tensors.keys())


def test_imagebind_has_every_key_of_the_huge_one_that_its_depth_allows(root: Path) -> None:
    state = torch.load(root / "imagebind_huge" / "imagebind_huge.pth", weights_only=True)
    with torch.device("meta"):
        huge = ImageBind(ImageBindConfig.huge()).state_dict()
    first = {name for name in huge if ".blocks." not in name or ".blocks.0." in name}
    assert set(state) == first
    assert keys(root / "nielsr--imagebind-huge" / "model.safetensors") == first


def test_decoders_carry_the_old_names(root: Path) -> None:
    diffusion = root / "stable-diffusion-v1-5--stable-diffusion-v1-5"
    vae = keys(diffusion / "vae/diffusion_pytorch_model.safetensors")
    assert "encoder.mid_block.attentions.0.query.weight" in vae
    text = keys(diffusion / "text_encoder/model.safetensors")
    assert "text_model.embeddings.position_ids" in text
    assert all(name.startswith("text_model.") for name in text)
    lightning = root / "ByteDance--AnimateDiff-Lightning"
    (file,) = lightning.glob("*.safetensors")
    assert "mid_block.motion_modules.0.transformer_blocks.0.pos_embed.pe" in keys(file)
    audio = json.loads((root / "cvssp--audioldm-l-full" / "model_index.json").read_text())
    assert audio["text_encoder"] == ["transformers", "ClapTextModelWithProjection"]


@pytest.mark.parametrize("name", LANGUAGE_MODELS)
def test_language_models_load_with_their_own_tokenizers(root: Path, name: str) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    if name.startswith("lmsys/"):
        pytest.importorskip("sentencepiece", reason="its tokenizer is a SentencePiece file")
        write_stand_ins(root, [name])
    tokenizer = AutoTokenizer.from_pretrained(root / folder_name(name))
    ids = tokenizer.encode(TEXT, add_special_tokens=False)
    assert tokenizer.decode(ids) == TEXT
    assert len(ids) < len(TEXT), "the tokenizer knows no words"
    model, found = AutoModelForCausalLM.from_pretrained(
        root / folder_name(name), output_loading_info=True
    )
    assert not any(found.values()), found
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert tied == ("Qwen" in name or "SmolLM2" in name)
    padded = model.config.vocab_size - len(tokenizer)
    assert (padded > 100) == ("Qwen" in name)


def test_stand_ins_repeat_with_their_seed_and_are_written_once(tmp_path: Path) -> None:
    name = "TinyLlama/TinyLlama-1.1B-Chat-v1.0"
    files = [
        write_stand_ins(tmp_path / str(i), [name], seed) / folder_name(name) / "model.safetensors"
        for i, seed in enumerate((0, 0, 1))
    ]
    first, again, other = (file.read_bytes() for file in files)
    assert first == again != other
    stamp = files[0].stat().st_mtime_ns
    write_stand_ins(tmp_path / "0", [name])
    assert files[0].stat().st_mtime_ns == stamp
    with pytest.raises(ValueError, match="No stand-in for 'openai/gpt'"):
        write_stand_ins(tmp_path, ["openai/gpt"])
