"""Time series: a decoder of a reader's own that learns, is saved, and is found again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from nextgpt_lite import decoders
from nextgpt_lite.decoders import DECODERS, SeriesDecoder, load_decoder, register


class Tides(SeriesDecoder):
    """Three gauges, eight hours; a caption's vector is its length and its last letter."""

    modality = "tide"

    def embed(self, captions: list[str]) -> torch.Tensor:
        return torch.tensor([[len(c), ord(c[-1]), 1.0, 2.0] for c in captions])


@pytest.fixture(autouse=True)
def _registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "DECODERS", dict(DECODERS))


def test_a_caption_becomes_one_row_of_unit_mean_square() -> None:
    condition = Tides.small(3, 8, 4, width=8).encode_text(["ebb", "a long flood"])
    assert condition.shape == (2, 1, 4)
    torch.testing.assert_close(condition.square().mean(-1), torch.ones(2, 1))


def test_it_learns_is_saved_and_makes_the_same_again(tmp_path: Path) -> None:
    torch.manual_seed(0)
    decoder = Tides.small(3, 8, 4, width=8)
    condition = decoder.encode_text(["ebb", "flood"])
    record = np.ones((3, 8), np.float32)
    error = decoder.denoising_loss(condition.requires_grad_(), [record, -record])
    error.backward()
    assert all(p.grad is not None for p in decoder.denoiser.parameters())
    assert condition.grad is not None
    assert condition.grad.abs().sum() > 0
    np.testing.assert_array_equal(decoder.reconstruct([record])[0], record)

    decoder.pipeline.save_pretrained(tmp_path)
    assert (
        json.loads((tmp_path / "model_index.json").read_text())["_class_name"] == "SeriesPipeline"
    )
    register(Tides)
    again = load_decoder(tmp_path, modality="tide")
    assert not any(p.requires_grad for p in again.parameters())
    steps: list[int] = []
    films: list[list[np.ndarray]] = []

    def make(one: SeriesDecoder, **options: object) -> list[np.ndarray]:
        generator = torch.Generator().manual_seed(1)
        return one.generate(
            condition.detach(),
            num_inference_steps=3,
            generator=generator,
            callback=lambda step, total, *seen: (steps.append(step), films.extend(seen)),
            **options,
        )

    ours, theirs = make(decoder), make(again)
    assert [x.shape for x in ours] == [(3, 8), (3, 8)]
    assert steps == [1, 2, 3, 1, 2, 3]
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    assert not films
    led = make(again, guidance_scale=8.0, previews=2)
    assert len(films) == 1, "after step 2 of 3"
    assert not np.allclose(films[0], led)
    last = make(again, guidance_scale=8.0, previews=3)
    np.testing.assert_array_equal(films[1], last, err_msg="no noise is left after it")
    np.testing.assert_array_equal(led, last)
    assert not np.allclose(ours, led)
