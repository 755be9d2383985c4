"""Kalman prediction with an autoregressive state per angle-delay bin."""

from __future__ import annotations

import torch

from linksim.blocks.prediction.autoregression import autocorrelation, fit_burg, horizon_steps, run_forward
from linksim.blocks.prediction.band import Band, to_target_band
from linksim.blocks.prediction.base import Predictor
from linksim.blocks.prediction.rules import band_in_reach
from linksim.core.csi import Csi
from linksim.core.registry import register
from linksim.core.types import PositiveFloat, PositiveInt
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


def fit_matrix_autoregression(y: torch.Tensor, order: int, noise_variance: torch.Tensor,
                              loading: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    r"""Matrix AR model :math:`\mathbf h_t = \sum_i \mathbf A_i \mathbf h_{t-i} + \mathbf w_t` of a user.

    Least squares over all times and realisations with the noise taken off the covariances; directions in
    which nothing stands out of the noise are damped.

    :param y: complex128, ``[user, antenna, time, realisation]``.
    :param noise_variance: ``[user]``.
    :param loading: added to the covariance of the state, in units of the noise variance.
    :returns: ``[A_1 ... A_p]``, ``[user, antenna, order * antenna]``; the covariance of :math:`\mathbf w`,
        ``[user, antenna, antenna]``; and the covariance of the stacked state.
    """
    num_antennas, num_samples = y.shape[1], y.shape[2]
    newest = y[:, :, order:].flatten(2)
    past = torch.cat([y[:, :, order - lag:num_samples - lag].flatten(2) for lag in range(1, order + 1)], 1)
    count = past.shape[-1]
    state = past @ past.mH / count
    eigenvalues, eigenvectors = torch.linalg.eigh(state)
    noise = noise_variance[:, None]
    clean = (eigenvalues - noise).clamp_min(0)
    floor = loading * noise + 1e-9 * eigenvalues[:, -1:]
    inverse = 1 / torch.where(clean + floor > 0, clean + floor, 1.0)
    cross = newest @ past.mH / count
    matrices = (cross @ eigenvectors * inverse[:, None]) @ eigenvectors.mH
    clean_state = (eigenvectors * clean[:, None]) @ eigenvectors.mH
    present = newest @ newest.mH / count - noise[..., None] * torch.eye(num_antennas, dtype=y.dtype, device=y.device)
    explained = matrices @ cross.mH
    residual = present - explained - explained.mH + matrices @ clean_state @ matrices.mH
    values, vectors = torch.linalg.eigh((residual + residual.mH) / 2)
    process = (vectors * values.clamp_min(0)[:, None]) @ vectors.mH
    return matrices, process, clean_state


def matrix_kalman_predict(y: torch.Tensor, matrices: torch.Tensor, process: torch.Tensor,
                          initial: torch.Tensor, noise_variance: torch.Tensor,
                          steps: list[int]) -> torch.Tensor:
    """Kalman filter over all times, then prediction; every realisation shares the covariances.

    :param y: complex128, ``[user, antenna, time, realisation]``.
    :param matrices: ``[user, antenna, order * antenna]``.
    :param process: covariance of the process noise, ``[user, antenna, antenna]``.
    :param initial: covariance of the stacked state before the first sample.
    :returns: ``[user, antenna, horizon, realisation]``.
    """
    num_antennas, size = matrices.shape[1:]
    eye = torch.eye(num_antennas, dtype=y.dtype, device=y.device)
    covariance = initial
    state = y.new_zeros(len(y), size, y.shape[-1])

    def advance(x: torch.Tensor) -> torch.Tensor:
        return torch.cat([matrices @ x, x[:, :size - num_antennas]], 1)

    for sample in y.unbind(2):
        state = advance(state)
        covariance = advance(advance(covariance).mH)
        covariance[:, :num_antennas, :num_antennas] += process
        observed = covariance[:, :num_antennas]
        innovation = observed[..., :num_antennas] + noise_variance[:, None, None] * eye
        # The innovation covariance is singular where nothing is received.
        diagonal = innovation.diagonal(dim1=-2, dim2=-1).real
        ridge = 1e-9 * diagonal.mean(-1)
        innovation = innovation + torch.where(ridge > 0, ridge, 1.0)[:, None, None] * eye
        gain = torch.linalg.solve(innovation, observed).mH
        state = state + gain @ (sample - state[:, :num_antennas])
        covariance = covariance - gain @ observed
        covariance = (covariance + covariance.mH) / 2

    reached = {}
    for step in range(1, max(steps) + 1):
        state = advance(state)
        reached[step] = state[:, :num_antennas]
    return torch.stack([reached[step] for step in steps], 2)


@register("predictor", "vector_kalman", min_history=1, history_per_option={"order": 1}, requires=band_in_reach)
class VectorKalmanPredictor(Predictor):
    """Kalman filter with a matrix autoregressive state over the antennas, shared by all subcarriers.

    Kim et al., "Massive MIMO Channel Prediction: Kalman Filtering vs. Machine Learning" (arXiv 2009.09967).

    :param order: order of the matrix autoregressive model.
    :param loading: regularisation of its fit, in units of the noise variance.
    :param band: how to reach other subcarriers in FDD, see `to_target_band`.
    """

    whole_periods = True

    def __init__(self, order: PositiveInt = 3, loading: PositiveFloat = 1.0,
                 band: Band = "sparse") -> None:
        super().__init__()
        self.order = order
        self.loading = loading
        self.band = band

    def predict(self, history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor) -> Csi:
        steps = horizon_steps(history, time_s)
        batch, user, ue_ant, _, _, subcarrier = history.h.shape
        # Terminal antennas and subcarriers are realisations of the same process.
        y = history.h.permute(0, 1, 3, 4, 2, 5).flatten(0, 1).flatten(-2).to(torch.complex128)
        noise_variance = history.noise_variance.flatten().double()
        model = fit_matrix_autoregression(y, self.order, noise_variance, self.loading)
        predicted = matrix_kalman_predict(y, *model, noise_variance, steps)
        h = predicted.unflatten(-1, (ue_ant, subcarrier)).unflatten(0, (batch, user))
        h = h.permute(0, 1, 4, 2, 3, 5).to(history.h.dtype)
        return to_target_band(history.with_h(h, time_s), history, frequency_hz, self.band)
