"""Distances between features and between sounds against closed forms and torchmetrics."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.linalg
import torch

from nextgpt_lite.evaluation.metrics import distances
from nextgpt_lite.media import Audio


def test_frechet_distance_in_closed_form() -> None:
    # variances 2 and 8, means 0 and 5: 25 + (sqrt 8 - sqrt 2)^2
    first, second = torch.tensor([[-1.0], [1.0]]), torch.tensor([[3.0], [7.0]])
    assert distances.frechet_distance(first, second) == pytest.approx(27)
    assert distances.frechet_distance(first, first + 2) == pytest.approx(4)
    with pytest.raises(ValueError, match="at least two rows"):
        distances.frechet_distance(first[:1], second)


@pytest.mark.parametrize("sizes", [(400, 300), (5, 7)])  # with fewer rows than columns too
def test_frechet_distance_equals_the_formula(sizes: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    mix = rng.normal(size=(12, 12))
    first, second = rng.normal(size=(sizes[0], 12)) @ mix, rng.normal(1, 2, (sizes[1], 12))
    covariances = [np.cov(x.T) for x in (first, second)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    formula = ((first.mean(0) - second.mean(0)) ** 2).sum()
    formula += np.trace(covariances[0] + covariances[1] - 2 * root)
    ours = distances.frechet_distance(torch.from_numpy(first), torch.from_numpy(second))
    assert ours == pytest.approx(formula, rel=1e-5)
    same = distances.frechet_distance(torch.from_numpy(first), torch.from_numpy(first))
    assert same == pytest.approx(0, abs=1e-9)


def features(rows: int, columns: int, pace: float) -> torch.Tensor:
    """Numbers that look drawn, the same everywhere."""
    steps = torch.arange(rows * columns, dtype=torch.float64)
    return torch.sin(pace * steps.square()).reshape(rows, columns)


def test_distances_equal_torchmetrics() -> None:
    # The right-hand sides were computed by torchmetrics 1.9.0 (FrechetInceptionDistance and
    # InceptionScore of one split, given these features instead of pictures). With fewer rows than
    # columns it is exact to seven digits: it takes roots of eigenvalues that should be 0.
    for rows, columns, theirs, digits in (
        (40, 6, 1.2454298767533363, 1e-12),
        (6, 12, 12.862603870562872, 1e-7),
    ):
        first, second = features(rows, columns, 0.1), 1.5 * features(rows, columns, 0.3) + 0.2
        assert distances.frechet_distance(first, second) == pytest.approx(theirs, rel=digits)
    probabilities = (3 * features(30, 5, 0.7)).softmax(-1)
    assert distances.inception_score(probabilities) == pytest.approx(1.9891635828585577, rel=1e-12)


def test_inception_score_at_its_ends() -> None:
    assert distances.inception_score(torch.full((6, 4), 0.25)) == pytest.approx(1)
    assert distances.inception_score(torch.eye(4).repeat(3, 1)) == pytest.approx(4)
    half = torch.tensor([[0.75, 0.25], [0.25, 0.75]])
    by_hand = math.exp(0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    assert distances.inception_score(half) == pytest.approx(by_hand)


def test_similarities_are_cosines() -> None:
    first = torch.tensor([[3.0, 0.0], [1.0, 1.0]])
    second = torch.tensor([[1.0, 0.0], [0.0, 5.0]])
    assert distances.similarities(first, second).tolist() == pytest.approx([1, math.sqrt(0.5)])


def test_cepstral_distortion_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    cepstra = {"a": np.array([[0.0], [1.0], [1.0]]), "b": np.array([[0.0], [3.0]])}
    monkeypatch.setattr(distances, "mel_cepstra", lambda name, _: cepstra[name])
    # the path 0-0, 1-0, 1-3 costs 0 + 1 + 2 over three steps
    expected = 10 / math.log(10) * math.sqrt(2) * 3 / 3
    assert distances.mel_cepstral_distortion("a", "b") == pytest.approx(expected)


def test_warping_finds_the_cheapest_path() -> None:
    costs = np.random.default_rng(1).random((4, 5))

    def paths(i: int, j: int) -> list[list[tuple[int, int]]]:
        if (i, j) == (0, 0):
            return [[(0, 0)]]
        before = [(i - 1, j - 1), (i - 1, j), (i, j - 1)]
        return [[*p, (i, j)] for a, b in before if a >= 0 and b >= 0 for p in paths(a, b)]

    best = min(paths(3, 4), key=lambda path: sum(costs[at] for at in path))
    total, length = distances._warp(costs)
    assert (total, length) == (pytest.approx(sum(costs[at] for at in best)), len(best))
    assert all(a != b for a, b in pairwise(best))


def test_cepstral_distortion_hears_timbre_not_loudness_or_delay() -> None:
    time = np.arange(16000) / 16000
    tone = (np.sin(2 * np.pi * 440 * time) * np.hanning(16000)).astype(np.float32)[None] * 0.5
    noise = np.random.default_rng(0).normal(size=(1, 16000)).astype(np.float32) * 0.1
    rich = Audio(tone + noise * 0.1, 16000)
    assert distances.mel_cepstral_distortion(rich, rich) == 0
    softer = distances.mel_cepstral_distortion(rich, Audio(rich.samples / 2, 16000))
    assert softer < 0.01
    assert 3 < distances.mel_cepstral_distortion(rich, Audio(noise, 16000)) < 20


def test_cepstra_are_those_of_a_spectrum_whose_level_is_known() -> None:
    # 6 dB more in the upper half of the bands is +-3 dB around the mean: c_1 as by the integral
    rng = np.random.default_rng(0)
    spectrum = np.fft.rfft(rng.normal(size=16000))
    louder = spectrum.copy()
    louder[np.fft.rfftfreq(16000, 1 / 16000) > 1720] *= 2  # about the middle of the 40 mel bands
    sounds = [Audio(np.fft.irfft(s)[None].astype(np.float32), 16000) for s in (spectrum, louder)]
    first = [distances.mel_cepstra(sound)[:, 0].mean() for sound in sounds]
    assert first[1] - first[0] == pytest.approx(-math.log(4) / math.pi, rel=0.05)
    distortion = distances.mel_cepstral_distortion(*sounds)
    assert distortion == pytest.approx(3, abs=0.5), "the root mean square of +-3 dB"
