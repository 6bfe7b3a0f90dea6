"""Every named public checkpoint, as a stand-in in its real layout, trains and answers."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.checkpoints.stand_ins import STAND_INS, write_stand_ins
from nextgpt_lite.data.indexed import FolderSource
from nextgpt_lite.encoders import Encoder
from nextgpt_lite.errors import PackageError
from nextgpt_lite.model.config import CHECKPOINTS, NextGPTConfig
from nextgpt_lite.training.loop import Schedule, Trainer
from nextgpt_lite.training.stages import STAGES

SAMPLES = Path(__file__).resolve().parents[2] / "data_samples"
SENTENCEPIECE = "lmsys/vicuna-7b-v1.5"  # the one tokenizer that needs another package
SYSTEMS: dict[str, dict[str, Any]] = {
    "colab": {},
    "small": {
        "llm": "smollm2-360m",
        "decoders": {"image": "stabilityai/sd-turbo", "audio": "cvssp/audioldm-m-full",
                     "video": "cerspense/zeroscope_v2_576w"},
    },
    "half": {"llm": "qwen3-0.6b", "decoders": {"audio": "cvssp/audioldm-l-full"},
             "precision": "bfloat16"},
    "four bits": {"llm": "qwen3-0.6b", "quantization": "nf4"},
    "paper": {"llm": "vicuna-7b-v1.5", "decoders": {"video": "cerspense/zeroscope_v2_576w"}},
}  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore:Not for commercial use")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    names = [name for name in STAND_INS if name != SENTENCEPIECE]
    return write_stand_ins(tmp_path_factory.mktemp("public"), names)


@pytest.fixture(autouse=True)
def _found(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CHECKPOINTS, str(root))


def step(model: NextGPT, stage: int, folder: Path) -> dict[str, float]:
    plan = STAGES[stage]
    schedule = Schedule.of(plan, steps=1, batch_size=2, warmup=1, log_every=1)
    trainer = Trainer(model, plan, FolderSource(plan, SAMPLES), folder, schedule)
    return trainer.run()[-1]


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_step_of_each_stage_and_an_answer(name: str, root: Path, tmp_path: Path) -> None:
    if name == "paper":
        pytest.importorskip("sentencepiece", reason="Vicuna's tokenizer is a SentencePiece file")
        write_stand_ins(root, [SENTENCEPIECE])
    if name == "four bits":
        pytest.importorskip("bitsandbytes", reason="4-bit matrices need bitsandbytes")
    model = NextGPT.from_config(NextGPTConfig.from_profile("colab", **SYSTEMS[name]))
    for stage in STAGES:
        line = step(model, stage, tmp_path / str(stage))
        assert all(torch.isfinite(torch.tensor(line[part])) for part in ("total", "gradient"))
        assert line["gradient"] > 0
    again = NextGPT.from_pretrained(tmp_path / "3")
    reply = again.chat(
        "What is it?",
        images=[next((SAMPLES / "images").glob("*.png"))],
        output_modalities=["image", "audio", "video"],
        num_inference_steps=1,
        max_new_tokens=4,
    )
    counts = (len(reply.images), len(reply.audios), len(reply.videos))
    assert counts == (1, 1, 1)


def test_the_released_pickle_and_its_port_are_one_encoder(root: Path) -> None:
    port = NextGPTConfig.from_profile("colab")
    pickled = NextGPTConfig.from_profile("colab", encoder=str(root / "imagebind_huge"))
    widths = [NextGPT.from_config(config).encoder.width for config in (port, pickled)]
    assert widths[0] == widths[1]


def test_the_official_package_gives_the_same_vectors(root: Path) -> None:
    pytest.importorskip("imagebind", reason="the authors' encoder package is not installed")
    picture = [("image", Image.open(next((SAMPLES / "images").glob("*.png"))))]
    ours, theirs = (
        Encoder.from_pretrained(root / "imagebind_huge", official=official).encode(picture)
        for official in (False, True)
    )
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_the_official_package_is_asked_for_by_name(root: Path) -> None:
    if find_spec("imagebind") is not None:
        pytest.skip("imagebind is installed here")
    with pytest.raises(ModuleNotFoundError, match="leave official_encoder off"):
        Encoder.from_pretrained(root / "imagebind_huge", official=True)


def test_a_decoder_of_another_width_is_refused_in_a_sentence(tmp_path: Path) -> None:
    config = NextGPTConfig.from_profile("colab")
    model = NextGPT.from_config(config)
    model.config.decoders["image"] = "stabilityai/sd-turbo"
    with pytest.raises(ValueError, match="reads a condition of") as caught:
        model.decoder("image")
    assert "train stage 2 again" in str(caught.value) and "\n" not in str(caught.value)


def test_a_preset_is_had_by_its_name_and_a_trained_model_is_not_changed() -> None:
    with pytest.warns(UserWarning, match="colab ships untrained.*train --profile colab --stage 1"):
        model = NextGPT.from_pretrained("colab", llm="qwen3-0.6b", precision="bfloat16")
    assert model.config.profile == "colab"
    assert model.llm.base["name"] == "Qwen/Qwen3-0.6B"
    with pytest.raises(ValueError, match="lite is trained, so its llm cannot be changed"):
        NextGPT.from_pretrained("lite", llm="qwen3-0.6b")


def test_text_encoders_can_be_dropped_once_conditions_are_not_needed() -> None:
    model = NextGPT.from_config(NextGPTConfig.from_profile("colab", text_encoders=False))
    for modality in ("image", "audio", "video"):
        decoder = model.decoder(modality)
        assert "text_encoder" not in decoder.parts
        shape = (1, decoder.condition_length, decoder.condition_width)
        assert len(decoder.generate(torch.randn(shape), num_inference_steps=1)) == 1
        with pytest.raises(ValueError, match="text encoder was dropped"):
            decoder.encode_text(["a dog"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"precision": "int8"}, "precision is 'int8'"),
        ({"quantization": "int3"}, "quantization is 'int3'"),
        ({"chat_format": "alpaca"}, "chat_format is 'alpaca'"),
    ],
)
def test_what_is_unknown_is_named(changes: dict[str, str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        NextGPT.from_config(NextGPTConfig.from_profile("colab", **changes))


def test_nf4_says_what_it_needs() -> None:
    if find_spec("bitsandbytes") is not None:
        pytest.skip("bitsandbytes is installed here")
    config = NextGPTConfig.from_profile("colab", quantization="nf4")
    with pytest.raises(PackageError, match="pip install bitsandbytes"):
        NextGPT.from_config(config)
