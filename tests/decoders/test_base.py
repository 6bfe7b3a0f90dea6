"""What every decoder refuses and promises, on the shipped one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nextgpt_lite.decoders import load_decoder
from nextgpt_lite.decoders.base import Decoder
from nextgpt_lite.model.config import WEIGHTS


@pytest.fixture(scope="module")
def decoder() -> Decoder:
    return load_decoder(WEIGHTS / "lite" / "image")


def test_a_condition_of_another_shape_is_named(decoder: Decoder) -> None:
    wrong = torch.zeros(1, 7, 128)
    told = r"image decoder takes a condition of shape \(B, 24, 128\), not \(1, 7, 128\)"
    with pytest.raises(ValueError, match=told):
        decoder.generate(wrong)
    with pytest.raises(ValueError, match=told):
        decoder.denoising_errors(wrong, torch.zeros(1, 16, 8, 8))


def test_it_stays_frozen_inside_a_model_that_trains(decoder: Decoder) -> None:
    torch.nn.ModuleDict({"image": decoder}).train()
    assert not any(module.training for module in decoder.modules())
    assert not any(parameter.requires_grad for parameter in decoder.parameters())


def test_each_medium_has_a_seed_of_its_own_whatever_its_batch(decoder: Decoder) -> None:
    conditions = decoder.encode_text(["a red car", "two small cats", "a bell"])
    together = [*decoder.generate_each(conditions, [5, 6, 7], num_inference_steps=2)]
    in_pairs = [*decoder.generate_each(conditions, [5, 6, 7], 2, num_inference_steps=2)]
    assert len(together) == len(in_pairs) == 3
    for one, other in zip(together, in_pairs, strict=True):
        assert np.abs(np.asarray(one, int) - np.asarray(other, int)).max() <= 1


def test_what_guidance_leads_away_from_is_read_once(decoder: Decoder) -> None:
    empty = decoder.negative(2)
    torch.testing.assert_close(empty[0], decoder.encode_text([""])[0])
    assert decoder.negative(3).data_ptr() == empty.data_ptr()
