"""GCRNet-1x: CRNet's terminal, and a deep stack of grouped convolutions at the base station.

| compression of 2 x 32 x 32 | 1/8 | 1/16 | 1/32 | 1/64 |
|---|---|---|---|---|
| parameters, terminal | 524,716 | 262,444 | 131,308 | 65,740 |
| parameters, base station | 2,180,008 | 1,917,864 | 1,786,792 | 1,721,256 |
| published, in millions | 0.52 + 2.18 | 0.26 + 1.92 | 0.13 + 1.79 | 0.07 + 1.72 |

Source: Z. Hu, Y. Zou and J. Xue, "A Lightweight Design to Convolution Based Deep Learning CSI Feedback", IEEE Commun.
Lett. 28(9), 2024; sizes from LLMCsiNet, Table IV. The letter has no public code and no public copy: **this is a network
of its published size, built from its title and that table, not a reproduction.**

What the sizes say: the terminal has a linear map and next to nothing else; the base station has 1.65 million
parameters beside its linear map. At each of 1024 places these were 1.7 billion multiplications for a report, hardly a
lightweight design, so they are taken to work on patches of 4 x 4 places, which makes them 0.1 billion.

| open | choice |
|---|---|
| terminal | CRNet's: two paths, mixed, and the linear map |
| base station | 5 x 5 convolution as in CRNet, patches, ten residual blocks, back to places, added to what came in |
| a block | 3 x 3 convolution in groups of 4 feature maps, then 1 x 1 over all 384, each with batch normalisation |
| activation at the end | sigmoid, as CRNet |
| a window that patches do not fill | zeros behind its last row and beam |
"""

from __future__ import annotations

import torch

from linksim.blocks.feedback.networks.crnet import CRNetEncoder
from linksim.blocks.feedback.networks.layers import (
    ToImage,
    begin_small,
    convolution,
    initialize,
    leaky_relu,
    pad_to_patches,
)

PATCH_SIZE = 4
NUM_BLOCKS = 10
NUM_MAPS = 384
GROUP_SIZE = 4


class GroupedBlock(torch.nn.Module):
    """A convolution within groups of feature maps and one across them, added to their input."""

    def __init__(self) -> None:
        super().__init__()
        self.path = torch.nn.Sequential(convolution(NUM_MAPS, NUM_MAPS, 3, groups=NUM_MAPS // GROUP_SIZE),
                                        leaky_relu(), convolution(NUM_MAPS, NUM_MAPS, 1))
        self.activation = leaky_relu()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """``[n, map, row of patches, column of patches]`` to the same."""
        return self.activation(maps + self.path(maps))


class GCRNetEncoder(CRNetEncoder):
    """``[n, 2, rows, beams]``, parts in [0, 1] with 0.5 for zero, to ``[n, num_values]``."""


class GCRNetDecoder(torch.nn.Module):
    """``[n, num_values]`` to ``[n, 2, rows, beams]``, parts in [0, 1] with 0.5 for zero."""

    def __init__(self, rows: int, beams: int, num_values: int) -> None:
        super().__init__()
        self.to_image = torch.nn.Sequential(ToImage(rows, beams, num_values), convolution(2, 2, 5), leaky_relu())
        depth = 2 * PATCH_SIZE**2
        self.refine = torch.nn.Sequential(
            torch.nn.PixelUnshuffle(PATCH_SIZE), convolution(depth, NUM_MAPS, 1), leaky_relu(),
            *(GroupedBlock() for _ in range(NUM_BLOCKS)),
            convolution(NUM_MAPS, depth, 1), torch.nn.PixelShuffle(PATCH_SIZE))
        initialize(self)
        begin_small(self.to_image[1])
        begin_small(self.refine[-2])

    def forward(self, codeword: torch.Tensor) -> torch.Tensor:
        image = self.to_image(codeword)
        refined = self.refine(pad_to_patches(image, PATCH_SIZE))[..., :image.shape[2], :image.shape[3]]
        return torch.sigmoid(image + refined)
