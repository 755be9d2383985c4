"""Prony prediction with one linear predictor shared by all channel entries of a user."""

from __future__ import annotations

import torch

from linksim.blocks.prediction.autoregression import (
    horizon_steps,
    run_forward,
    solve_hermitian,
    time_covariance,
)
from linksim.blocks.prediction.band import Band, to_target_band
from linksim.blocks.prediction.base import Predictor
from linksim.blocks.prediction.rules import band_in_reach
from linksim.core.csi import Csi
from linksim.core.registry import register
from linksim.core.types import PositiveInt


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
