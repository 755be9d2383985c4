"""Autoregressive (AR) models: fitting one per bin, and running one forward."""

from __future__ import annotations

from typing import Literal

import torch

from linksim.blocks.prediction.band import Band, to_target_band
from linksim.blocks.prediction.base import Predictor
from linksim.blocks.prediction.rules import band_in_reach
from linksim.core.csi import Csi
from linksim.core.registry import register
from linksim.core.types import PositiveInt
from linksim.mimo.angle_delay import from_angle_delay, per_user, to_angle_delay


def horizon_steps(history: Csi, time_s: torch.Tensor) -> list[int]:
    """Whole sampling periods between the history's last sample and each requested time.

    :param time_s: ``[horizon]``, seconds on the history's clock.
    :raises ValueError: a time is not a whole number (1, 2, ...) of sampling periods after the last sample.
    """
    period_s = history.sampling_period_s
    steps = (time_s.double() - history.time_s[-1].double()) / period_s
    rounded = steps.round()
    if (rounded < 1).any() or ((steps - rounded).abs() > 0.05).any():
        raise ValueError(
            f"times to predict {time_s.tolist()} s must be whole multiples of the sampling period "
            f"{period_s:g} s after the last sample at {float(history.time_s[-1]):g} s"
        )
    return [int(step) for step in rounded]


def solve_hermitian(matrix: torch.Tensor, right: torch.Tensor, loading: torch.Tensor | float) -> torch.Tensor:
    """Solve ``(matrix + loading I) x = right`` for positive semidefinite matrices; all-zero ones give zero.

    :param matrix: complex, ``[..., order, order]``.
    :param right: complex, ``[..., order]``.
    :param loading: broadcastable to ``[...]``.
    :returns: ``[..., order]``.
    """
    order = matrix.shape[-1]
    trace = matrix.diagonal(dim1=-2, dim2=-1).real.sum(-1)
    # Rounding alone must not make the solution arbitrary: load by the resolution of the number format.
    total = loading + 4 * torch.finfo(trace.dtype).eps * trace
    total = torch.where(total > 0, total, 1.0)
    loaded = matrix + total[..., None, None] * torch.eye(order, dtype=matrix.dtype, device=matrix.device)
    return torch.linalg.solve(loaded, right[..., None])[..., 0]


def lag_products(y: torch.Tensor, order: int) -> torch.Tensor:
    """Products of delayed samples, summed over the times where all delays exist.

    :param y: complex, ``[..., time, bin]``.
    :returns: ``[..., bin, order + 1, order + 1]``: entry ``(i, j)`` sums ``conj(y[t-i]) y[t-j]`` over
        ``t = order, ..., time - 1``.
    """
    delayed = [y[..., order - lag:y.shape[-2] - lag, :] for lag in range(order + 1)]
    rows = [[None] * (order + 1) for _ in range(order + 1)]
    for i in range(order + 1):
        for j in range(i + 1):
            rows[i][j] = (delayed[i].conj() * delayed[j]).sum(-2)
            rows[j][i] = rows[i][j].conj()
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def fit_least_squares(y: torch.Tensor, order: int, loading: torch.Tensor | float) -> torch.Tensor:
    """Covariance-method AR fit of every bin (the Prony equations, in the least-squares sense).

    :param y: complex, ``[..., time, bin]``, at least ``order + 1`` times.
    :param loading: added to the normal equations' diagonal per equation, broadcastable to ``[..., bin]``.
    :returns: ``[..., bin, order]``: ``y[t]`` is predicted by ``sum_i a[i] y[t-1-i]``.
    """
    products = lag_products(y, order)
    num_equations = y.shape[-2] - order
    return solve_hermitian(products[..., 1:, 1:], products[..., 1:, 0], num_equations * loading)


def autocorrelation(y: torch.Tensor, max_lag: int) -> torch.Tensor:
    """Biased sample autocorrelation of every bin (positive semidefinite as a Toeplitz matrix).

    :param y: complex, ``[..., time, bin]``.
    :returns: ``[..., bin, max_lag + 1]``: ``sum_t y[t+lag] conj(y[t]) / time``.
    """
    num_samples = y.shape[-2]
    lags = [(y[..., lag:, :] * y[..., :num_samples - lag, :].conj()).sum(-2) for lag in range(max_lag + 1)]
    return torch.stack(lags, -1) / num_samples


def toeplitz(correlation: torch.Tensor) -> torch.Tensor:
    """Hermitian Toeplitz matrix with entry ``(i, j)`` ``r(j - i)``, ``r(-lag) = conj(r(lag))``.

    :param correlation: ``[..., order]``, lags 0 to ``order - 1``.
    :returns: ``[..., order, order]``.
    """
    index = torch.arange(correlation.shape[-1], device=correlation.device)
    lag = index[None, :] - index[:, None]
    both = correlation[..., lag.abs()]
    return torch.where(lag < 0, both.conj(), both)


def solve_yule_walker(correlation: torch.Tensor, loading: torch.Tensor | float) -> torch.Tensor:
    """AR coefficients from an autocorrelation, ``sum_i a[i] r(lag - 1 - i) = r(lag)``.

    :param correlation: complex, ``[..., order + 1]``.
    :param loading: added to lag zero, broadcastable to ``[...]``.
    :returns: ``[..., order]``.
    """
    # Row `lag`, column `i` holds r(lag - i): the transpose of `toeplitz`.
    return solve_hermitian(toeplitz(correlation[..., :-1]).mT, correlation[..., 1:], loading)


def fit_burg(y: torch.Tensor, order: int, loading: torch.Tensor | float) -> torch.Tensor:
    """Burg's recursion (forward and backward errors), whose models are always stable.

    :param y: complex, ``[..., time, bin]``, at least ``order + 1`` times.
    :param loading: added to the error power per equation, broadcastable to ``[..., bin]``.
    :returns: ``[..., bin, order]``.
    """
    forward, backward = y[..., 1:, :], y[..., :-1, :]
    coefficients = y.new_zeros(*y.shape[:-2], y.shape[-1], 0)
    # Once the errors are rounding errors, their reflections are arbitrary: keep those small.
    resolution = torch.finfo(y.real.dtype).eps * y.abs().square().mean(-2)
    for _ in range(order):
        power = (forward.abs().square() + backward.abs().square()).sum(-2) / 2
        power = power + forward.shape[-2] * (loading + resolution)
        reflection = (forward * backward.conj()).sum(-2) / torch.where(power > 0, power, 1.0)
        mirrored = coefficients.flip(-1).conj()
        coefficients = torch.cat(
            [coefficients - reflection[..., None] * mirrored, reflection[..., None]], dim=-1
        )
        gain = reflection[..., None, :]
        forward, backward = forward - gain * backward, backward - gain.conj() * forward
        forward, backward = forward[..., 1:, :], backward[..., :-1, :]
    return coefficients


def run_forward(y: torch.Tensor, coefficients: torch.Tensor, steps: list[int]) -> torch.Tensor:
    """Iterate an AR model beyond the last sample.

    :param y: complex, ``[..., time, bin]``.
    :param coefficients: ``[..., bin, order]`` (or broadcastable to it), the newest sample's first.
    :param steps: which steps after the last sample to return.
    :returns: ``[..., horizon, bin]``.
    """
    weights = coefficients.unbind(-1)
    recent = [y[..., y.shape[-2] - 1 - lag, :] for lag in range(len(weights))]
    reached = {}
    for step in range(1, max(steps) + 1):
        newest = sum(weight * sample for weight, sample in zip(weights, recent))
        recent = [newest, *recent[:-1]]
        reached[step] = newest
    return torch.stack([reached[step] for step in steps], -2)


def time_covariance(h: torch.Tensor) -> torch.Tensor:
    """Sample covariance over time, averaged over antennas and subcarriers.

    :param h: complex, ``[batch, user, ue_ant, bs_ant, time, subcarrier]``.
    :returns: complex128, ``[batch, user, time, time]``: entry ``(s, t)`` is the mean of ``h_s conj(h_t)``.
    """
    by_time = h.permute(0, 1, 4, 2, 3, 5).flatten(3).to(torch.complex128)
    return by_time @ by_time.mH / by_time.shape[-1]


@register("predictor", "ar", min_history=1, history_per_option={"order": 2}, requires=band_in_reach)
class AutoregressivePredictor(Predictor):
    """Autoregressive model per angle-delay bin, fitted to the history and iterated.

    :param order: number of past samples the model uses.
    :param method: "yule_walker" (biased autocorrelation, stable), "burg" (stable), or "ls" (covariance
        method). The noise variance loads the diagonal of the equations.
    :param band: how to reach other subcarriers in FDD, see `to_target_band`.
    """

    whole_periods = True

    def __init__(self, order: PositiveInt = 4, method: Literal["yule_walker", "burg", "ls"] = "burg",
                 band: Band = "sparse") -> None:
        super().__init__()
        self.order = order
        self.method = method
        self.band = band

    def predict(self, history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor) -> Csi:
        steps = horizon_steps(history, time_s)
        bins = to_angle_delay(history.h, history.panel)
        loading = per_user(history.noise_variance, bins.ndim - 1)
        if self.method == "ls":
            coefficients = fit_least_squares(bins, self.order, loading)
        elif self.method == "burg":
            coefficients = fit_burg(bins, self.order, loading)
        else:
            coefficients = solve_yule_walker(autocorrelation(bins, self.order), loading)
        h = from_angle_delay(run_forward(bins, coefficients, steps), history.panel)
        return to_target_band(history.with_h(h, time_s), history, frequency_hz, self.band)


def shared_predictor(covariance: torch.Tensor, order: int) -> torch.Tensor:
    """Least-squares linear predictor of a whole set of sequences, from their covariance over time.

    :param covariance: complex, ``[..., time, time]``: entry ``(s, t)`` averages ``h_s conj(h_t)``.
    :returns: ``[..., order]``: ``h[t]`` is predicted by ``sum_i a[i] h[t-1-i]``.
    """
    # Windows of order + 1 consecutive samples, newest first, summed: the normal equations.
    windows = covariance.unfold(-2, order + 1, 1).unfold(-2, order + 1, 1)
    products = windows.diagonal(dim1=-4, dim2=-3).sum(-1).flip(-2, -1).conj()
    return solve_hermitian(products[..., 1:, 1:], products[..., 1:, 0], loading=0.0)


@register("predictor", "vector_prony", min_history=0, history_per_option={"order": 2}, requires=band_in_reach)
class VectorPronyPredictor(Predictor):
    """Vector Prony: one linear predictor shared by all antennas and subcarriers.

    Yin et al., "Addressing the Curse of Mobility in Massive MIMO With Prony-Based Angular-Delay Domain
    Channel Predictions" (arXiv 1912.11330). Least squares is invariant to
    unitary transforms: full-band Prony in the angle-delay domain is the same predictor.

    :param order: number of past samples combined.
    :param band: how to reach other subcarriers in FDD, see `to_target_band`.
    """

    whole_periods = True

    def __init__(self, order: PositiveInt = 8, band: Band = "sparse") -> None:
        super().__init__()
        self.order = order
        self.band = band

    def predict(self, history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor) -> Csi:
        steps = horizon_steps(history, time_s)
        covariance = time_covariance(history.h)
        predictor = shared_predictor(covariance, self.order)
        h = run_forward(history.h, predictor[:, :, None, None, None].to(history.h.dtype), steps)
        return to_target_band(history.with_h(h, time_s), history, frequency_hz, self.band)
