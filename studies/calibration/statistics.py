"""Are two samples of one distribution? Has a sample the mean, the deviation, the correlation that a table says?"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import integrate, stats

from studies.calibration.large_scale_table import Normal

PERCENTILES = (1, *range(5, 100, 5), 99)


def ks_distance(first: np.ndarray, second: np.ndarray) -> float:
    """Largest distance between two empirical distribution functions (two-sample Kolmogorov-Smirnov)."""
    return float(stats.ks_2samp(first, second, method="asymp").statistic)


def ks_critical(first: int, second: int, level: float = 0.05) -> float:
    """Distance that two samples of one distribution exceed with probability ``level``.

    The asymptotic value; terminals count as independent draws.

    :param first: size of a sample; ``second`` likewise.
    """
    return math.sqrt(-math.log(level / 2) / 2 * (1 / first + 1 / second))


def curve_distance(sample: np.ndarray, percentiles: np.ndarray, values: np.ndarray) -> float:
    """Largest distance between a sample's distribution function and a curve known at some percentiles.

    :param percentiles: ``[point]``, percent.
    :param values: ``[point]``, where the curve reaches them.
    """
    share = np.searchsorted(np.sort(sample), values, side="right") / len(sample)
    return float(np.abs(share - percentiles / 100).max())


@dataclass(frozen=True)
class Check:
    """A sample's statistic beside what it should be.

    :param low: end of the interval in which it falls with the family's confidence; ``high`` the other.
    """

    value: float
    expected: float
    low: float
    high: float

    @property
    def passed(self) -> bool:
        return self.low <= self.value <= self.high

    @property
    def score(self) -> float:
        """Distance from the expectation; 1 is the end of the interval."""
        end = self.high if self.value >= self.expected else self.low
        return (self.value - self.expected) / abs(end - self.expected)


def check_mean(sample: np.ndarray, normal: Normal, level: float) -> Check:
    """z-interval of the mean, with the deviation that the table says.

    :param level: probability of leaving the interval by chance.
    """
    mean, variance, _ = limited_moments(normal)
    half_width = stats.norm.isf(level / 2) * math.sqrt(variance / len(sample))
    return Check(float(sample.mean()), mean, mean - half_width, mean + half_width)


def check_deviation(sample: np.ndarray, normal: Normal, level: float) -> Check:
    """Chi-square interval of the deviation; for a limited parameter, which is not normal, by its fourth moment."""
    number = len(sample)
    _, variance, fourth = limited_moments(normal)
    deviation = math.sqrt(variance)
    if _share_limited(normal) < 0.1 / number:
        low, high = stats.chi2.ppf([level / 2, 1 - level / 2], number - 1) / (number - 1)
    else:
        spread = stats.norm.isf(level / 2) * math.sqrt((fourth / variance**2 - 1) / number)
        low, high = max(1 - spread, 0.0), 1 + spread
    return Check(float(sample.std(ddof=1)), deviation, deviation * math.sqrt(low), deviation * math.sqrt(high))


def check_correlation(first: np.ndarray, second: np.ndarray, normals: tuple[Normal, Normal], correlation: float,
                      level: float) -> Check:
    """Interval of the sample correlation by its asymptotic variance.

    :param correlation: before limits are applied.
    """
    expected = limited_correlation(*normals, correlation)
    x, y = (first - first.mean()) / first.std(), (second - second.mean()) / second.std()
    # influence function of a correlation coefficient: holds for limited parameters too
    influence = x * y - expected * (x**2 + y**2) / 2
    half_width = stats.norm.isf(level / 2) * influence.std() / math.sqrt(len(x))
    return Check(float((x * y).mean()), expected, expected - half_width, expected + half_width)


@cache
def limited_moments(normal: Normal) -> tuple[float, float, float]:
    """Mean, variance and fourth central moment of ``min(X, limit)``."""
    if not math.isfinite(normal.limit):
        return normal.mean, normal.deviation**2, 3 * normal.deviation**4
    limit = (normal.limit - normal.mean) / normal.deviation
    beyond = stats.norm.sf(limit)

    def moment(order: int, centre: float) -> float:
        below, _ = integrate.quad(lambda z: (z - centre) ** order * stats.norm.pdf(z), -12.0, limit)
        return below + (limit - centre) ** order * beyond

    mean = moment(1, 0.0)
    return (normal.mean + normal.deviation * mean, normal.deviation**2 * moment(2, mean),
            normal.deviation**4 * moment(4, mean))


def limited_correlation(first: Normal, second: Normal, correlation: float, order: int = 200) -> float:
    """Correlation of two limited parameters, from that of the normal ones beneath.

    :param order: points of the quadrature in each of two dimensions.
    """
    if correlation == 0 or not (math.isfinite(first.limit) or math.isfinite(second.limit)):
        return correlation
    nodes, weights = np.polynomial.hermite_e.hermegauss(order)
    weights = weights / weights.sum()
    x = nodes[:, None]
    y = correlation * x + math.sqrt(1 - correlation**2) * nodes[None, :]
    x, y = (np.minimum(z, (normal.limit - normal.mean) / normal.deviation)
            for z, normal in ((x, first), (y, second)))
    weight = weights[:, None] * weights[None, :]
    mean_x, mean_y = (weight * x).sum(), (weight * y).sum()
    covariance = (weight * (x - mean_x) * (y - mean_y)).sum()
    variances = (weight * (x - mean_x) ** 2).sum() * (weight * (y - mean_y) ** 2).sum()
    return float(covariance / math.sqrt(variances))


def _share_limited(normal: Normal) -> float:
    return float(stats.norm.sf((normal.limit - normal.mean) / normal.deviation))
