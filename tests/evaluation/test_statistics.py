"""Intervals, tests and precision, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from nextgpt_lite.evaluation.statistics import (
    compare,
    decisions,
    interval,
    sign_flip_p,
    table,
)


def test_a_table_has_a_row_a_seed_and_a_column_a_prompt() -> None:
    rows = [
        {"seed": seed, "id": name, "score": 10 * seed + place}
        for seed in (1, 0)
        for place, name in enumerate("ab")
    ]
    values, prompts = table([*rows[:-1], {"seed": 0, "id": "b", "score": ""}], "score")
    assert prompts == [("a",), ("b",)]
    np.testing.assert_equal(values, [[0, np.nan], [10, 11]])
    with pytest.raises(ValueError, match="twice"):
        table([*rows, rows[0]], "score")


def test_a_constant_has_no_width_and_absent_values_do_not_count() -> None:
    assert interval(np.full((3, 20), 7.0)) == (7, 7, 7)
    values = np.array([[1.0, np.nan, 3.0]])
    assert interval(values).mean == 2
    assert np.isnan(interval(np.full((1, 2), np.nan)).mean)


def test_with_one_seed_it_is_the_bootstrap_of_prompts() -> None:
    values = np.random.default_rng(1).exponential(size=80)
    ours = interval(values[None], rounds=20_000)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=1
    ).confidence_interval
    assert ours.mean == pytest.approx(values.mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_seeds_that_differ_widen_the_interval() -> None:
    noise = np.random.default_rng(0).normal(size=(1, 200))
    alike = np.repeat(noise, 3, 0)
    apart = alike + np.array([[-1.0], [0.0], [1.0]])
    widths = [v.high - v.low for v in (interval(alike), interval(apart))]
    assert widths[1] > 2 * widths[0]
    # All three seeds drawn are the best one in 1 of 27 cases: more than the 2.5 % beyond the end.
    assert interval(apart).high == pytest.approx(alike.mean() + 1.0, abs=0.1)


def test_sign_flips_by_hand() -> None:
    assert sign_flip_p(np.array([1.0, 1.0, 1.0])) == 2 / 8  # +++ and ---
    # 3 + 2 - 3 is 2, and so is the least of all |+-3 +-2 +-3|.
    assert sign_flip_p(np.array([3.0, 2.0, -3.0])) == 1.0
    assert sign_flip_p(np.array([3.0, 1.0])) == 2 / 4
    assert sign_flip_p(np.zeros(5)) == 1.0


def test_many_prompts_are_tested_as_scipy_does() -> None:
    differences = np.random.default_rng(3).normal(0.25, 1.0, 60)
    theirs = stats.permutation_test(
        (differences, np.zeros(60)), lambda a, b: np.mean(a - b),
        permutation_type="samples", n_resamples=9999, rng=3,
    ).pvalue  # fmt: skip
    assert sign_flip_p(differences) == pytest.approx(theirs, abs=0.015)


def test_pairs_are_compared_prompt_by_prompt() -> None:
    hard = np.linspace(0, 100, 40)[None]  # prompts differ far more than the systems do
    found = compare(hard + 1.0, hard)
    assert found.interval == pytest.approx((1.0, 1.0, 1.0)) and found.p < 0.001
    with pytest.raises(ValueError, match="paired"):
        compare(hard, hard[:, 1:])


def test_precision_and_recall_by_hand() -> None:
    wanted = np.array([[1.0, 1, 1, 0, 0, 0]])
    given = np.array([[1.0, 1, 0, 1, 0, 0]])
    found = decisions(wanted, given)
    assert found.precision.mean == pytest.approx(100 * 2 / 3)
    assert found.recall.mean == pytest.approx(100 * 2 / 3)
    assert found.f1.mean == pytest.approx(100 * 4 / 6)
    assert found.f1.low < found.f1.mean < found.f1.high
    assert np.isnan(decisions(wanted, 0 * given).precision.mean)
    assert decisions(wanted, 0 * given).recall.mean == 0
