"""Intervals, tests, precision and agreement, against values worked out by hand or published."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from nextgpt_lite.evaluation.statistics import (
    Score,
    agreement,
    alpha,
    compare,
    decisions,
    interval,
    sign_flip_p,
    table,
)

RECORDED = json.loads(Path(__file__).with_name("recorded.json").read_text())
X = float("nan")
# Krippendorff 2011, section C: four observers, twelve units.
OBSERVERS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, X, X, X],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, X, 3],
        [X, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, X],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, X],
    ]
)
# The example of the encyclopaedia's article on alpha: three coders, fifteen units.
CODERS = np.array(
    [
        [X, X, X, X, X, 3, 4, 1, 2, 1, 1, 3, 3, X, 3],
        [1, X, 2, 1, 3, 3, 4, 3, X, X, X, X, X, X, X],
        [X, X, 2, 1, 3, 4, 4, X, 2, 1, 1, 3, 3, X, 4],
    ]
)


def numbers(values: list[list[float | None]]) -> np.ndarray:
    """JSON's null as NaN."""
    return np.array(values, float)


def test_the_libraries_give_what_our_own_code_gave() -> None:
    for right, total, low, high in RECORDED["wilson"]:
        assert Score(right, total).interval == pytest.approx((low, high), abs=1e-8)
    tables = {name: numbers(values) for name, values in RECORDED["tables"].items()}
    for name, found in RECORDED["interval"].items():
        assert interval(tables[name]) == pytest.approx(found, abs=1e-8)
    for (first, second), found in RECORDED["compare"].items():
        ours = compare(tables[first], tables[second])
        assert [*ours.interval, ours.p] == pytest.approx(found, abs=1e-8)
    decided = RECORDED["decisions"]
    for ours, found in zip(
        decisions(numbers(decided["wanted"]), numbers(decided["given"])), decided["found"],
        strict=True,
    ):  # fmt: skip
        assert ours == pytest.approx(found, abs=1e-8)
    ratings = numbers(RECORDED["alpha"]["ratings"])
    for level in ("nominal", "ordinal", "interval"):
        ours = [alpha(ratings, level), *agreement(ratings, level)]
        assert ours == pytest.approx(RECORDED["alpha"][level], abs=1e-8)


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


@pytest.mark.parametrize(
    ("ratings", "level", "published"),
    [
        (OBSERVERS, "nominal", 0.743),
        (OBSERVERS, "ordinal", 0.815),
        (OBSERVERS, "interval", 0.849),
        (CODERS, "nominal", 0.691),
        (CODERS, "interval", 0.811),
    ],
)
def test_alpha_has_its_published_values(ratings: np.ndarray, level: str, published: float) -> None:
    assert alpha(ratings, level) == pytest.approx(published, abs=5e-4)


def test_alpha_of_agreement_chance_and_nothing() -> None:
    same = np.array([[1.0, 2, 3, 2], [1, 2, 3, 2]])
    assert alpha(same, "nominal") == 1.0
    random = np.random.default_rng(0).integers(1, 11, (5, 400)).astype(float)
    assert abs(alpha(random, "ordinal")) < 0.05
    assert alpha(-same * np.array([[1], [-1]]), "interval") < 0
    for nothing in ([[1.0, X], [X, 2.0]], [[3.0, 3.0], [3.0, 3.0]]):
        assert np.isnan(alpha(nothing, "interval"))
    found = agreement(OBSERVERS, "interval")
    assert found.mean == pytest.approx(0.849, abs=5e-4)
    assert found.low < found.mean < found.high <= 1
