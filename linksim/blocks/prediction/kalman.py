"""Kalman prediction with an autoregressive state per angle-delay bin."""

from __future__ import annotations

import torch

from linksim.blocks.prediction.autoregression import (
    autocorrelation,
    fit_burg,
    horizon_steps,
    run_forward,
)
from linksim.blocks.prediction.band import Band, to_target_band
from linksim.blocks.prediction.base import Predictor
from linksim.blocks.prediction.rules import band_in_reach
from linksim.core.csi import Csi
from linksim.core.registry import register
from linksim.core.types import PositiveInt
from linksim.mimo.angle_delay import from_angle_delay, per_user, signal_power, to_angle_delay

# Process noise assumed at least, relative to a bin's power: the fit explains some of its own noise.
_LEAST_INNOVATION = 1e-3


def kalman_filter(y: torch.Tensor, coefficients: torch.Tensor, process_noise: torch.Tensor,
                  power: torch.Tensor, noise_variance: torch.Tensor) -> torch.Tensor:
    """Kalman filter over all times with the companion-form AR state, every bin on its own.

    The state is ``x_t = [g_t, ..., g_{t-order+1}]``, ``x_t = F x_{t-1} + [w_t, 0, ...]`` and
    ``y_t = g_t + n_t``. ``F`` is applied as a row of products and a shift, never as a matrix.

    :param y: complex, ``[..., time, bin]``.
    :param coefficients: ``[..., bin, order]``, first row of ``F``.
    :param process_noise: variance of ``w``, real, ``[..., bin]``.
    :param power: variance of ``g`` before the first sample, real, ``[..., bin]``.
    :param noise_variance: variance of ``n``, broadcastable to ``[..., bin]``.
    :returns: filtered state after the last sample, oldest first, ``[..., order, bin]``.
    """
    weights = coefficients.unbind(-1)
    order = len(weights)
    zero = torch.zeros_like(y[..., 0, :])
    state = [zero] * order
    covariance = [[zero + power if i == j else zero for j in range(order)] for i in range(order)]
    for sample in y.unbind(-2):
        row = [sum(weights[k] * covariance[k][j] for k in range(order)) for j in range(order)]
        corner = sum(row[j] * weights[j].conj() for j in range(order)).real + process_noise
        state = [sum(weight * x for weight, x in zip(weights, state)), *state[:-1]]
        covariance = [[zero + corner, *row[:-1]]] + [
            [row[i].conj(), *covariance[i][:-1]] for i in range(order - 1)
        ]
        innovation_variance = corner + noise_variance
        inverse = torch.where(innovation_variance > 0, innovation_variance, 1.0).reciprocal()
        gain = [covariance[i][0] * inverse for i in range(order)]
        innovation = sample - state[0]
        state = [x + k * innovation for x, k in zip(state, gain)]
        covariance = [
            [covariance[i][j] - gain[i] * covariance[0][j] for j in range(order)] for i in range(order)
        ]
    return torch.stack(state[::-1], -2)


@register("predictor", "kalman", min_history=1, history_per_option={"order": 1}, requires=band_in_reach)
class KalmanPredictor(Predictor):
    """Kalman filter with an autoregressive state per angle-delay bin, predicted ahead.

    Burg's method gives the model of every bin; what it leaves unexplained of the bin's noise-corrected power
    is the process noise.

    :param order: order of the autoregressive model.
    :param band: how to reach other subcarriers in FDD, see `to_target_band`.
    """

    whole_periods = True

    def __init__(self, order: PositiveInt = 4, band: Band = "sparse") -> None:
        super().__init__()
        self.order = order
        self.band = band

    def predict(self, history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor) -> Csi:
        steps = horizon_steps(history, time_s)
        bins = to_angle_delay(history.h, history.panel)
        power = signal_power(bins, history.noise_variance)[..., 0, :]
        noise_variance = per_user(history.noise_variance, power.ndim)
        coefficients = fit_burg(bins, self.order, loading=0.0)
        correlation = autocorrelation(bins, self.order)[..., 1:]
        explained = (coefficients * correlation.conj()).sum(-1).real
        process_noise = torch.minimum(torch.maximum(power - explained, _LEAST_INNOVATION * power), power)
        state = kalman_filter(bins, coefficients, process_noise, power, noise_variance)
        h = from_angle_delay(run_forward(state, coefficients, steps), history.panel)
        return to_target_band(history.with_h(h, time_s), history, frequency_hz, self.band)
