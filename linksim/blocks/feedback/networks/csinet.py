"""CsiNet: a convolutional autoencoder whose decoder refines twice.

| compression of 2 x 32 x 32 | 1/4 | 1/8 | 1/16 | 1/32 | 1/64 |
|---|---|---|---|---|---|
| parameters | 2,103,116 | 1,054,284 | 529,868 | 267,660 | 136,556 |
| published NMSE indoors, dB | -17.36 | | -8.65 | -6.24 | -5.84 |
| published NMSE outdoors, dB | -8.75 | | -4.51 | -2.81 | -1.93 |

Source: C.-K. Wen, W.-T. Shih and S. Jin, "Deep Learning for Massive MIMO CSI Feedback", IEEE Wireless Commun. Lett.
7(5), 2018, Section III and Fig. 2; COST2100, 100,000 training samples.

Batch normalisation has PyTorch's constants, not Keras's (1e-3, 0.99): parts spread by less than 0.1 around 0.5, and
1e-3 would weigh against their variance.
"""

from __future__ import annotations

import torch

from linksim.blocks.feedback.networks.layers import ToCodeword, ToImage, convolution, initialize, leaky_relu


class RefineNet(torch.nn.Module):
    """Three convolutions, 2-8-16-2 feature maps, whose result is added to their input; 1,662 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.path = torch.nn.Sequential(convolution(2, 8, 3, bias=True), leaky_relu(),
                                        convolution(8, 16, 3, bias=True), leaky_relu(),
                                        convolution(16, 2, 3, bias=True))
        self.activation = leaky_relu()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """``[n, 2, rows, beams]`` to the same."""
        return self.activation(image + self.path(image))


class CsiNetEncoder(torch.nn.Sequential):
    """``[n, 2, rows, beams]``, parts in [0, 1] with 0.5 for zero, to ``[n, num_values]``."""

    def __init__(self, rows: int, beams: int, num_values: int) -> None:
        super().__init__(convolution(2, 2, 3, bias=True), leaky_relu(), ToCodeword(rows, beams, num_values))
        initialize(self)


class CsiNetDecoder(torch.nn.Sequential):
    """``[n, num_values]`` to ``[n, 2, rows, beams]``, parts in [0, 1] with 0.5 for zero."""

    def __init__(self, rows: int, beams: int, num_values: int) -> None:
        super().__init__(ToImage(rows, beams, num_values), RefineNet(), RefineNet(),
                         torch.nn.Conv2d(2, 2, 3, padding="same"), torch.nn.Sigmoid())
        initialize(self)
