"""The numbers of a run."""

from __future__ import annotations

import pytest

from nextgpt_lite.training.schedule import Recipe, Schedule


def test_a_batch_cannot_be_read_in_more_passes_than_it_has_records() -> None:
    with pytest.raises(ValueError, match="1 to 2 passes"):
        Schedule(steps=1, batch_size=2, learning_rate=1, accumulate=3)


def test_the_rate_warms_up_and_falls_to_a_twentieth() -> None:
    recipe = Recipe(steps=110, learning_rate=2.0, warmup=10)
    rates = [recipe.rate(step) for step in range(111)]
    assert rates[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert [rates[10], rates[60], rates[110]] == pytest.approx([2.0, 1.05, 0.1])
    assert rates[10:] == sorted(rates[10:], reverse=True)
