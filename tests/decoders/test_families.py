"""Every family of pipelines, on stand-ins in the layouts of the released checkpoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from nextgpt_lite.chat import NextGPT
from nextgpt_lite.checkpoints.catalogue import HERE
from nextgpt_lite.checkpoints.stand_ins import write_stand_ins
from nextgpt_lite.data.indexed import FolderSource
from nextgpt_lite.decoders import condition_shape, load_decoder
from nextgpt_lite.decoders.base import Decoder
from nextgpt_lite.model.config import (
    CHECKPOINTS,
    DECODER_SETTINGS,
    STABLE_DIFFUSION,
    WEIGHTS,
    OutputProjectionConfig,
    folder_name,
)
from nextgpt_lite.model.losses import condition_distance
from nextgpt_lite.model.projections import OutputProjection
from nextgpt_lite.training.loop import Schedule, Trainer
from nextgpt_lite.training.stages import STAGES

SAMPLES = Path(__file__).resolve().parents[2] / "data_samples"
XL = "stabilityai/stable-diffusion-xl-base-1.0"
PIXART = "PixArt-alpha/PixArt-Sigma-XL-2-1024-MS"
WAN = "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
STABLE_AUDIO = "stabilityai/stable-audio-open-1.0"
REAL = {  # [L, C] of the released checkpoints
    STABLE_DIFFUSION: (77, 768),
    "stabilityai/sd-turbo": (77, 1024),
    "cvssp/audioldm-s-full-v2": (1, 512),
    "cerspense/zeroscope_v2_576w": (77, 1024),
    "ByteDance/AnimateDiff-Lightning": (77, 768),
    XL: (78, 2048),
    PIXART: (300, 4096),
    WAN: (512, 4096),
    STABLE_AUDIO: (128, 768),
}
CAPTIONS = ["a dog", "a large red car and seven small yellow birds in the garden"]

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stand_ins(tmp_path_factory.mktemp("families"), REAL)


@pytest.fixture(scope="module")
def decoders(root: Path) -> dict[str, Decoder]:
    """Those that were loaded already, each once."""
    return {}


@pytest.fixture(params=REAL)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def decoder(
    name: str, root: Path, decoders: dict[str, Decoder], monkeypatch: pytest.MonkeyPatch
) -> Decoder:
    monkeypatch.setenv(CHECKPOINTS, str(root))
    if name not in decoders:
        decoders[name] = load_decoder(root / folder_name(name), _settings(name))
    return decoders[name]


def _settings(name: str) -> dict[str, Any]:
    settings = dict(DECODER_SETTINGS.get(name, {}))
    return {key: settings[key] for key in ("base", "num_inference_steps") if key in settings}


def _numbers(medium: Any) -> np.ndarray:
    if isinstance(medium, Image.Image):
        return np.asarray(medium, float)
    return np.asarray(medium.samples if hasattr(medium, "samples") else medium.frames, float)


def _seeded(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_the_shape_of_a_condition_is_told_by_configurations_alone(
    name: str, root: Path, decoder: Decoder
) -> None:
    if name in (PIXART, WAN):  # the stand-ins read fewer words
        assert decoder.condition_length == decoder.settings["caption_tokens"] == 32
    shape = [decoder.condition_length, decoder.condition_width]
    assert condition_shape(root / folder_name(name), _settings(name)) == shape
    if name != "ByteDance/AnimateDiff-Lightning":  # its catalogue entry has no Stable Diffusion
        assert condition_shape(HERE / folder_name(name)) == list(REAL[name])


def test_captions_become_conditions_of_that_shape(name: str, decoder: Decoder) -> None:
    condition = decoder.encode_text([*CAPTIONS, "red " * 1000])
    assert condition.shape == (3, decoder.condition_length, decoder.condition_width)
    assert condition.dtype == torch.float32 and not condition.requires_grad
    assert not torch.equal(condition[0], condition[1])
    told = condition.abs().sum(-1) > 0  # (3, L)
    if name in (PIXART, WAN, STABLE_AUDIO):  # zeros are padding
        assert 1 < told[0].sum() < told[1].sum() < told[2].sum() == decoder.condition_length
        assert told[0, : told[0].sum()].all()
    else:
        assert told.all()


def test_a_condition_becomes_a_medium_of_its_own_seed(decoder: Decoder) -> None:
    condition = decoder.encode_text(CAPTIONS)
    steps: list[tuple[int, int]] = []
    films: list[list[Any]] = []
    both = decoder.generate(
        condition,
        num_inference_steps=2,
        generator=_seeded(1, 2),
        callback=lambda step, total, seen: (steps.append((step, total)), films.append(seen)),
        previews=1,
    )
    (alone,) = decoder.generate(condition[1:], num_inference_steps=2, generator=_seeded(2))
    (other,) = decoder.generate(condition[1:], num_inference_steps=2, generator=_seeded(3))
    assert steps == [(i + 1, steps[0][1]) for i in range(len(steps))] and len(steps) >= 2
    assert np.isfinite(_numbers(alone)).all() and _numbers(alone).std() > 0
    size = np.abs(_numbers(alone)).max()
    assert np.abs(_numbers(alone) - _numbers(both[1])).max() <= 0.02 * size
    assert np.abs(_numbers(films[-1][1]) - _numbers(both[1])).max() <= 0.02 * size
    assert np.abs(_numbers(alone) - _numbers(other)).max() > 0.02 * size


def test_the_denoiser_is_asked_as_the_pipeline_asks_it(decoder: Decoder) -> None:
    """What `denoise` answers is what the pipeline gets, with its masks, sizes and durations."""
    seen: list[tuple[Any, Any]] = []
    condition = decoder.encode_text(CAPTIONS[1:])
    signature = type(decoder.denoiser).forward

    def look(module: Any, args: tuple, kwargs: dict, output: Any) -> None:
        import inspect

        seen.append((inspect.signature(signature).bind(module, *args, **kwargs), output))

    handle = decoder.denoiser.register_forward_hook(look, with_kwargs=True)
    with pytest.MonkeyPatch.context() as patch:  # the same arithmetic on both sides
        patch.setattr(torch.cpu, "get_capabilities", dict)
        decoder.generate(condition, num_inference_steps=1, guidance_scale=1.0, generator=_seeded(0))
    handle.remove()
    asked, output = seen[0]
    theirs = output[0] if isinstance(output, tuple) else output.sample
    inputs = [value for key, value in asked.arguments.items() if key in ("sample", "hidden_states")]
    time = torch.as_tensor(asked.arguments["timestep"]).reshape(-1)[:1]
    with torch.no_grad():
        ours = decoder.denoise(inputs[0], time, condition)
    torch.testing.assert_close(ours, theirs[:, : ours.shape[1]], atol=1e-6, rtol=1e-5)


def test_the_denoising_error_reaches_the_condition(name: str, decoder: Decoder) -> None:
    condition = decoder.encode_text(CAPTIONS)
    media = decoder.generate(condition, num_inference_steps=1, generator=_seeded(0, 1))
    latents = decoder.latents(media)
    learning = condition.clone().requires_grad_()
    errors = decoder.denoising_errors(learning, latents, torch.Generator().manual_seed(0))
    errors.sum().backward()
    assert errors.shape == (2,) and torch.isfinite(errors).all()
    reached = learning.grad.abs().sum(-1) > 0  # (2, L)
    if name in (PIXART, STABLE_AUDIO):  # what a mask hides
        assert torch.equal(reached, condition.abs().sum(-1) > 0)
    else:
        assert reached.all()
    assert all(p.grad is None for p in decoder.parameters())


def test_a_projection_learns_a_condition_and_makes_a_medium_of_it(decoder: Decoder) -> None:
    torch.manual_seed(0)
    numbers = OutputProjectionConfig(hidden=16, heads=2, layers=1, feed_forward=32, dropout=0.0)
    shape = decoder.condition_length, decoder.condition_width
    projection = OutputProjection(24, *shape, numbers)
    optimiser = torch.optim.AdamW(projection.parameters(), lr=3e-3)
    hidden, target = torch.randn(2, 4, 24), decoder.encode_text(CAPTIONS)
    losses = []
    for _ in range(8):
        projected = projection(hidden, hidden)
        loss = condition_distance(projected, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    (medium,) = decoder.generate(
        projected.detach()[:1], num_inference_steps=1, generator=_seeded(0)
    )
    assert np.isfinite(_numbers(medium)).all()


def test_a_medium_is_edited(decoder: Decoder) -> None:
    condition = decoder.encode_text(CAPTIONS[:1])
    given = decoder.generate(condition, num_inference_steps=1, generator=_seeded(0))
    little, much = (
        decoder.edit(
            given, condition, strength=strength, num_inference_steps=4, generator=_seeded(1)
        )[0]
        for strength in (0.25, 1.0)
    )
    assert _numbers(little).shape == _numbers(given[0]).shape
    assert np.isfinite(_numbers(much)).all()
    assert not np.array_equal(_numbers(little), _numbers(much))


def test_media_are_made_without_text_encoders(name: str, root: Path, decoder: Decoder) -> None:
    light = load_decoder(root / folder_name(name), _settings(name))
    light.drop_text_encoder()
    assert not any(part.startswith("text_encoder") for part in light.parts)
    condition = decoder.encode_text(CAPTIONS[:1])
    ours, theirs = (
        each.generate(condition, num_inference_steps=1, generator=_seeded(0))[0]
        for each in (light, decoder)
    )
    np.testing.assert_array_equal(_numbers(ours), _numbers(theirs))
    with pytest.raises(ValueError, match="text encoder was dropped"):
        light.encode_text(CAPTIONS)


@pytest.mark.parametrize("name", [XL, PIXART, WAN, STABLE_AUDIO, "cvssp/audioldm-s-full-v2"])
def test_half_precision_works_as_a_whole(name: str, root: Path) -> None:
    decoder = load_decoder(root / folder_name(name), dtype=torch.bfloat16)
    condition = decoder.encode_text(CAPTIONS[:1]).requires_grad_()
    media = decoder.generate(condition.detach(), num_inference_steps=1)
    decoder.denoising_loss(condition, media).backward()
    assert condition.grad is not None and condition.grad.abs().sum() > 0
    assert decoder.edit(media, condition.detach(), strength=0.5, num_inference_steps=2)


def test_sdxl_reads_its_pooled_vector_in_the_last_row(root: Path) -> None:
    decoder = load_decoder(root / folder_name(XL))
    condition = decoder.encode_text(CAPTIONS)
    encoder = decoder.pipeline.text_encoder_2
    tokens = decoder.pipeline.tokenizer_2(CAPTIONS, padding="max_length", return_tensors="pt")
    with torch.no_grad():
        pooled = encoder(tokens.input_ids).text_embeds  # (2, c)
    torch.testing.assert_close(condition[:, -1, : pooled.shape[1]], pooled)
    assert (condition[:, -1, pooled.shape[1] :] == 0).all()
    assert not torch.equal(pooled[0], pooled[1]), "each caption has a vector of its own"


def test_wan_2_2_is_refused(root: Path, tmp_path: Path) -> None:
    folder = write_stand_ins(tmp_path, [WAN]) / folder_name(WAN)
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "boundary_ratio": 0.9}))
    with pytest.raises(ValueError, match=r"Wan 2\.2, which denoises in another way"):
        load_decoder(folder)


@pytest.mark.parametrize(
    ("modality", "name"),
    [("image", XL), ("image", PIXART), ("video", WAN), ("audio", STABLE_AUDIO)],
)
def test_a_decoder_is_swapped_by_one_argument(
    modality: str, name: str, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It trains in stage 2, keeps what was trained, and makes what a reply asks for."""
    monkeypatch.setenv(CHECKPOINTS, str(root))
    model = NextGPT.from_pretrained("lite", decoders={modality: name})
    shape = model.config.conditions[modality]
    assert shape == condition_shape(root / folder_name(name))
    assert model.output_projections[modality].query_embs.shape[1] == shape[0]
    kept = load_file(WEIGHTS / "lite" / "nextgpt" / "projections.safetensors")
    ours = model.state_dict()
    for tensor, value in kept.items():
        if not tensor.startswith(f"output_projections.{modality}."):
            torch.testing.assert_close(ours[tensor], value.float(), atol=0, rtol=0)
    plan = STAGES[2]
    schedule = Schedule.of(plan, steps=1, batch_size=4, warmup=1, log_every=1)
    line = Trainer(model, plan, FolderSource(plan, SAMPLES), tmp_path, schedule).run()[-1]
    assert np.isfinite(line["condition"]) and line["gradient"] > 0
    again = NextGPT.from_pretrained(tmp_path)
    assert again.config.decoders[modality] == name
    reply = again.chat(
        "Show it.", output_modalities=[modality], num_inference_steps=1, max_new_tokens=4
    )
    assert len(reply.media) == 1


def test_a_decoder_that_is_not_here_is_named(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.setenv(CHECKPOINTS, str(root))
    with pytest.raises(FileNotFoundError, match="nobody/nothing"):
        NextGPT.from_config("lite", decoders={"image": "nobody/nothing"})
    model = NextGPT.from_config("lite", decoders={"image": XL})
    assert model.config.conditions["image"] == condition_shape(root / folder_name(XL))
