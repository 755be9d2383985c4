"""Zero forcing."""

from __future__ import annotations

import torch

from linksim.blocks.precoding.base import Precoder
from linksim.core.registry import register
from linksim.mimo.precoding import zero_forcing


@register("precoder", "zf")
class ZeroForcing(Precoder):
    """Zero forcing: no interference if the CSI is right, equal power per stream."""

    def precode(self, h_hat: torch.Tensor, noise_variance: float, num_streams: int) -> torch.Tensor:
        return zero_forcing(h_hat, num_streams)
