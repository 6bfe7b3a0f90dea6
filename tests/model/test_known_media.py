"""Media that a model was not trained on are told."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image

from nextgpt_lite.data.opening import open_source
from nextgpt_lite.errors import CheckpointError, ConfigError
from nextgpt_lite.media import Audio, Video, load_audio, load_image, load_video
from nextgpt_lite.model.known_media import FILE, KnownMedia
from nextgpt_lite.reading import read_sums
from nextgpt_lite.training.known_media import write_known_media
from nextgpt_lite.training.loop import Trainer
from nextgpt_lite.training.schedule import Schedule
from nextgpt_lite.training.stages import STAGES
from nextgpt_lite.turn import drafts
from nextgpt_lite.world.render import render
from nextgpt_lite.world.scene import sample_clip, sample_picture, sample_sound
from tests.tiny import tiny_model

REAL = Path("../shared/data/official_samples")


def looks(count: int, seed: int = 0) -> torch.Tensor:
    """(N, 32) on a plane of eight directions, nearly."""
    rng = torch.Generator().manual_seed(seed)
    plane = torch.randn(8, 32, generator=torch.Generator().manual_seed(9))
    return torch.randn(count, 8, generator=rng) @ plane + 0.01 * torch.randn(
        count, 32, generator=rng
    )


def test_what_lies_beside_or_far_out_is_unknown(tmp_path: Path) -> None:
    KnownMedia.of({"image": looks(1000)}).save(tmp_path)
    known = KnownMedia.load(tmp_path, lambda _: 32)
    fresh = looks(1000, 1)
    assert sum(not known.knows("image", each) for each in fresh) <= 10
    assert not known.knows("image", 9 * fresh[0])
    assert not any(known.knows("image", each) for each in torch.randn(50, 32) * 2)
    assert known.knows("audio", fresh[0]), "no statistics, no unknown media"
    assert KnownMedia.load(tmp_path / "none", lambda _: 32).knows("image", 9 * fresh[0])


def test_statistics_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="30 image items"):
        KnownMedia.of({"image": looks(30)})
    KnownMedia.of({"image": looks(300)}).save(tmp_path)
    with pytest.raises(CheckpointError, match=rf"{FILE}: .* width 32, the encoder 64"):
        KnownMedia.load(tmp_path, lambda _: 64)


def test_a_model_keeps_its_statistics_until_it_is_trained_on(tmp_path: Path) -> None:
    model = tiny_model()
    model.known_media = KnownMedia.of({"image": looks(300)})
    model.save_pretrained(tmp_path)
    assert FILE in read_sums(tmp_path)
    kept = KnownMedia.load(tmp_path, lambda _: 32)
    for name, value in model.known_media.tensors.items():
        assert kept.tensors[name].equal(value), name
    schedule = Schedule(steps=1, batch_size=1, learning_rate=1e-3, device="cpu")
    Trainer(model, STAGES[1], open_source(None, STAGES[1], 0), tmp_path / "run", schedule).run()
    assert not (tmp_path / "run" / FILE).exists()


def test_a_reply_warns_of_each_unknown_medium_and_of_no_other(monkeypatch) -> None:
    model = tiny_model()
    rng = np.random.default_rng(0)  # not blank, which is told for itself
    pictures = [Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8)) for _ in range(3)]
    _, seen = model.encoder.look([("image", picture) for picture in pictures])
    monkeypatch.setattr(
        KnownMedia, "knows", lambda _, modality, look: bool((look - seen[1]).norm() > 1e-3)
    )
    options = {"max_new_tokens": 2, "output_modalities": []}
    (one,) = model.chat("What?", images=pictures[1:2], **options).warnings
    assert one.startswith("The given image is unlike")
    (two,) = model.chat("What?", images=pictures, **options).warnings
    assert two.startswith("Given medium 2, of type image, is unlike")
    batch = model.chat_batch(["Draw", [{"role": "user", "content": [
        {"type": "image", "data": pictures[1]}]}]], **options)  # fmt: skip
    assert [len(reply.warnings) for reply in batch] == [0, 1]


def test_the_command_makes_statistics_of_what_stage_1_reads(tmp_path: Path, monkeypatch) -> None:
    from nextgpt_lite.chat import NextGPT

    model = tiny_model()
    monkeypatch.setattr(NextGPT, "from_pretrained", lambda _, **__: model)
    monkeypatch.setattr("nextgpt_lite.training.known_media.LEAST", 20)
    monkeypatch.setattr("nextgpt_lite.model.known_media.LEAST", 20)
    path = write_known_media(tmp_path, "lite", records=100)
    names = {
        name.split(".")[0] for name in KnownMedia.load(tmp_path, model.encoder.look_width).tensors
    }
    assert names == {"image", "audio", "video"}
    assert path.stat().st_size < 200_000


RNG = np.random.default_rng(0)


def noise() -> Audio:
    return Audio(RNG.normal(size=(1, 32000)).astype(np.float32) / 8, 16000)


def silence() -> Audio:
    return Audio(np.zeros((1, 32000), np.float32), 16000)


def tone() -> Audio:
    wave = 0.4 * np.sin(2 * np.pi * RNG.uniform(100, 4000) * np.arange(32000) / 16000)
    return Audio(wave.astype(np.float32)[None], 16000)


def flicker() -> Video:
    return Video(RNG.integers(0, 256, (8, 64, 64, 3), dtype=np.uint8), 4.0)


def snow() -> Image.Image:
    return Image.fromarray(RNG.integers(0, 256, (64, 64, 3), np.uint8))


def one_colour() -> Image.Image:
    return Image.new("RGB", (64, 64), tuple(RNG.integers(0, 256, 3).tolist()))


def gradient() -> Image.Image:
    (low, high), axis = RNG.integers(0, 127, (2, 3)), np.linspace(0, 1, 64)[:, None, None]
    return Image.fromarray((low + high * (axis + axis.transpose(1, 0, 2)) / 2).astype(np.uint8))


ODD = [("image", each) for each in (snow, one_colour, gradient)]
ODD += [("audio", each) for each in (noise, silence, tone)]


@pytest.mark.parametrize(("modality", "odd"), [*ODD, ("video", flicker)])
def test_the_shipped_model_tells_odd_media(lite, modality: str, odd) -> None:
    assert warned(lite, modality, [odd() for _ in range(12)]) >= 0.9


@pytest.mark.parametrize(("modality", "draw"), [
    ("image", sample_picture), ("audio", sample_sound), ("video", sample_clip)
])  # fmt: skip
def test_the_shipped_model_knows_its_world(lite, modality: str, draw) -> None:
    media = [render(draw(Random(seed)), seed) for seed in range(40)]
    assert warned(lite, modality, media) <= 0.05


def test_a_picture_of_the_world_may_be_large_and_compressed(lite) -> None:
    pictures = []
    for seed in range(40):
        image = render(sample_picture(Random(seed)), seed).resize((300, 300))
        image.save(file := BytesIO(), "JPEG", quality=60)
        pictures.append(Image.open(file).convert("RGB"))
    assert warned(lite, "image", pictures) <= 0.05


@pytest.mark.parametrize(("modality", "pattern", "load"), [
    ("image", "cc3m/images/*.jpg", load_image), ("audio", "audiocap/audios/*.wav", load_audio),
    ("video", "webvid/**/*.mp4", load_video),
])  # fmt: skip
def test_the_shipped_model_tells_real_recordings(lite, modality: str, pattern: str, load) -> None:
    paths = sorted(REAL.glob(pattern))
    if not paths:
        pytest.skip("the official samples are not here")
    assert warned(lite, modality, [load(path) for path in paths]) >= 0.8


def warned(lite, modality: str, media: list) -> float:
    asked = [
        [{"role": "user", "content": [{"type": modality, "data": medium}]}] for medium in media
    ]
    return float(np.mean([bool(reply.warnings) for reply in drafts(lite, asked)]))
