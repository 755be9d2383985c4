"""Autoregressive prediction per angle-delay bin."""

from __future__ import annotations

from typing import Literal

import torch

from linksim.blocks.prediction.autoregression import (
    autocorrelation,
    fit_burg,
    fit_least_squares,
    horizon_steps,
    run_forward,
    solve_yule_walker,
)
from linksim.blocks.prediction.band import Band, to_target_band
from linksim.blocks.prediction.base import Predictor
from linksim.blocks.prediction.rules import band_in_reach
from linksim.core.csi import Csi
from linksim.core.registry import register
from linksim.core.types import PositiveInt
from linksim.mimo.angle_delay import from_angle_delay, per_user, to_angle_delay


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
