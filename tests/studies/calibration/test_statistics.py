"""The tests of the study keep their promises on distributions that are known."""

import math

import numpy as np
import pytest

from studies.calibration.large_scale_table import Normal
from studies.calibration.statistics import (
    check_correlation,
    check_deviation,
    check_mean,
    curve_distance,
    ks_critical,
    ks_distance,
    limited_correlation,
    limited_moments,
)

LIMITED = Normal(1.8, 0.3, math.log10(104))
"""A third of its mass lies beyond the limit, more than in any column of the table."""


@pytest.fixture
def random():
    return np.random.default_rng(1)


def drawn(random, normal, number):
    return np.minimum(normal.mean + normal.deviation * random.standard_normal(number), normal.limit)


def test_distance_of_shifted_uniforms_is_the_shift(random):
    sample = random.random(20_000)
    assert ks_distance(sample, sample) == 0
    assert ks_distance(sample, random.random(20_000) + 0.2) == pytest.approx(0.2, abs=0.015)
    assert ks_distance(sample, sample + 1) == 1


def test_critical_distance_is_exceeded_as_often_as_it_says(random):
    exceeded = [ks_distance(random.standard_normal(150), random.standard_normal(300)) > ks_critical(150, 300)
                for _ in range(800)]
    assert 0.02 < np.mean(exceeded) < 0.07  # the asymptotic value is a little wide
    assert ks_critical(100, 100) == pytest.approx(0.192, abs=5e-4)  # textbook: 1.358 sqrt(2 / 100)
    assert ks_critical(100, 100, 0.01) > ks_critical(100, 100)


def test_distance_to_a_curve():
    percentiles, values = np.array([10.0, 50.0, 90.0]), np.array([0.1, 0.5, 0.9])
    sample = (np.arange(1000) + 0.5) / 1000
    assert curve_distance(sample, percentiles, values) < 1e-9
    assert curve_distance(sample + 0.3, percentiles, values) == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("normal", [Normal(-6.6, 0.4), LIMITED], ids=["normal", "limited"])
def test_intervals_hold_as_often_as_they_say(random, normal):
    samples = [drawn(random, normal, 400) for _ in range(600)]
    for check in (check_mean, check_deviation):
        missed = np.mean([not check(sample, normal, 0.05).passed for sample in samples])
        assert 0.025 < missed < 0.08, check.__name__


@pytest.mark.parametrize("normal", [Normal(-6.6, 0.4), LIMITED], ids=["normal", "limited"])
def test_wrong_moments_are_found(random, normal):
    wrong_mean = Normal(normal.mean + 0.1 * normal.deviation, normal.deviation, normal.limit)
    wrong_deviation = Normal(normal.mean, 1.15 * normal.deviation, normal.limit)
    sample = drawn(random, normal, 8000)
    assert check_mean(sample, normal, 1e-4).passed
    assert not check_mean(sample, wrong_mean, 1e-4).passed
    assert check_deviation(sample, normal, 1e-4).passed
    assert not check_deviation(sample, wrong_deviation, 1e-4).passed


def test_moments_and_correlation_below_a_limit(random):
    correlation, other = 0.6, Normal(1.0, 0.43, math.log10(52))
    x, y = random.standard_normal((2, 400_000))
    y = correlation * x + math.sqrt(1 - correlation**2) * y
    first = np.minimum(LIMITED.mean + LIMITED.deviation * x, LIMITED.limit)
    second = np.minimum(other.mean + other.deviation * y, other.limit)
    mean, variance, fourth = limited_moments(LIMITED)
    assert mean == pytest.approx(first.mean(), abs=0.002)
    assert variance == pytest.approx(first.var(), rel=0.01)
    assert fourth == pytest.approx(((first - first.mean())**4).mean(), rel=0.03)
    found = limited_correlation(LIMITED, other, correlation)
    assert found == pytest.approx(np.corrcoef(first, second)[0, 1], abs=0.005)
    assert found < correlation
    assert limited_correlation(Normal(0, 1), Normal(0, 1), correlation) == correlation
    assert check_correlation(first, second, (LIMITED, other), correlation, 1e-3).passed
    assert not check_correlation(first, second, (LIMITED, other), 0.5, 1e-3).passed
