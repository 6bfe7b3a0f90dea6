"""On a real card, where there is one: `pytest -m gpu`. What needs none is in `test_card`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks import gpu
from nextgpt_lite import NextGPT

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device here"),
]
SIZE = gpu.Size(training=8, stages=(1, 2, 3), count=2, names=("retrieval", "stage 2"))


def test_all_directions_in_16_bits(tmp_path: Path) -> None:
    for name, found in gpu.directions(SIZE, tmp_path).items():
        assert found["as asked"] == 16, (name, found["not as asked"])
        assert found["devices"] == ["cuda:0"]
        assert found["formats of frozen parts"] == [f"torch.{name}"]


def test_a_killed_run_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    for name, found in gpu.stages(SIZE, tmp_path).items():
        assert found["resumed bit for bit"], name
        assert found["device"].startswith("cuda")


def test_compile_keeps_every_gradient(tmp_path: Path) -> None:
    assert gpu.compiled(SIZE, tmp_path)["gradients compared"] > 0


def test_words_are_those_of_the_cpu() -> None:
    words = "What is 3 plus 4?"
    here, there = (NextGPT.from_pretrained("lite", device=each) for each in ("cpu", "cuda"))
    assert here.chat(words).text == there.chat(words).text
