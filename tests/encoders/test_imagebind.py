"""Our ImageBind against vectors of the released one, and the encoder around it."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from nextgpt_lite.encoders import (
    Encoder,
    ImageBind,
    ImageBindConfig,
    PreprocessConfig,
    load_imagebind,
)
from nextgpt_lite.encoders.files import load_tokenizer
from tests.reference import HERE, imagebind_state

INPUTS = ("vision", "video", "audio", "depth", "thermal", "imu", "text")
# Millions of parameters of imagebind_huge, trunk by trunk.
HUGE = {
    "vision": 632.83,
    "text": 354.03,
    "audio": 86.24,
    "depth": 21.87,
    "thermal": 86.21,
    "imu": 19.60,
}


SMALL = HERE / "imagebind_small"


def small_config() -> ImageBindConfig:
    """The huge configuration at the widths of the reference."""
    widths = json.loads((SMALL / "config.json").read_text())["config"]
    huge = ImageBindConfig.huge()
    trunks = {
        name: replace(
            trunk,
            width=widths[f"{name}_embed_dim"],
            blocks=widths[f"{name}_num_blocks"],
            heads=widths[f"{name}_num_heads"],
        )
        for name, trunk in huge.trunks.items()
    }
    return ImageBindConfig(out=widths["out_embed_dim"], **trunks)


@pytest.fixture(scope="module")
def reference() -> tuple[ImageBind, dict[str, torch.Tensor]]:
    model = ImageBind(small_config()).eval()
    model.load_state_dict(imagebind_state())  # strict: keys are the spec
    return model, load_file(SMALL / "io.safetensors")


@pytest.mark.parametrize("name", INPUTS)
def test_equals_the_released_implementation(reference, name):
    model, vectors = reference
    x = vectors[f"in.{name}"]
    x = x.float() if x.is_floating_point() else x
    x = x[:, None] if name in ("depth", "thermal") and x.ndim == 3 else x
    with torch.no_grad():
        out = model("vision" if name == "video" else name, x)  # (B, E)
    torch.testing.assert_close(out, vectors[f"out.{name}"], atol=1e-4, rtol=0)


def test_a_changed_weight_breaks_the_parity(reference):
    model, vectors = reference
    weight = model.modality_trunks["audio"].blocks[0].attn.bias_k
    before = weight.detach().clone()
    with torch.no_grad():
        weight.add_(1.0)
        out = model("audio", vectors["in.audio"].float())
        weight.copy_(before)
    assert (out - vectors["out.audio"]).abs().max() > 1e-4


def test_huge_has_the_released_sizes():
    with torch.device("meta"):
        model = ImageBind(ImageBindConfig.huge())
    for name, millions in HUGE.items():
        number = sum(p.numel() for k, p in model.named_parameters() if k.split(".")[1] == name)
        assert number / 1e6 == pytest.approx(millions, abs=0.01)


def test_some_trunks_load_from_a_file_with_all(reference, tmp_path):
    _, vectors = reference
    torch.save(imagebind_state(), tmp_path / "imagebind_huge.pth")
    config = small_config().only(["vision", "audio"])
    model = load_imagebind(tmp_path / "imagebind_huge.pth", config)
    with torch.no_grad():
        out = model("audio", vectors["in.audio"].float())
    torch.testing.assert_close(out, vectors["out.audio"], atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="no text trunk"):
        model("text", vectors["in.text"])


def test_wrong_files_are_refused_in_a_sentence(tmp_path):
    config = ImageBindConfig.lite(10, 2).only(["text"])
    state = {k: v.contiguous() for k, v in ImageBind(config).state_dict().items()}
    path = tmp_path / "model.safetensors"
    missing = dict(state)
    del missing["modality_preprocessors.text.pos_embed"]
    save_file(missing, path)
    with pytest.raises(ValueError, match=r"model.safetensors lacks .*text.pos_embed"):
        load_imagebind(path, config)
    state["modality_preprocessors.text.pos_embed"] = torch.zeros(1, 3, 4)
    save_file(state, path)
    with pytest.raises(ValueError, match=r"pos_embed has shape \(1, 3, 4\), expected"):
        load_imagebind(path, config)
    with pytest.raises(FileNotFoundError, match="no encoder weights"):
        Encoder.from_pretrained(tmp_path / "nowhere")


@pytest.fixture(scope="module")
def lite() -> Encoder:
    from nextgpt_lite.world.pretraining.tokenizers import caption_tokenizer

    torch.manual_seed(0)
    tokenizer = caption_tokenizer(28)
    config = ImageBindConfig.lite(len(tokenizer), tokenizer.eos_token_id)
    return Encoder(ImageBind(config), PreprocessConfig.lite(), tokenizer)


def items() -> list:
    from random import Random

    from nextgpt_lite.world.render import render
    from nextgpt_lite.world.scene import sample_clip, sample_picture, sample_sound

    rng = Random(0)
    return [
        ("image", render(sample_picture(rng))),
        ("audio", render(sample_sound(rng))),
        ("video", render(sample_clip(rng))),
        ("image", render(sample_picture(rng))),
    ]


def test_mixed_items_come_back_in_order(lite):
    mixed = items()
    together = lite.encode(mixed)  # (N, E)
    assert together.shape == (4, lite.width)
    assert together.dtype == torch.float32
    for row, item in zip(together, mixed, strict=True):
        torch.testing.assert_close(row, lite.encode([item])[0], atol=1e-5, rtol=0)
    assert lite.encode([]).shape == (0, lite.width)
    with pytest.raises(ValueError, match="Unknown modality 'smell'"):
        lite.encode([("smell", None)])


def test_the_encoder_is_frozen(lite):
    lite.train()
    assert not any(p.requires_grad for p in lite.parameters())
    assert not any(module.training for module in lite.model.modules())


def test_a_tokenizer_serves_one_thread_at_a_time(lite, monkeypatch):
    inside = threading.Lock()

    def slow(texts, **_):
        assert inside.acquire(blocking=False)
        time.sleep(0.01)
        inside.release()
        return {"input_ids": [[1]] * len(texts)}

    monkeypatch.setattr(lite, "tokenizer", slow)
    with ThreadPoolExecutor(4) as pool:
        assert len([*pool.map(lite.tokenize, [["a dog"]] * 8)]) == 8


def test_text_stops_at_its_end_mark(lite):
    tokens = lite.tokenize(["a small red car", "a dog " * 40])  # (N, context)
    end = lite.tokenizer.eos_token_id
    assert (tokens == end).sum(dim=1).tolist() == [1, 1]
    changed = tokens.clone()
    changed[0, 10:] = 7  # whatever follows the end mark does not matter
    with torch.no_grad():
        before, after = lite.model("text", tokens), lite.model("text", changed)
    torch.testing.assert_close(before[0], after[0])


def test_a_saved_encoder_loads_equal(lite, tmp_path):
    lite.save_pretrained(tmp_path)
    again = Encoder.from_pretrained(tmp_path)
    assert again.model.config == lite.model.config
    assert again.preprocess == lite.preprocess
    mixed = items()
    torch.testing.assert_close(again.encode(mixed), lite.encode(mixed), atol=2e-3, rtol=0)
    text = ["a small red car in the garden"]
    torch.testing.assert_close(again.encode_text(text), lite.encode_text(text), atol=2e-2, rtol=0)
    vision = Encoder.from_pretrained(tmp_path, trunks=["vision"])
    with pytest.raises(ValueError, match="no text trunk or tokenizer"):
        vision.encode_text(text)


def released_folder(folder: Path, name: str) -> Path:
    """The reference's weights as they are released: a pickle or a port, and its arguments."""
    state = imagebind_state()
    folder.mkdir()
    save_file(state, folder / name) if name.endswith("tensors") else torch.save(
        state, folder / name
    )
    numbers = json.loads((SMALL / "config.json").read_text())["config"]
    (folder / "config.json").write_text(json.dumps(numbers))
    return folder


@pytest.mark.parametrize("name", ["imagebind_huge.pth", "model.safetensors", "pytorch_model.bin"])
def test_sizes_are_read_off_a_released_checkpoint(reference, tmp_path, name):
    folder = released_folder(tmp_path / "released", name)
    _, vectors = reference
    encoder = Encoder.from_pretrained(folder)
    assert [*encoder.model.config.trunks] == ["vision", "audio"], "the others stay on the disk"
    assert encoder.width == vectors["out.vision"].shape[1]
    every = Encoder.from_pretrained(folder / name, trunks=ImageBindConfig.TRUNKS)
    with torch.no_grad():
        for trunk in ("vision", "audio"):
            wanted = vectors[f"out.{trunk}"]
            for model in (encoder.model, every.model):
                out = model(trunk, vectors[f"in.{trunk}"].float())
                torch.testing.assert_close(out, wanted, atol=1e-4, rtol=0)
        torch.testing.assert_close(
            every.model("text", vectors["in.text"]), vectors["out.text"], atol=1e-4, rtol=0
        )


def test_heads_that_do_not_fit_and_cut_off_files_are_refused(tmp_path):
    text = ImageBindConfig.huge(["text"]).trunks["text"]
    config = ImageBindConfig(out=8, text=replace(text, width=24, blocks=1, heads=2))
    path = tmp_path / "imagebind_huge.pth"
    torch.save(ImageBind(config).state_dict(), path)
    with pytest.raises(ValueError, match="width 24, which 16 heads cannot share") as caught:
        Encoder.from_pretrained(path, trunks=["text"])
    assert f"{tmp_path}: {path.name}" in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=r"lacks .*vision.*: it holds no vision trunk"):
        Encoder.from_pretrained(path)
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(ValueError, match="damaged or holds more than tensors"):
        Encoder.from_pretrained(path, trunks=["text"])
    torch.save({"modality_trunks.text.x": Path("a class")}, path)
    with pytest.raises(ValueError, match="damaged or holds more than tensors"):
        Encoder.from_pretrained(path, trunks=["text"])


def test_the_official_package_is_called_as_it_wants(reference, tmp_path, monkeypatch):
    """Through a double with its constructor and its dictionaries, for it is on no index."""
    import sys
    from types import ModuleType

    ours, vectors = reference

    class ImageBindModel(ImageBind):
        def __init__(self, **numbers: int) -> None:
            assert numbers["audio_num_heads"] == 3 and numbers["out_embed_dim"] == 48
            super().__init__(ours.config)

        def forward(self, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            return {name: ImageBind.forward(self, name, x) for name, x in inputs.items()}

    folder = released_folder(tmp_path / "released", "imagebind_huge.pth")
    with pytest.raises(ModuleNotFoundError, match="package imagebind is not installed"):
        monkeypatch.setitem(sys.modules, "imagebind", None)
        Encoder.from_pretrained(folder, official=True)
    double = ModuleType("imagebind_model")
    double.ImageBindModel = ImageBindModel
    for name in ("imagebind", "imagebind.models"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "imagebind.models.imagebind_model", double)
    encoder = Encoder.from_pretrained(folder, official=True)
    with torch.no_grad():
        out = encoder.model("audio", vectors["in.audio"].float())
    torch.testing.assert_close(out, vectors["out.audio"], atol=1e-4, rtol=0)


def test_the_released_vocabulary_file_gives_clip_ids(tmp_path):
    import gzip

    merges = ["d o", "do g</w>", "c a", "ca t</w>"]
    (tmp_path / "bpe_simple_vocab_16e6.txt.gz").write_bytes(
        gzip.compress("\n".join(["version", *merges, ""]).encode())
    )
    tokenizer = load_tokenizer(tmp_path)
    pieces = ["<|startoftext|>", "a</w>", "dog</w>", ".</w>", "<|endoftext|>"]
    ids = tokenizer("A dog.")["input_ids"]
    assert tokenizer.convert_ids_to_tokens(ids) == pieces
    assert ids[1:4] == [256 + ord("a") - ord("!"), 512 + 1, 256 + ord(".") - ord("!")]
    assert tokenizer.convert_ids_to_tokens([187, 188, 255]) == ["ÿ", "Ā", "Ń"]  # bytes 255, 0, 173
    assert load_tokenizer(tmp_path / "nothing") is None
