"""The spectrogram of decoders of sounds."""

from __future__ import annotations

import torch

from nextgpt_lite.decoders.mel import LogMel


def test_a_frame_lies_where_the_vocoder_puts_its_samples() -> None:
    samples = torch.zeros(1, 160 * 100)
    samples[0, 40 * 160 + 80] = 1  # the middle of frame 40
    mel = LogMel()(samples)
    assert mel.shape == (1, 100, 64)
    assert mel.mean(-1).argmax() == 40
    assert torch.allclose(mel[0, 0], torch.tensor(1e-5).log()), "silence is the floor"
    assert (LogMel(scaled=True)(samples)[0, 0] == -1).all()
