"""Wiener (LMMSE) prediction over time."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch

from linksim.blocks.prediction.band import Band, to_target_band
from linksim.blocks.prediction.base import Predictor
from linksim.blocks.prediction.doppler import estimate_max_doppler, temporal_correlation
from linksim.blocks.prediction.rules import band_in_reach
from linksim.core.csi import Csi
from linksim.core.registry import register
from linksim.core.types import PositiveFloat
from linksim.mimo.angle_delay import from_angle_delay, signal_power, to_angle_delay

# Noise assumed at least, relative to a bin's power: the correlation model is no truer than that, and the
# correlation matrix of oversampled fading is singular without it.
_RELATIVE_NOISE_FLOOR = 1e-7


def apply_over_time(matrix: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Multiply a real matrix per user onto the time axis.

    :param matrix: real, ``[batch, user, output, time]``.
    :param y: complex, ``[batch, user, ue_ant, bs_ant, time, bin]``.
    :returns: complex, ``[batch, user, ue_ant, bs_ant, output, bin]``.
    """
    result = matrix[:, :, None, None].to(y.real.dtype) @ torch.view_as_real(y).flatten(-2)
    return torch.view_as_complex(result.unflatten(-1, (y.shape[-1], 2)))


def wiener_predict(y: torch.Tensor, power: torch.Tensor, noise_variance: torch.Tensor,
                   correlation: torch.Tensor, cross_correlation: torch.Tensor) -> torch.Tensor:
    r"""LMMSE :math:`\mathbf r_\ell^T(\mathbf R + \sigma^2/P_b\,\mathbf I)^{-1}\mathbf y_b` for every bin.

    :math:`\mathbf R` is diagonalised once per user; in its eigenbasis the filter of every bin is a vector.

    :param y: complex, ``[batch, user, ue_ant, bs_ant, time, bin]``.
    :param power: signal power :math:`P_b`, broadcastable to ``[batch, user, ue_ant, bs_ant, 1, bin]``.
    :param noise_variance: :math:`\sigma^2`, ``[batch, user]``.
    :param correlation: :math:`\mathbf R`, real, ``[batch, user, time, time]``.
    :param cross_correlation: :math:`\mathbf r_\ell`, real, ``[batch, user, horizon, time]``.
    :returns: complex, ``[batch, user, ue_ant, bs_ant, horizon, bin]``.
    """
    eigenvalues, eigenvectors = torch.linalg.eigh(correlation)
    eigenvalues = eigenvalues.clamp_min(0)[:, :, None, None, :, None].to(power.dtype)
    noise = noise_variance[:, :, None, None, None, None].to(power.dtype)
    noise = torch.maximum(noise, _RELATIVE_NOISE_FLOOR * power)
    total = eigenvalues * power + noise
    gain = power / torch.where(total > 0, total, 1.0)
    filtered = gain * apply_over_time(eigenvectors.mT, y)
    return apply_over_time(cross_correlation @ eigenvectors, filtered)


@register("predictor", "wiener", min_history=2, requires=band_in_reach)
class WienerPredictor(Predictor):
    """Wiener (LMMSE) filter over time per angle-delay bin: the bar for learned predictors.

    :param domain: "angle_delay" weighs every bin by its own signal-to-noise ratio, "temporal" filters every
        antenna and subcarrier alike by the user's.
    :param spectrum: Doppler spectrum assumed, see `temporal_correlation`.
    :param doppler: maximum Doppler shift "known" (the terminal's speed), "estimated" from the history together
        with the noise level of its strong bins, or "mismatched": the known one times ``mismatch_factor``.
    :param mismatch_factor: used by "mismatched" alone.
    :param band: how to reach other subcarriers in FDD, see `to_target_band`.
    """

    def __init__(self, domain: Literal["angle_delay", "temporal"] = "angle_delay",
                 spectrum: Literal["clarke", "flat"] = "clarke",
                 doppler: Literal["known", "estimated", "mismatched"] = "known",
                 mismatch_factor: PositiveFloat = 1.5,
                 band: Band = "sparse") -> None:
        super().__init__()
        self.domain = domain
        self.spectrum = spectrum
        self.doppler = doppler
        self.mismatch_factor = mismatch_factor
        self.band = band

    def predict(self, history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor) -> Csi:
        sample_s, target_s = history.time_s.double(), time_s.double()
        if self.doppler == "estimated":
            max_doppler_hz, noise_variance = estimate_max_doppler(history)
            history = replace(history, noise_variance=noise_variance)
        else:
            factor = self.mismatch_factor if self.doppler == "mismatched" else 1.0
            max_doppler_hz = factor * history.max_doppler_hz.double()
        max_doppler_hz = max_doppler_hz[..., None, None]
        correlation = temporal_correlation(sample_s[:, None] - sample_s, max_doppler_hz, self.spectrum)
        cross_correlation = temporal_correlation(target_s[:, None] - sample_s, max_doppler_hz, self.spectrum)
        in_bins = self.domain == "angle_delay"
        y = to_angle_delay(history.h, history.panel) if in_bins else history.h
        power = signal_power(y, history.noise_variance)
        if not in_bins:
            power = power.mean((2, 3, 4, 5), keepdim=True)
        h = wiener_predict(y, power, history.noise_variance, correlation, cross_correlation)
        if in_bins:
            h = from_angle_delay(h, history.panel)
        return to_target_band(history.with_h(h, time_s), history, frequency_hz, self.band)
