"""Maximum-ratio transmission."""

from __future__ import annotations

import torch

from linksim.blocks.precoding.base import Precoder
from linksim.core.registry import register
from linksim.mimo.precoding import maximum_ratio


@register("precoder", "mrt")
class Mrt(Precoder):
    """Maximum ratio: the conjugate channel, equal power per stream."""

    def precode(self, h_hat: torch.Tensor, noise_variance: float, num_streams: int) -> torch.Tensor:
        return maximum_ratio(h_hat, num_streams)
