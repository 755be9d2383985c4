"""A predictor of your own: damped linear extrapolation. Use it with ``plugins: [my_predictor.py]``."""

import torch

import linksim
from linksim.blocks.prediction.band import to_target_band
from linksim.blocks.prediction.base import Predictor
from linksim.core.types import Fraction


@linksim.register("predictor", "my_predictor", min_history=2)
class MyPredictor(Predictor):
    """Last CSI plus a damped last difference per step."""

    def __init__(self, damping: Fraction = 0.5):
        super().__init__()
        self.damping = torch.nn.Parameter(torch.tensor(damping))

    def predict(self, history, time_s, frequency_hz):
        last, before = history.h[..., -1:, :], history.h[..., -2:-1, :]
        steps = (time_s - history.time_s[-1]) / history.sampling_period_s
        h = last + self.damping * steps.to(last.dtype)[:, None] * (last - before)
        return to_target_band(history.with_h(h, time_s), history, frequency_hz, "sparse")
