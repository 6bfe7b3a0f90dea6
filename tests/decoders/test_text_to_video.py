"""Clips on a CPU: plain attention, and bf16 where the processor multiplies it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nextgpt_lite.checkpoints.stand_ins import write_stand_ins
from nextgpt_lite.decoders import load_decoder
from nextgpt_lite.decoders.base import Decoder
from nextgpt_lite.model.config import folder_name

NAME = "cerspense/zeroscope_v2_576w"


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Decoder:
    root: Path = write_stand_ins(tmp_path_factory.mktemp("clips"), [NAME])
    return load_decoder(root / folder_name(NAME))


def test_a_clip_on_a_cpu_is_made_with_plain_attention(decoder: Decoder) -> None:
    before = decoder.pipeline.unet.attn_processors
    seen: set[str] = set()

    def look(step: int, total: int) -> None:
        seen.update(type(p).__name__ for p in decoder.pipeline.unet.attn_processors.values())

    decoder.generate(decoder.encode_text(["a dog"]), num_inference_steps=1, callback=look)
    assert seen == {"AttnProcessor"}
    assert decoder.pipeline.unet.attn_processors == before


def test_a_clip_in_bf16_is_the_clip_in_float32(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    condition, clips, used = decoder.encode_text(["a large red car moves left"]), [], []

    def look(step: int, total: int) -> None:
        used.append(torch.is_autocast_enabled("cpu"))

    for able in ({"amx_bf16": True}, {"avx2": True}):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda able=able: able)
        options = {"generator": torch.Generator().manual_seed(0), "callback": look}
        clips += decoder.generate(condition, num_inference_steps=4, **options)
    assert used == [True] * 4 + [False] * 4
    half, full = (clip.frames.astype(float) for clip in clips)
    assert 0 < abs(half - full).mean() < 3  # of 255
    assert full.std() > 20
