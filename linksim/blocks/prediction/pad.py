"""Prony-based angular-delay domain (PAD) channel prediction."""

from __future__ import annotations

from typing import Literal

import torch

from linksim.blocks.prediction.autoregression import horizon_steps, lag_products, run_forward
from linksim.blocks.prediction.band import Band, to_target_band
from linksim.blocks.prediction.base import Predictor
from linksim.blocks.prediction.rules import band_in_reach
from linksim.core.csi import Csi
from linksim.core.registry import register
from linksim.core.types import PositiveFraction, PositiveInt
from linksim.mimo.angle_delay import from_angle_delay, signal_power, to_angle_delay


def dominant_bins(power: torch.Tensor, energy_fraction: float) -> torch.Tensor:
    """Smallest set of bins that holds a fraction of the user's energy.

    :param power: real, ``[batch, user, ue_ant, beam, delay]``.
    :returns: bool, same shape.
    """
    flat = power.flatten(2).double()
    ordered, index = flat.sort(-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    keep = (before < energy_fraction * flat.sum(-1, keepdim=True)) & (ordered > 0)
    return torch.zeros_like(keep).scatter(-1, index, keep).view(power.shape)


def prony_coefficients(sequences: torch.Tensor, order: int, noise_energy: torch.Tensor) -> torch.Tensor:
    """Minimum-norm least-squares Prony predictor; singular values within the noise are truncated.

    :param sequences: complex, ``[sequence, time]``, at least ``2 * order`` times.
    :param noise_energy: ``[sequence]``, squared singular values of the data matrix below it are dropped; the
        largest one always stays.
    :returns: ``[sequence, order]``, the newest sample's coefficient first.
    """
    products = lag_products(sequences[..., None], order)[..., 0, :, :]
    eigenvalues, eigenvectors = torch.linalg.eigh(products[..., 1:, 1:])
    resolution = 1e2 * torch.finfo(eigenvalues.dtype).eps * eigenvalues[..., -1:]
    keep = eigenvalues > torch.maximum(noise_energy[..., None], resolution)
    keep[..., -1] = eigenvalues[..., -1] > 0
    inverse = torch.where(keep, 1 / torch.where(keep, eigenvalues, 1.0), 0.0)
    projected = eigenvectors.mH @ products[..., 1:, :1]
    return (eigenvectors @ (inverse[..., None] * projected))[..., 0]


@register("predictor", "pad", min_history=0, history_per_option={"order": 2}, requires=band_in_reach)
class PadPredictor(Predictor):
    """PAD: Prony's method on the dominant angle-delay bins, the others are zero.

    Yin et al., "Addressing the Curse of Mobility in Massive MIMO With Prony-Based Angular-Delay Domain
    Channel Predictions" (arXiv 1912.11330). All samples of the history enter the Prony equations.

    :param order: order N of the linear predictor of a bin; needs 2 N samples.
    :param energy_fraction: share of the energy held by the bins that are kept.
    :param method: "svd" truncates the singular values that noise explains, "ls" is plain least squares.
    :param band: how to reach other subcarriers in FDD, see `to_target_band`.
    """

    whole_periods = True

    def __init__(self, order: PositiveInt = 4, energy_fraction: PositiveFraction = 0.995,
                 method: Literal["svd", "ls"] = "svd",
                 band: Band = "sparse") -> None:
        super().__init__()
        self.order = order
        self.energy_fraction = energy_fraction
        self.method = method
        self.band = band

    def predict(self, history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor) -> Csi:
        steps = horizon_steps(history, time_s)
        bins = to_angle_delay(history.h, history.panel)
        keep = dominant_bins(signal_power(bins, history.noise_variance)[..., 0, :], self.energy_fraction)
        sequences = bins.movedim(-2, -1)[keep].to(torch.complex128)
        noise_variance = history.noise_variance[:, :, None, None, None].expand(keep.shape)[keep].double()
        num_equations = sequences.shape[-1] - self.order
        truncate = noise_variance * (num_equations if self.method == "svd" else 0)
        coefficients = prony_coefficients(sequences, self.order, truncate)
        predicted = bins.new_zeros(*keep.shape, len(steps))
        extrapolated = run_forward(sequences[..., None], coefficients[..., None, :], steps)[..., 0]
        predicted[keep] = extrapolated.to(bins.dtype)
        h = from_angle_delay(predicted.movedim(-1, -2), history.panel)
        return to_target_band(history.with_h(h, time_s), history, frequency_hz, self.band)
