"""Regularised zero forcing."""

from __future__ import annotations

import torch

from linksim.blocks.precoding.base import Precoder
from linksim.core.registry import register
from linksim.mimo.precoding import regularized_zero_forcing


@register("precoder", "rzf")
class RegularizedZeroForcing(Precoder):
    """Regularised zero forcing: loading by streams x noise variance, equal power per stream.

    Source: Peel, Hochwald, Swindlehurst, IEEE Trans. Commun. 53(1), 2005, eq. (21): loading K sigma^2 / P.
    """

    def precode(self, h_hat: torch.Tensor, noise_variance: float, num_streams: int) -> torch.Tensor:
        return regularized_zero_forcing(h_hat, noise_variance, num_streams)
