"""Predict a channel of zero."""

from __future__ import annotations

import torch

from linksim.blocks.prediction.base import Predictor
from linksim.core.csi import Csi
from linksim.core.registry import register


@register("predictor", "zero")
class ZeroPredictor(Predictor):
    """All-zero channel: 0 dB NMSE by definition.

    A predictor above 0 dB is worse than knowing nothing.
    """

    def predict(self, history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor) -> Csi:
        shape = (*history.h.shape[:-2], len(time_s), len(frequency_hz))
        return history.with_h(history.h.new_zeros(shape), time_s, frequency_hz)
