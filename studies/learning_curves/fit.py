"""Power laws through learning curves, and how far they can be believed.

A curve is NMSE = floor + (scale / N)^exponent in linear terms, N sequences seen (Kaplan et al., "Scaling laws for
neural language models", 2020; Hestness et al., 2017). Few points do not tell whether there is a floor: both kinds are
fitted, with and without one, to many redraws of the points within their intervals, and all of these fits together are
the interval. That is wide where it has to be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy
import pandas
from scipy.optimize import nnls

_EXPONENTS = numpy.linspace(0.02, 1.5, 75)
_NUM_REDRAWS = 400
_SEED_ERROR = 0.05
"""Share of the NMSE by which trainings from other weights differ, added to the drops' intervals."""

_SURE = 0.975


@dataclass(frozen=True)
class Fit:
    """Fits of one curve's redraws: ``floor``, ``scale`` and ``exponents``, ``[redraw]`` each.

    :param exponent: of the fit of the points themselves.
    """

    floor: numpy.ndarray
    scale: numpy.ndarray
    exponents: numpy.ndarray
    exponent: float

    def at(self, sequences: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
        """NMSE (linear) at numbers of sequences: 2.5 %, median, 97.5 %."""
        low, middle, high = numpy.quantile(self.each(sequences), [0.025, 0.5, 0.975], axis=0)
        return low, middle, high

    def each(self, sequences: numpy.ndarray) -> numpy.ndarray:
        """``[redraw, number]``."""
        return self.floor[:, None] + self.scale[:, None] * sequences[None] ** -self.exponents[:, None]


def fitted(curve: pandas.DataFrame) -> Fit:
    """The fit of a curve with columns ``sequences``, ``nmse`` (linear) and ``error`` (its standard error)."""
    sequences, nmse = curve["sequences"].to_numpy(float), curve["nmse"].to_numpy(float)
    error = numpy.hypot(curve["error"].to_numpy(float), _SEED_ERROR * nmse)
    random = numpy.random.default_rng(0)
    fits = [_best(sequences, numpy.maximum(nmse + error * random.standard_normal(len(nmse)), 1e-6), error, floor)
            for _ in range(_NUM_REDRAWS) for floor in (True, False)]
    return Fit(*(numpy.array(part) for part in zip(*fits)), _best(sequences, nmse, error, False)[2])


def _best(sequences: numpy.ndarray, nmse: numpy.ndarray, error: numpy.ndarray, with_floor: bool
          ) -> tuple[float, float, float]:
    """Floor, scale and exponent of least squares: linear in two of them, the third tried."""
    best = (numpy.inf, 0.0, 0.0, 0.0)
    for exponent in _EXPONENTS:
        falling = (sequences / sequences[0]) ** -exponent
        columns = numpy.stack([numpy.full_like(falling, float(with_floor)), falling], 1) / error[:, None]
        (floor, scale), residual = nnls(columns, nmse / error)
        if residual < best[0]:
            best = (residual, floor, scale * sequences[0] ** exponent, exponent)
    return best[1:]


def crossing(one: Fit, other: Fit, most: float) -> str:
    """In words: whether the order of two methods is the same up to ``most`` sequences, in nearly all pairs of fits."""
    ahead = numpy.geomspace(1e4, most, 60)
    ours, theirs = one.each(ahead), other.each(ahead)
    order = numpy.random.default_rng(1).permutation(len(theirs))  # redraws of the two know nothing of each other
    share = (ours < theirs[order]).mean(0)
    decided = (share > _SURE) | (share < 1 - _SURE)
    if decided[-1]:
        return f"the {'first' if share[-1] > _SURE else 'second'} is ahead at {most:.2g} sequences"
    known = numpy.flatnonzero(decided)
    return f"decided up to {ahead[known[-1]]:.1e} sequences, not beyond" if len(known) else "not decidable anywhere"
