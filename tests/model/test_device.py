"""What "auto" means on each machine, and that a model goes where it is sent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nextgpt_lite import Audio, NextGPT
from nextgpt_lite.errors import ConfigError
from nextgpt_lite.model.device import pick_device, pick_dtype
from tests.tiny import tiny_model


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """One without accelerators, whatever this one has."""
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    for kind in (torch.cuda, torch.backends.mps):
        monkeypatch.setattr(kind, "is_available", lambda: False)
    return monkeypatch


def give_card(machine: pytest.MonkeyPatch, bf16: bool = True, count: int = 1) -> None:
    machine.setattr(torch.cuda, "is_available", lambda: True)
    machine.setattr(torch.cuda, "device_count", lambda: count)
    machine.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16)


def test_auto_is_cuda_then_mps_then_cpu(machine: pytest.MonkeyPatch) -> None:
    assert str(pick_device()) == "cpu"
    machine.setattr(torch.backends.mps, "is_available", lambda: True)
    assert str(pick_device()) == "mps"
    give_card(machine)
    assert str(pick_device()) == "cuda"
    assert str(pick_device("cpu")) == "cpu"


def test_under_torchrun_each_process_has_its_own_card(machine: pytest.MonkeyPatch) -> None:
    machine.setenv("LOCAL_RANK", "1")
    assert str(pick_device()) == "cpu"
    give_card(machine, count=2)
    assert str(pick_device()) == "cuda:1"


def test_a_device_that_is_not_there_is_refused_by_name(machine: pytest.MonkeyPatch) -> None:
    for name, words in (("gpu", "use 'auto', 'cpu'"), ("meta", "use 'auto', 'cpu'"),
                        ("cuda", "finds none here"), ("mps", "finds none here")):  # fmt: skip
        with pytest.raises(ConfigError, match=f"device is '{name}'.*{words}"):
            pick_device(name)
    give_card(machine)
    assert str(pick_device("cuda:0")) == "cuda:0"
    with pytest.raises(ConfigError, match=r"'cuda:1', but torch .* finds none"):
        pick_device("cuda:1")


def test_auto_precision_has_16_bits_on_accelerators_only(machine: pytest.MonkeyPatch) -> None:
    cpu, cuda, mps = (torch.device(kind) for kind in ("cpu", "cuda", "mps"))
    give_card(machine)
    assert pick_dtype("auto", cpu) == torch.float32
    assert pick_dtype("auto", cuda) == torch.bfloat16
    give_card(machine, bf16=False)  # a T4
    assert pick_dtype("auto", cuda) == torch.float16
    assert pick_dtype("auto", mps) == torch.float16
    assert pick_dtype("float16", cpu) == pick_dtype(torch.float16, cpu) == torch.float16
    with pytest.raises(ConfigError, match="precision is 'int8': use 'auto' or one of float32"):
        pick_dtype("int8", cpu)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"device": "gpu"}, "device is 'gpu'"), ({"device": None}, "device is 'None'"),
     ({"dtype": "int8"}, "precision is 'int8'"), ({"dtype": torch.int8}, "precision is 'int8'")],
)  # fmt: skip
def test_no_file_is_blamed_for_a_device_or_precision(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=f"^{said}"):
        NextGPT.from_pretrained("lite", **wrong)


def test_what_is_loaded_later_has_the_same_number_format() -> None:
    model = NextGPT.from_pretrained("lite", device="cpu", dtype=torch.bfloat16)
    assert model.config.precision == "bfloat16"
    formats = {model.dtype, next(model.encoder.parameters()).dtype}
    formats |= {parameter.dtype for parameter in model.decoder("image").parameters()}
    assert formats == {torch.bfloat16}
    learns = {p.dtype for n, p in model.named_parameters() if "lora_" in n or "projection" in n}
    assert learns == {torch.float32}


@pytest.mark.parametrize("change", ["half", "bfloat16", "double"])
def test_media_are_read_in_the_number_format_of_the_model(change: str) -> None:
    model = getattr(tiny_model(), change)()
    embeddings = torch.zeros(1, 6, model.llm.width, dtype=model.dtype)
    row, start = torch.tensor([0]), torch.tensor([2])
    read = model.splice(embeddings, row, start, torch.ones(1, model.encoder_width))
    assert read.dtype == model.dtype != torch.float32
    assert read[0, 2].any()


@pytest.mark.parametrize("change", ["half", "bfloat16", "double"])
@pytest.mark.parametrize("loaded", [True, False])
def test_another_number_format_reaches_every_part(change: str, loaded: bool) -> None:
    model = NextGPT.from_pretrained("lite", device="cpu")
    if loaded:
        model.decoder("image"), model.decoder("audio"), model.encoder
    getattr(model, change)()
    red = model.chat("Show me a large red car.", output_modalities=["image"], num_inference_steps=1)
    assert model.chat("What is it?", images=red.images, output_modalities=[]).text
    blue = model.edit("image", red.images[0], "Make it blue.", num_inference_steps=2)
    assert blue.size == red.images[0].size
    tone = Audio(np.sin(np.arange(16000) / 9)[None].astype(np.float32), 16000)
    barked = model.edit("audio", tone, "a dog", messenger="caption", num_inference_steps=2)
    assert np.isfinite(barked.samples).all()
    assert model.decoder("audio").mel.bank.dtype == torch.float32  # spectra in 16 bits tell little
    parts = [model.encoder, model.decoder("image")]
    assert {p.dtype for part in parts for p in part.parameters()} == {model.dtype}
