"""Decoders from tiny random weights, and the loop that trains them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from nextgpt_lite.decoders import load_decoder
from nextgpt_lite.decoders.base import Decoder
from nextgpt_lite.media import Video
from nextgpt_lite.world.pretraining import denoiser as shared, text
from nextgpt_lite.world.pretraining.tokenizers import caption_tokenizer
from nextgpt_lite.world.scene import Group, Picture

SIDE, FRAMES = 16, 4
KINDS = ("image", "video", "zeroscope")


def _tiny_unet(kind: str) -> nn.Module:
    from diffusers import UNet2DConditionModel, UNet3DConditionModel, UNetMotionModel

    model, suffix, heads = {
        "image": (UNet2DConditionModel, "2D", {"attention_head_dim": 8}),
        "video": (UNetMotionModel, "Motion", {"num_attention_heads": 2}),
        "zeroscope": (UNet3DConditionModel, "3D", {"attention_head_dim": 8}),
    }[kind]
    return model(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(16, 16),
        layers_per_block=1,
        down_block_types=(f"CrossAttnDownBlock{suffix}", f"DownBlock{suffix}"),
        up_block_types=(f"UpBlock{suffix}", f"CrossAttnUpBlock{suffix}"),
        cross_attention_dim=text.WIDTH,
        norm_num_groups=4,
        **heads,
    )


def _save_tiny(folder: Path, kind: str) -> None:
    """A folder in diffusers layout; the videos' take their autoencoder from the image's."""
    from diffusers import AnimateDiffPipeline, AutoencoderKL, StableDiffusionPipeline
    from diffusers.pipelines.deprecated import TextToVideoSDPipeline

    torch.manual_seed(0)
    vae = AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        norm_num_groups=4,
        latent_channels=4,
        scaling_factor=1.0,
    )
    parts = {
        "vae": vae,
        "text_encoder": text.build(),
        "tokenizer": caption_tokenizer(text.LENGTH),
        "unet": _tiny_unet(kind),
        "scheduler": shared.new_scheduler(),
    }
    if kind == "image":
        pipeline = StableDiffusionPipeline(
            **parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False
        )
        settings: dict[str, object] = {"guidance_scale": 2.0}
    else:
        if kind == "video":
            pipeline = AnimateDiffPipeline(**parts, motion_adapter=None)
        else:
            pipeline = TextToVideoSDPipeline(**parts)
        settings = {"guidance_scale": 2.0, "frames": FRAMES, "fps": 4.0, "vae": "../image/vae"}
    pipeline.to(dtype=torch.float16).save_pretrained(folder)
    (folder / "nextgpt_lite.json").write_text(json.dumps(settings))


@pytest.fixture(scope="module")
def decoders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Decoder]:
    root = tmp_path_factory.mktemp("decoders")
    for kind in KINDS:
        _save_tiny(root / kind, kind)
    return {kind: load_decoder(root / kind) for kind in KINDS}


def _pixels(medium: Image.Image | Video) -> np.ndarray:
    return medium.frames if isinstance(medium, Video) else np.asarray(medium)


def _medium(kind: str) -> Image.Image | Video:
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES, SIDE, SIDE, 3), dtype=np.uint8)
    return Video(frames, 4.0) if kind != "image" else Image.fromarray(frames[0])


@pytest.mark.parametrize("kind", KINDS)
def test_generate_is_shaped_and_seeded(decoders: dict[str, Decoder], kind: str) -> None:
    decoder = decoders[kind]
    condition = decoder.encode_text(["a large red car", "two small cats"])
    assert condition.shape == (2, decoder.condition_length, decoder.condition_width)
    assert condition.dtype == torch.float32

    steps: list[tuple[int, int]] = []

    def draw(seeds: tuple[int, int]) -> list[np.ndarray]:
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        media = decoder.generate(
            condition,
            num_inference_steps=2,
            generator=generators,
            callback=lambda step, total: steps.append((step, total)),
        )
        return [_pixels(medium) for medium in media]

    first, again, other = draw((1, 2)), draw((1, 2)), draw((3, 2))
    shape = (SIDE, SIDE, 3) if kind == "image" else (FRAMES, SIDE, SIDE, 3)
    assert [p.shape for p in first] == [shape] * 2
    assert all(p.dtype == np.uint8 for p in first)
    assert steps[:2] == [(1, 2), (2, 2)]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert np.array_equal(first[1], other[1]), "an item must depend on its own generator only"


@pytest.mark.parametrize("kind", KINDS)
def test_denoising_loss_reaches_the_condition_only(decoders: dict[str, Decoder], kind: str) -> None:
    decoder = decoders[kind]
    condition = decoder.encode_text(["a large red car"]).requires_grad_()
    decoder.train()
    assert not any(module.training for module in decoder.modules())
    loss = decoder.denoising_loss(condition, [_medium(kind)], torch.Generator().manual_seed(0))
    loss.backward()
    assert condition.grad is not None
    assert condition.grad.abs().sum() > 0
    assert all(p.grad is None and not p.requires_grad for p in decoder.parameters())


def test_a_clip_on_a_cpu_is_made_with_plain_attention(decoders: dict[str, Decoder]) -> None:
    decoder = decoders["video"]
    before = decoder.pipeline.unet.attn_processors
    seen: set[str] = set()

    def look(step: int, total: int) -> None:
        seen.update(type(p).__name__ for p in decoder.pipeline.unet.attn_processors.values())

    decoder.generate(decoder.encode_text(["a dog"]), num_inference_steps=1, callback=look)
    assert seen == {"AttnProcessor"}
    assert decoder.pipeline.unet.attn_processors == before


def test_a_clip_in_bf16_is_the_clip_in_float32(
    decoders: dict[str, Decoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = decoders["video"]
    condition, clips, used = decoder.encode_text(["a large red car moves left"]), [], []

    def look(step: int, total: int) -> None:
        used.append(torch.is_autocast_enabled("cpu"))

    for able in ({"avx512_bf16": True}, {"avx2": True}):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        options = {"generator": torch.Generator().manual_seed(0), "callback": look}
        clips += decoder.generate(condition, num_inference_steps=8, **options)
    assert used == [True] * 8 + [False] * 8
    half, full = (clip.frames.astype(float) for clip in clips)
    assert 0 < abs(half - full).mean() < 3  # of 255
    assert full.std() > 20


def test_wrong_inputs_are_named(decoders: dict[str, Decoder], tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"image decoder takes a condition of shape \(B, 24, 128\)"
    ):
        decoders["image"].generate(torch.zeros(1, 7, 128))
    with pytest.raises(FileNotFoundError, match=r"model_index\.json"):
        load_decoder(tmp_path)


def test_video_unet_starts_as_the_image_unet_on_every_frame() -> None:
    from nextgpt_lite.world.pretraining import image, video

    torch.manual_seed(0)
    flat = image.new_unet().eval()
    deep = video.new_unet(flat).eval()
    noisy = torch.randn(1, 16, 3, 8, 8)  # (B, c, T, h, w)
    condition, timestep = torch.randn(1, 24, 128), torch.tensor([500])
    with torch.no_grad():
        frames = noisy[0].transpose(0, 1)  # (T, c, h, w)
        one_by_one = flat(frames, timestep, condition.expand(3, -1, -1)).sample
        together = deep(noisy, timestep, condition.expand(3, -1, -1)).sample
    assert torch.allclose(together[0].transpose(0, 1), one_by_one, atol=1e-4)


def test_latents_are_normalised_without_changing_pictures() -> None:
    from nextgpt_lite.world.pretraining.autoencoder import new_autoencoder, normalise_latents

    torch.manual_seed(0)
    vae = new_autoencoder().eval()
    pixels = torch.rand(4, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        before = vae.decode(vae.encode(pixels).latent_dist.mode()).sample
        normalise_latents(vae, pixels)
        latents = vae.encode(pixels).latent_dist.mode()  # (B, c, h, w)
        after = vae.decode(latents).sample
    assert torch.allclose(latents.mean((0, 2, 3)), torch.zeros(16), atol=1e-3)
    assert torch.allclose(latents.std((0, 2, 3)), torch.ones(16), atol=1e-3)
    assert torch.allclose(before, after, atol=1e-3)


def test_pool_of_latents_is_the_same_after_a_restart(tmp_path: Path) -> None:
    from nextgpt_lite.world.pretraining.autoencoder import new_autoencoder
    from nextgpt_lite.world.pretraining.image import draw_pixels, draw_scene
    from nextgpt_lite.world.pretraining.latents import LatentPool

    torch.manual_seed(0)
    vae = new_autoencoder()

    def pool() -> LatentPool:
        return LatentPool(vae, tmp_path / "latents", 0, 8, 1, draw_scene, draw_pixels)

    first = pool()
    first.grow(4)
    latents, scenes = np.array(first.rows[:4]), list(first.scenes)
    assert np.abs(latents).max() > 0
    again = pool()
    again.encode = None  # nothing may be encoded anew
    again.grow(4)
    assert again.scenes == scenes
    batch, ids = again.batch(Random(0), 3)
    assert batch.shape == (3, 16, 8, 8)
    assert ids.shape == (3, 24)
    assert all((torch.from_numpy(latents[:, 0]).float() == b).all((1, 2, 3)).any() for b in batch)

    another_mixture = pool()
    another_mixture.draw = lambda rng: Picture((Group("cat", "red", count=rng.randint(1, 7)),))
    with pytest.raises(ValueError, match=r"latents holds rows of other scenes .* remove the file"):
        another_mixture.grow(4)
    (tmp_path / "latents").unlink()  # as it says; the digests that are left say nothing then
    another_mixture = pool()
    another_mixture.grow(4)
    assert np.abs(another_mixture.rows[:4]).max() > 0


def test_loading_repeats_no_advice_that_misleads() -> None:
    code = (
        "from nextgpt_lite.model.config import locate\n"
        "from nextgpt_lite.decoders import load_decoder\n"
        "for modality in ('image', 'audio'): load_decoder(locate(f'lite/{modality}'))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "Loading" in done.stderr  # what loads tells of it there
    assert "torchvision" not in done.stderr
    assert "deprecated" not in done.stderr
