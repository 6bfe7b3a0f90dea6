"""The video decoder: where its UNet starts, and what it learns from."""

from __future__ import annotations

from random import Random

import torch

from nextgpt_lite.world.pretraining import video
from nextgpt_lite.world.pretraining.parts import begin
from nextgpt_lite.world.scene import MOTIONS, is_held_out


def test_video_unet_starts_as_the_image_unet_on_every_frame() -> None:
    torch.manual_seed(0)
    flat = begin("image/unet").eval()
    deep = video.new_unet(flat).eval()
    noisy = torch.randn(1, 16, 3, 8, 8)  # (B, c, T, h, w)
    condition, timestep = torch.randn(1, 24, 128), torch.tensor([500])
    with torch.no_grad():
        frames = noisy[0].transpose(0, 1)  # (T, c, h, w)
        one_by_one = flat(frames, timestep, condition.expand(3, -1, -1)).sample
        together = deep(noisy, timestep, condition.expand(3, -1, -1)).sample
    assert torch.allclose(together[0].transpose(0, 1), one_by_one, atol=1e-4)


def test_a_quarter_of_the_clips_moves_left_besides_those_that_do_anyway():
    rng = Random(3)
    clips = [video.draw_scene(rng) for _ in range(600)]
    assert 0.3 < sum(clip.motion == "left" for clip in clips) / 600 < 0.45  # 1/4 + 3/4 of a sixth
    assert {clip.motion for clip in clips} == set(MOTIONS)
    assert not any(is_held_out(clip) for clip in clips)
