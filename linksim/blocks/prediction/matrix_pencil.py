"""Matrix-pencil prediction: every angle-delay bin is a sum of complex exponentials."""

from __future__ import annotations

import math
from typing import Literal

import torch

from linksim.blocks.prediction.band import Band, to_target_band
from linksim.blocks.prediction.base import Predictor
from linksim.blocks.prediction.pad import dominant_bins
from linksim.blocks.prediction.rules import band_in_reach
from linksim.core.csi import Csi
from linksim.core.registry import register
from linksim.core.types import PositiveFraction
from linksim.mimo.angle_delay import from_angle_delay, signal_power, to_angle_delay

# Eigenvalues below this share of the largest are rounding of the complex64 input, not signals.
_RESOLUTION = 1e-12
# An eigenvalue counts as a signal from this multiple of the noise variance on.
_SIGNAL_THRESHOLD = 2.0


def window_gram(sequences: torch.Tensor, length: int) -> torch.Tensor:
    """Gram matrix of all windows of consecutive samples and of their reversed conjugates.

    The reversed ones hold the same exponentials as long as these are undamped, as Doppler shifts are.

    :param sequences: complex, ``[sequence, time]``.
    :param length: samples in a window.
    :returns: ``[sequence, length, length]``, averaged over windows.
    """
    windows = sequences.unfold(-1, length, 1)
    gram = windows.mT @ windows.conj() / windows.shape[-2]
    return (gram + gram.flip(-2, -1).conj()) / 2


def rank_by_noise_level(eigenvalues: torch.Tensor, noise_variance: torch.Tensor) -> torch.Tensor:
    """Number of eigenvalues that noise does not explain.

    :param eigenvalues: real, ascending, ``[sequence, length]``.
    :param noise_variance: ``[sequence]``.
    :returns: integer ``[sequence]``, 0 to ``length - 1``.
    """
    threshold = torch.maximum(_SIGNAL_THRESHOLD * noise_variance, _RESOLUTION * eigenvalues[..., -1])
    return (eigenvalues > threshold[..., None]).sum(-1).clamp_max(eigenvalues.shape[-1] - 1)


def rank_by_description_length(eigenvalues: torch.Tensor, num_windows: int) -> torch.Tensor:
    """Number of signals by the minimum description length (Wax and Kailath, 1985).

    :param eigenvalues: real, ascending, ``[sequence, length]``.
    :param num_windows: windows averaged in the Gram matrix.
    :returns: integer ``[sequence]``, 0 to ``length - 1``.
    """
    length = eigenvalues.shape[-1]
    # Rounding errors have no flat spectrum: without a floor they pass for signals.
    floored = torch.maximum(eigenvalues, _RESOLUTION * eigenvalues[..., -1:])
    floored = torch.where(floored > 0, floored, 1.0)
    costs = []
    for rank in range(length):
        smallest = floored[..., :length - rank]
        flatness = smallest.mean(-1).log() - smallest.log().mean(-1)
        penalty = 0.5 * rank * (2 * length - rank) * math.log(num_windows)
        costs.append(num_windows * (length - rank) * flatness + penalty)
    return torch.stack(costs, -1).argmin(-1)


def extrapolate_exponentials(sequences: torch.Tensor, subspace: torch.Tensor,
                             target: torch.Tensor) -> torch.Tensor:
    """Poles by the shift invariance of the windows' signal subspace, amplitudes by least squares.

    Poles outside the unit circle are moved onto it.

    :param sequences: complex128, ``[sequence, time]``.
    :param subspace: orthonormal, ``[sequence, length, rank]``.
    :param target: times in sampling periods after the first sample, ``[horizon]``.
    :returns: ``[sequence, horizon]``.
    """
    # Least squares in closed form: the basis is orthonormal, without its last row its Gram matrix is I minus
    # last last^H.
    last = subspace[..., -1, :, None].conj()
    product = subspace[..., :-1, :].mH @ subspace[..., 1:, :]
    remainder = (1 - last.mH @ last).real.clamp_min(_RESOLUTION)
    poles = torch.linalg.eigvals(product + last @ (last.mH @ product) / remainder)
    poles = poles / poles.abs().clamp_min(1.0)
    # A pole at zero has no logarithm; the tiniest one stands for it.
    log_poles = torch.where(poles == 0, 1e-30 + 0j, poles).log()[..., None, :]
    times = torch.arange(sequences.shape[-1], dtype=target.dtype, device=target.device)
    past, future = (times[:, None] * log_poles).exp(), (target[:, None] * log_poles).exp()
    # Coinciding poles share their amplitude: a ridge far below any noise keeps the system regular.
    ridge = _RESOLUTION * sequences.shape[-1] * torch.eye(
        past.shape[-1], dtype=past.dtype, device=past.device)
    amplitudes = torch.linalg.solve(past.mH @ past + ridge, past.mH @ sequences[..., None])
    return (future @ amplitudes)[..., 0]


@register("predictor", "matrix_pencil", min_history=4, requires=band_in_reach)
class MatrixPencilPredictor(Predictor):
    """Matrix pencil (ESPRIT over time) on the dominant angle-delay bins, the others are zero.

    Hua and Sarkar, "Matrix pencil method for estimating parameters of exponentially damped/undamped sinusoids
    in noise" (IEEE Trans. ASSP, 1990), in the covariance form. A bin has its own poles: one set for all bins
    does not hold the hundreds of Doppler shifts of a drop (several dB worse on 3GPP UMa from 30 km/h on).

    :param pencil_fraction: pencil parameter as a share of the history.
    :param rank: number of exponentials by the known noise level, or by "mdl" (minimum description length).
    :param energy_fraction: share of the energy held by the bins that are kept.
    :param band: how to reach other subcarriers in FDD, see `to_target_band`.
    """

    def __init__(self, pencil_fraction: PositiveFraction = 0.6,
                 rank: Literal["noise_level", "mdl"] = "noise_level",
                 energy_fraction: PositiveFraction = 0.995,
                 band: Band = "sparse") -> None:
        super().__init__()
        self.pencil_fraction = pencil_fraction
        self.rank = rank
        self.energy_fraction = energy_fraction
        self.band = band

    def predict(self, history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor) -> Csi:
        target = (time_s.double() - history.time_s[0].double()) / history.sampling_period_s
        bins = to_angle_delay(history.h, history.panel)
        keep = dominant_bins(signal_power(bins, history.noise_variance)[..., 0, :], self.energy_fraction)
        sequences = bins.movedim(-2, -1)[keep].to(torch.complex128)
        noise_variance = history.noise_variance[:, :, None, None, None].expand(keep.shape)[keep].double()

        num_samples = sequences.shape[-1]
        length = min(max(round(self.pencil_fraction * num_samples), 1), num_samples - 1) + 1
        eigenvalues, eigenvectors = torch.linalg.eigh(window_gram(sequences, length))
        if self.rank == "noise_level":
            ranks = rank_by_noise_level(eigenvalues, noise_variance)
        else:
            ranks = rank_by_description_length(eigenvalues, num_samples - length + 1)

        extrapolated = sequences.new_zeros(len(sequences), len(time_s))
        for rank in range(1, length):
            chosen = ranks == rank
            if chosen.any():
                extrapolated[chosen] = extrapolate_exponentials(
                    sequences[chosen], eigenvectors[chosen][..., -rank:], target
                )
        predicted = bins.new_zeros(*keep.shape, len(time_s))
        predicted[keep] = extrapolated.to(bins.dtype)
        h = from_angle_delay(predicted.movedim(-1, -2), history.panel)
        return to_target_band(history.with_h(h, time_s), history, frequency_hz, self.band)
