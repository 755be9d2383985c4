"""TransNet and TransInDecNet: transformers about a linear codeword.

**TransNet**: transformer layers on both sides.

| compression of 2 x 32 x 32 | 1/4 | 1/8 | 1/16 | 1/32 | 1/64 |
|---|---|---|---|---|---|
| parameters | 2,678,912 | 1,630,080 | 1,105,664 | 843,456 | 712,352 |
| published NMSE indoors, dB | -29.22 | -21.62 | -14.98 | -9.83 | -5.77 |
| published NMSE outdoors, dB | -13.99 | -9.57 | -6.90 | -3.77 | -2.20 |

Source: Y. Cui, A. Guo and C. Song, "TransNet: Full Attention Network for CSI Feedback in FDD Massive MIMO System", IEEE
Wireless Commun. Lett. 11(5), 2022; COST2100, 100,000 training samples, 400 epochs.

As published: two layers a side that share their weights, two heads, normalisation behind each residual and once more
at the end of the decoder, no positions, no activation at the end, no dropout, Xavier's initialisation; a token is 2
rows x 1 part (64 consecutive values of the flattened image).

Otherwise than in the authors' public code: its attention runs along the axis of the samples (a batch-first tensor in
layers that expect the sequence first), so a sample's output depends on its batch neighbours there. Here, as in the
letter, the tokens of a sample attend to each other; the published figures may rest on the other. And the decoder's
last normalisation begins with gain 0.02 and bias 0.5, near a channel of zeros, where published 1 and 0 begin 33 dB
above one.

**TransInDecNet**: a linear terminal and one transformer layer at the base station.

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

from linksim.blocks.feedback.networks.layers import ToCodeword, ToImage, initialize

NUM_LAYERS = 2
"""A side, all with the same weights."""

NUM_HEADS = 2
FEED_FORWARD_WIDTH = 2048


def _tokens(image: torch.Tensor) -> torch.Tensor:
    """``[n, 2, rows, beams]`` to ``[n, rows, 2 * beams]``, in the order of memory."""
    return image.reshape(len(image), image.shape[2], -1)


class TransNetEncoder(torch.nn.Module):
    """``[n, 2, rows, beams]``, parts in [0, 1] with 0.5 for zero, to ``[n, num_values]``."""

    def __init__(self, rows: int, beams: int, num_values: int) -> None:
        super().__init__()
        self.layer = torch.nn.TransformerEncoderLayer(2 * beams, NUM_HEADS, FEED_FORWARD_WIDTH, dropout=0.0,
                                                      batch_first=True)
        self.to_codeword = ToCodeword(rows, beams, num_values)
        initialize_attention(self)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        tokens = _tokens(image)
        for _ in range(NUM_LAYERS):
            tokens = self.layer(tokens)
        return self.to_codeword(tokens)


class TransNetDecoder(torch.nn.Module):
    """``[n, num_values]`` to ``[n, 2, rows, beams]``, parts about 0.5, not limited."""

    def __init__(self, rows: int, beams: int, num_values: int) -> None:
        super().__init__()
        self.to_image = ToImage(rows, beams, num_values)
        self.layer = torch.nn.TransformerDecoderLayer(2 * beams, NUM_HEADS, FEED_FORWARD_WIDTH, dropout=0.0,
                                                      batch_first=True)
        self.norm = torch.nn.LayerNorm(2 * beams)
        initialize_attention(self)
        torch.nn.init.constant_(self.norm.weight, 0.02)
        torch.nn.init.constant_(self.norm.bias, 0.5)

    def forward(self, codeword: torch.Tensor) -> torch.Tensor:
        image = self.to_image(codeword)
        memory = _tokens(image)
        tokens = memory
        for _ in range(NUM_LAYERS):
            tokens = self.layer(tokens, memory)
        return self.norm(tokens).reshape(image.shape)


def initialize_attention(module: torch.nn.Module) -> None:
    """As `initialize`, the stacked maps to queries, keys and values too."""
    initialize(module)
    for part in module.modules():
        if isinstance(part, torch.nn.MultiheadAttention):
            torch.nn.init.xavier_uniform_(part.in_proj_weight)


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
