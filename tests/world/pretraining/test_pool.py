"""Rows of rendered scenes: the same after a restart, refused for other scenes."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from nextgpt_lite.world.pretraining.image import draw_pixels, draw_scene
from nextgpt_lite.world.pretraining.parts import begin
from nextgpt_lite.world.pretraining.pool import LatentPool
from nextgpt_lite.world.scene import Group, Picture


def test_pool_of_latents_is_the_same_after_a_restart(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vae = begin("image/vae")

    def pool() -> LatentPool:
        return LatentPool(vae, tmp_path / "latents", 0, 8, 1, draw_scene, draw_pixels, (2, 1))

    first = pool()
    first.grow_to(2)
    latents, scenes = np.array(first.rows[:4]), list(first.scenes)
    assert np.abs(latents).max() > 0
    again = pool()
    again.encode = None  # nothing may be encoded anew
    again.grow(4)
    assert again.scenes == scenes
    batch, drawn = again.batch(Random(0), 3)
    assert batch.shape == (3, 16, 8, 8)
    assert all(scene in scenes for scene in drawn)
    assert all((torch.from_numpy(latents[:, 0]).float() == b).all((1, 2, 3)).any() for b in batch)

    another_mixture = pool()
    another_mixture.draw = lambda rng: Picture((Group("cat", "red", count=rng.randint(1, 7)),))
    with pytest.raises(ValueError, match=r"latents holds rows of other scenes .* remove the file"):
        another_mixture.grow(4)
    (tmp_path / "latents").unlink()  # as it says; the digests that are left say nothing then
    another_mixture = pool()
    another_mixture.grow(4)
    assert np.abs(another_mixture.rows[:4]).max() > 0
