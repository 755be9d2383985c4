"""Maximum-ratio transmission."""

from __future__ import annotations

import torch

from linksim.blocks.precoding.base import Precoder
from linksim.blocks.precoding.linear import effective_channel, equal_power
from linksim.registry import register


@register("precoder", "mrt")
class Mrt(Precoder):
    """Maximum ratio: the conjugate channel, equal power per stream."""

    def precode(self, h_hat: torch.Tensor, noise_variance: float, num_streams: int) -> torch.Tensor:
        return equal_power(effective_channel(h_hat, num_streams).mH)
