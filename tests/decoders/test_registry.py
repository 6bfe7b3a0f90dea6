"""Which class runs a folder: known pipelines, unknown ones, a reader's own (the page on it)."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from nextgpt_lite import decoders
from nextgpt_lite.checkpoints.small_tokenizers import write_tokenizer
from nextgpt_lite.decoders import (
    DECODERS,
    condition_shape,
    decoder_class,
    load_decoder,
    register,
)
from nextgpt_lite.decoders.base import Decoder
from nextgpt_lite.decoders.stable_diffusion import StableDiffusion
from nextgpt_lite.model.config import SETTINGS_FILE, WEIGHTS

PAGE = Path(__file__).parents[2] / "docs" / "add_a_decoder.md"


@pytest.fixture(autouse=True)
def _registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers is forgotten after it."""
    monkeypatch.setattr(decoders, "DECODERS", DECODERS, raising=True)
    monkeypatch.setitem(DECODERS, "AuraFlowPipeline", "no:Class")
    DECODERS.pop("AuraFlowPipeline")


def _index(folder: Path, **values: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model_index.json").write_text(json.dumps(values))
    return folder


def test_the_shipped_decoders_are_found_by_their_pipelines() -> None:
    names = {part: decoder_class(WEIGHTS / "lite" / part, part).__name__
             for part in ("image", "audio", "video")}  # fmt: skip
    assert names == {"image": "StableDiffusion", "audio": "AudioLDM", "video": "AnimateDiff"}


def test_an_unknown_pipeline_is_refused_in_a_sentence(tmp_path: Path) -> None:
    folder = _index(tmp_path / "sd3", _class_name="StableDiffusion3Pipeline")
    for ask in (load_decoder, condition_shape):
        with pytest.raises(ValueError, match="known for the pipeline 'StableDiffusion3Pipeline'"):
            ask(folder)
    with pytest.raises(FileNotFoundError, match=r"model_index\.json"):
        load_decoder(tmp_path)


def test_a_decoder_of_another_modality_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="which makes audio and not image: give a decoder of im"):
        load_decoder(WEIGHTS / "lite" / "audio", modality="image")
    folder = tmp_path / "depth"
    shutil.copytree(WEIGHTS / "lite" / "image", folder)
    (folder / SETTINGS_FILE).write_text('{"modality": "depth"}')  # its images are depth maps
    assert load_decoder(folder, modality="depth").modality == "depth"
    with pytest.raises(ValueError, match="makes depth and not image"):
        load_decoder(folder, modality="image")


def test_a_class_without_pipelines_cannot_be_registered() -> None:
    class Nameless(StableDiffusion):
        pipelines = ()

    with pytest.raises(ValueError, match=r"Nameless\.pipelines is empty"):
        register(Nameless)


def test_what_a_folder_borrows_must_be_there(tmp_path: Path) -> None:
    shutil.copytree(WEIGHTS / "lite" / "video", tmp_path / "video")
    with pytest.raises(FileNotFoundError, match=r"takes its vae from .* which is missing"):
        load_decoder(tmp_path / "video")
    (tmp_path / "video" / "model_index.json").write_text("{")
    with pytest.raises(ValueError, match="is no JSON"):
        load_decoder(tmp_path / "video")


def test_a_number_of_the_folder_goes_before_the_class_and_ours_before_both(tmp_path: Path) -> None:
    folder = WEIGHTS / "lite" / "image"  # says guidance_scale 2
    assert StableDiffusion.read_settings(folder)["guidance_scale"] == 2
    assert StableDiffusion.read_settings(folder, {"guidance_scale": 3})["guidance_scale"] == 3
    assert StableDiffusion.read_settings(tmp_path)["guidance_scale"] == 7.5


def test_the_page_tells_how_to_add_a_decoder(tmp_path: Path, monkeypatch: object) -> None:
    """Its code, as it stands there, on a tiny AuraFlow."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    own, tried = blocks[1:]
    _auraflow(tmp_path)
    with pytest.raises(ValueError, match="'AuraFlowPipeline'"):
        load_decoder(tmp_path)
    names: dict[str, object] = {}
    exec(own, names)
    exec(tried.replace("my/auraflow", str(tmp_path)), names)
    decoder, error, condition = (names[name] for name in ("decoder", "error", "condition"))
    assert isinstance(decoder, Decoder) and type(decoder).__name__ == "AuraFlow"
    assert isinstance(error, torch.Tensor) and torch.isfinite(error)
    assert isinstance(condition, torch.Tensor) and condition.grad is not None
    assert condition.grad.abs().sum() > 0
    assert names["image"].size == (64, 64)  # type: ignore[attr-defined]
    (edited,) = decoder.edit([names["image"]], condition.detach(), num_inference_steps=2)
    assert edited.size == (64, 64)


def test_the_page_lists_every_family() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)`", PAGE.read_text(), re.MULTILINE)
    known = {name: str(entry).partition(":")[0] for name, entry in DECODERS.items()}
    assert dict(rows) == known


def _auraflow(folder: Path) -> None:
    """A folder of AuraFlow with tiny random weights."""
    from diffusers import (
        AuraFlowPipeline,
        AuraFlowTransformer2DModel,
        AutoencoderKL,
        FlowMatchEulerDiscreteScheduler,
    )
    from transformers import AutoTokenizer, T5Config, UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    words = folder / "words"
    words.mkdir()
    settings = {"tokenizer_class": "T5Tokenizer", "eos_token": "</s>", "pad_token": "<pad>",
                "unk_token": "<unk>", "extra_ids": 0, "model_max_length": 256}  # fmt: skip
    (words / "tokenizer_config.json").write_text(json.dumps(settings))
    size, _ = write_tokenizer(words)
    widths = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 1, "num_heads": 4}
    assert T5Config and size
    AuraFlowPipeline(
        tokenizer=AutoTokenizer.from_pretrained(words),
        text_encoder=UMT5EncoderModel(UMT5Config(vocab_size=size, **widths)),
        vae=AutoencoderKL(
            block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4,
            down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        ),
        transformer=AuraFlowTransformer2DModel(
            sample_size=32, patch_size=2, in_channels=4, out_channels=4, num_mmdit_layers=1,
            num_single_dit_layers=1, attention_head_dim=8, num_attention_heads=4,
            joint_attention_dim=32, caption_projection_dim=32, pos_embed_max_size=256,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.73),
    ).save_pretrained(folder)  # fmt: skip
    shutil.rmtree(words)
