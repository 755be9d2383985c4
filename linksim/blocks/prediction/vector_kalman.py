"""Kalman prediction with a matrix autoregressive state over the antennas."""

from __future__ import annotations

import torch

from linksim.blocks.prediction.autoregression import horizon_steps
from linksim.blocks.prediction.band import Band, to_target_band
from linksim.blocks.prediction.base import Predictor
from linksim.blocks.prediction.rules import band_in_reach
from linksim.core.csi import Csi
from linksim.core.registry import register
from linksim.core.types import PositiveFloat, PositiveInt


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
