"""CLNet: CRNet with attention at the terminal and shorter kernels at the base station.

| compression of 2 x 32 x 32 | 1/4 | 1/8 | 1/16 | 1/32 | 1/64 |
|---|---|---|---|---|---|
| parameters | 2,101,958 | 1,053,126 | 528,710 | 266,502 | 135,398 |
| published NMSE indoors, dB | -29.16 | -15.60 | -11.15 | -8.95 | -6.34 |
| published NMSE outdoors, dB | -12.88 | -8.29 | -5.56 | -3.49 | -2.19 |

Source: S. Ji and M. Li, "CLNet: Complex Input Lightweight Neural Network Designed for Massive MIMO CSI Feedback", IEEE
Wireless Commun. Lett. 10(10), 2021, Section III (arXiv 2102.07507); COST2100, 100,000 training samples. Convolutions
have no bias, and Xavier's initialisation.
"""

from __future__ import annotations

import torch

from linksim.blocks.feedback.networks.crnet import CRBlock, ParallelPaths, long_path
from linksim.blocks.feedback.networks.layers import ToCodeword, ToImage, convolution, initialize, leaky_relu


class SpatialAttention(torch.nn.Module):
    """Weighs places by the largest and the mean of their feature maps; 20 parameters (Woo et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        self.weigh = torch.nn.Sequential(convolution(2, 1, 3), torch.nn.Sigmoid())

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """``[n, map, rows, beams]`` to the same."""
        return maps * self.weigh(torch.cat([maps.amax(1, keepdim=True), maps.mean(1, keepdim=True)], 1))


class ChannelAttention(torch.nn.Module):
    """Weighs feature maps by what the means of all of them say: squeeze and excitation (Hu et al. 2018).

    :param reduction: of the number of maps on the way.
    """

    def __init__(self, num_maps: int, reduction: int = 16) -> None:
        super().__init__()
        self.weigh = torch.nn.Sequential(torch.nn.Linear(num_maps, num_maps // reduction, bias=False), torch.nn.ReLU(),
                                         torch.nn.Linear(num_maps // reduction, num_maps, bias=False),
                                         torch.nn.Sigmoid())

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """``[n, map, rows, beams]`` to the same."""
        return maps * self.weigh(maps.mean((2, 3)))[:, :, None, None]


class CLNetEncoder(torch.nn.Sequential):
    """``[n, 2, rows, beams]``, parts in [0, 1] with 0.5 for zero, to ``[n, num_values]``.

    The path of 1 x 1 kernels, the "forged complex" input, mixes real and imaginary part of each coefficient alone.
    """

    def __init__(self, rows: int, beams: int, num_values: int) -> None:
        spatial = torch.nn.Sequential(long_path(), SpatialAttention())
        forged_complex = torch.nn.Sequential(convolution(2, 32, 1), ChannelAttention(32))
        super().__init__(ParallelPaths([spatial, forged_complex], 34), leaky_relu(),
                         ToCodeword(rows, beams, num_values))
        initialize(self)


class CLNetDecoder(torch.nn.Sequential):
    """``[n, num_values]`` to ``[n, 2, rows, beams]``, parts in [0, 1] with 0.5 for zero."""

    def __init__(self, rows: int, beams: int, num_values: int) -> None:
        super().__init__(ToImage(rows, beams, num_values), convolution(2, 2, 5), leaky_relu(), CRBlock(3), CRBlock(3),
                         torch.nn.Hardsigmoid())
        initialize(self)
