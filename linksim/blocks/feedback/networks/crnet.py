"""CRNet: features of several resolutions on parallel paths.

| compression of 2 x 32 x 32 | 1/4 | 1/8 | 1/16 | 1/32 | 1/64 |
|---|---|---|---|---|---|
| parameters | 2,102,838 | 1,054,006 | 529,590 | 267,382 | 136,278 |
| published NMSE indoors, dB | -26.99 | -16.01 | -11.35 | -8.93 | -6.49 |
| published NMSE outdoors, dB | -12.70 | -8.04 | -5.44 | -3.51 | -2.22 |

Source: Z. Lu, J. Wang and J. Song, "Multi-resolution CSI Feedback with Deep Learning in Massive MIMO System", IEEE ICC
2020, Section III and Figs. 1 and 2; COST2100, 100,000 training samples. Convolutions have no bias, and Xavier's
initialisation.
"""

from __future__ import annotations

import torch

from linksim.blocks.feedback.networks.layers import ToCodeword, ToImage, convolution, initialize, leaky_relu


class ParallelPaths(torch.nn.Module):
    """Paths that see the same input; their feature maps, side by side, are mixed into two.

    :param num_maps: of all paths together.
    """

    def __init__(self, paths: list[torch.nn.Module], num_maps: int) -> None:
        super().__init__()
        self.paths = torch.nn.ModuleList(paths)
        self.mix = torch.nn.Sequential(leaky_relu(), convolution(num_maps, 2, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """``[n, 2, rows, beams]`` to the same."""
        return self.mix(torch.cat([path(image) for path in self.paths], 1))


class CRBlock(torch.nn.Module):
    """Two paths of seven feature maps, fine and coarse, whose mixture is added to their input.

    :param length: of the coarse path's kernels, along beams and then along delay rows: 9 in CRNet, 3 in CLNet.
    """

    def __init__(self, length: int = 9) -> None:
        super().__init__()
        coarse = torch.nn.Sequential(convolution(2, 7, 3), leaky_relu(), convolution(7, 7, (1, length)), leaky_relu(),
                                     convolution(7, 7, (length, 1)))
        fine = torch.nn.Sequential(convolution(2, 7, (1, 5)), leaky_relu(), convolution(7, 7, (5, 1)))
        self.paths = ParallelPaths([coarse, fine], 14)
        self.activation = leaky_relu()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """``[n, 2, rows, beams]`` to the same."""
        return self.activation(image + self.paths(image))


def long_path() -> torch.nn.Sequential:
    """The terminal's path with a wide view: 3 x 3, then 9 along beams, then 9 along delay rows."""
    return torch.nn.Sequential(convolution(2, 2, 3), leaky_relu(), convolution(2, 2, (1, 9)), leaky_relu(),
                               convolution(2, 2, (9, 1)))


class CRNetEncoder(torch.nn.Sequential):
    """``[n, 2, rows, beams]``, parts in [0, 1] with 0.5 for zero, to ``[n, num_values]``."""

    def __init__(self, rows: int, beams: int, num_values: int) -> None:
        super().__init__(ParallelPaths([long_path(), convolution(2, 2, 3)], 4), leaky_relu(),
                         ToCodeword(rows, beams, num_values))
        initialize(self)


class CRNetDecoder(torch.nn.Sequential):
    """``[n, num_values]`` to ``[n, 2, rows, beams]``, parts in [0, 1] with 0.5 for zero."""

    def __init__(self, rows: int, beams: int, num_values: int) -> None:
        super().__init__(ToImage(rows, beams, num_values), convolution(2, 2, 5), leaky_relu(), CRBlock(), CRBlock(),
                         torch.nn.Sigmoid())
        initialize(self)
