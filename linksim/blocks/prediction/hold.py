"""References of every prediction: the last observed channel, and a channel of zero."""

from __future__ import annotations

import torch

from linksim.blocks.prediction.band import Band, to_target_band
from linksim.blocks.prediction.base import Predictor
from linksim.blocks.prediction.rules import band_in_reach
from linksim.core.csi import Csi
from linksim.core.registry import register


@register("predictor", "hold", requires=band_in_reach)
class HoldPredictor(Predictor):
    """Last observed CSI, unchanged: what a system without prediction uses.

    :param band: how to reach other subcarriers in FDD, see `to_target_band`. "copy" is the usual reference.
    """

    def __init__(self, band: Band = "copy") -> None:
        super().__init__()
        self.band = band

    def predict(self, history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor) -> Csi:
        last = history.h[..., -1:, :].expand(*history.h.shape[:-2], len(time_s), -1)
        return to_target_band(history.with_h(last, time_s), history, frequency_hz, self.band)


@register("predictor", "zero")
class ZeroPredictor(Predictor):
    """All-zero channel: 0 dB NMSE by definition.

    A predictor above 0 dB is worse than knowing nothing.
    """

    def predict(self, history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor) -> Csi:
        shape = (*history.h.shape[:-2], len(time_s), len(frequency_hz))
        return history.with_h(history.h.new_zeros(shape), time_s, frequency_hz)
