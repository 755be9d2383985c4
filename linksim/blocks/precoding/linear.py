"""Linear precoders of textbooks: maximum ratio, zero forcing, regularised zero forcing, singular vectors."""

from __future__ import annotations

from typing import Literal

import torch

from linksim.blocks.precoding.base import Precoder
from linksim.blocks.precoding.rules import null_space
from linksim.core.registry import register
from linksim.core.types import NonNegativeFloat
from linksim.mimo.precoding import maximum_ratio, regularized_zero_forcing, singular_vectors, zero_forcing


@register("precoder", "mrt")
class Mrt(Precoder):
    """Maximum ratio: the conjugate channel, equal power per stream."""

    def precode(self, h_hat: torch.Tensor, noise_variance: float, num_streams: int) -> torch.Tensor:
        return maximum_ratio(h_hat, num_streams)


@register("precoder", "zf")
class ZeroForcing(Precoder):
    """Zero forcing: no interference if the CSI is right, equal power per stream."""

    def precode(self, h_hat: torch.Tensor, noise_variance: float, num_streams: int) -> torch.Tensor:
        return zero_forcing(h_hat, num_streams)


@register("precoder", "rzf")
class RegularizedZeroForcing(Precoder):
    """Regularised zero forcing: loading by streams x noise variance, equal power per stream.

    Source: Peel, Hochwald, Swindlehurst, IEEE Trans. Commun. 53(1), 2005, eq. (21): loading K sigma^2 / P. An error of
    the CSI, white and of known variance, meets unit transmit power as noise of that variance.

    :param csi_error_variance: of an entry of the channel, at unit average gain; counted as noise.
    """

    def __init__(self, csi_error_variance: NonNegativeFloat = 0.0) -> None:
        super().__init__()
        self.csi_error_variance = csi_error_variance

    def precode(self, h_hat: torch.Tensor, noise_variance: float, num_streams: int) -> torch.Tensor:
        return regularized_zero_forcing(h_hat, noise_variance + self.csi_error_variance, num_streams)


@register("precoder", "svd", requires=null_space)
class SvdPrecoder(Precoder):
    """Right singular vectors with water-filling over all streams; users kept apart by block diagonalisation.

    For one user this attains the capacity of its channel. For several, each user's channel is first projected
    on the null space of the others' (Spencer, Swindlehurst, Haardt, IEEE Trans. Signal Process. 52(2), 2004),
    which needs ``bs_ant`` >= all the others' antennas plus the streams.

    :param power: "water_filling", which may leave weak streams without any; or "equal", for what must reach every
        stream, such as the symbols of a semantic codec.
    """

    def __init__(self, power: Literal["water_filling", "equal"] = "water_filling") -> None:
        super().__init__()
        self.power = power

    def precode(self, h_hat: torch.Tensor, noise_variance: float, num_streams: int) -> torch.Tensor:
        return singular_vectors(h_hat, noise_variance, num_streams, self.power)
