"""Zero forcing."""

from __future__ import annotations

import torch

from linksim.blocks.precoding.base import Precoder
from linksim.blocks.precoding.linear import effective_channel, equal_power, regularized_inverse
from linksim.registry import register


@register("precoder", "zf")
class ZeroForcing(Precoder):
    """Zero forcing: no interference if the CSI is right, equal power per stream."""

    def precode(self, h_hat: torch.Tensor, noise_variance: float, num_streams: int) -> torch.Tensor:
        return equal_power(regularized_inverse(effective_channel(h_hat, num_streams), 0.0))
