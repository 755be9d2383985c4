"""TransInDecNet: a linear terminal and one transformer layer at the base station.

| compression of 2 x 32 x 32 | 1/8 | 1/16 | 1/32 | 1/64 |
|---|---|---|---|---|
| parameters, terminal | 524,544 | 262,272 | 131,136 | 65,568 |
| parameters, base station | 807,488 | 545,344 | 414,272 | 348,736 |

Source: S.-U. Huh and Y.-C. Ko, "TransInDecNet: Efficient CSI Compression and Reconstruction for FDD MIMO Using
Transformer", ICUFN 2025, as LLMCsiNet (Section V, Tables IV and V) describes it. These counts are that table's; its
column for 1/8 has terminal and base station the wrong way round (0.80 M and 0.52 M). No public code.

What is open, and what is chosen here:

| open | choice |
|---|---|
| what a token is, of 32 that are 64 wide | a delay row, real and imaginary parts side by side |
| heads | 2, as TransNet |
| where layers are normalised | before attention and MLP: behind the residual, all rows of the output had one energy |
| positions | none: no parameters are left for them, and the linear map in front tells rows apart |
| activation at the end | none |
"""

from __future__ import annotations

import torch

from linksim.blocks.feedback.networks.layers import ToCodeword
from linksim.blocks.feedback.networks.transnet import FEED_FORWARD_WIDTH, NUM_HEADS, initialize_attention


class TransInDecNetEncoder(ToCodeword):
    """``[n, 2, rows, beams]``, parts in [0, 1] with 0.5 for zero, to ``[n, num_values]``."""

    def __init__(self, rows: int, beams: int, num_values: int) -> None:
        super().__init__(rows, beams, num_values)
        initialize_attention(self)


class TransInDecNetDecoder(torch.nn.Module):
    """``[n, num_values]`` to ``[n, 2, rows, beams]``, parts about 0.5, not limited."""

    def __init__(self, rows: int, beams: int, num_values: int) -> None:
        super().__init__()
        self.rows = rows
        self.from_codeword = torch.nn.Linear(num_values, 2 * rows * beams)
        self.layer = torch.nn.TransformerEncoderLayer(2 * beams, NUM_HEADS, FEED_FORWARD_WIDTH, dropout=0.0,
                                                      batch_first=True, norm_first=True)
        initialize_attention(self)

    def forward(self, codeword: torch.Tensor) -> torch.Tensor:
        tokens = self.layer(self.from_codeword(codeword).unflatten(1, (self.rows, -1)))
        return tokens.unflatten(2, (2, -1)).transpose(1, 2)
