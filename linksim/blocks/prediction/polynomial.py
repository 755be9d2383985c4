"""Extrapolate a polynomial fitted to the newest samples."""

from __future__ import annotations

from typing import Literal

import torch

from linksim.blocks.prediction.band import Band, to_target_band
from linksim.blocks.prediction.base import Predictor
from linksim.blocks.prediction.rules import band_in_reach
from linksim.core.csi import Csi
from linksim.core.registry import register
from linksim.core.types import PositiveInt
from linksim.mimo.angle_delay import from_angle_delay, per_user, signal_power, to_angle_delay


def polynomial_weights(sample_time: torch.Tensor, target_time: torch.Tensor, order: int) -> torch.Tensor:
    """Weights of the samples in a least-squares polynomial evaluated at other times.

    :param sample_time: ``[time]``, in any unit.
    :param target_time: ``[horizon]``, same unit.
    :returns: ``[horizon, time]``; rows sum to one.
    """
    powers = torch.arange(order + 1, dtype=sample_time.dtype, device=sample_time.device)
    samples, targets = sample_time[:, None] ** powers, target_time[:, None] ** powers
    return targets @ torch.linalg.pinv(samples)


@register("predictor", "polynomial", min_history=1, history_per_option={"order": 1}, requires=band_in_reach)
class PolynomialPredictor(Predictor):
    """Line or parabola per angle-delay bin through the newest samples, least squares.

    Bins are weighted by signal / (signal + noise) power: without it the fit would not depend on the domain.

    :param order: degree of the polynomial.
    :param window: newest samples used, at least ``order + 1`` (all there are, if fewer).
    :param band: how to reach other subcarriers in FDD, see `to_target_band`.
    """

    def __init__(self, order: Literal[1, 2] = 1, window: PositiveInt = 5,
                 band: Band = "sparse") -> None:
        super().__init__()
        self.order = order
        self.window = window
        self.band = band

    def predict(self, history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor) -> Csi:
        bins = to_angle_delay(history.h, history.panel)
        power = signal_power(bins, history.noise_variance)
        total = power + per_user(history.noise_variance, power.ndim)
        gain = power / torch.where(total > 0, total, 1.0)
        used = min(max(self.window, self.order + 1), bins.shape[-2])
        # In sampling periods from the last sample, so that the powers are well scaled.
        last_s, period_s = history.time_s[-1].double(), history.sampling_period_s
        weights = polynomial_weights(
            (history.time_s[-used:].double() - last_s) / period_s, (time_s.double() - last_s) / period_s,
            self.order,
        )
        predicted = gain * (weights.to(bins.dtype) @ bins[..., -used:, :])
        h = from_angle_delay(predicted, history.panel)
        return to_target_band(history.with_h(h, time_s), history, frequency_hz, self.band)
