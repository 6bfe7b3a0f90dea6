"""What the lite decoders of images and video are trained on: latents, and where a UNet starts."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from nextgpt_lite.world.scene import Group, Picture


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
