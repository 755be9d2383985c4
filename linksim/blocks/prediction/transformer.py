"""Transformer predictor: all future samples at once.

| | parameters | published (Table I of CSI-ALM) | published latency (RTX A6000) |
|---|---|---|---|
| transformer | 6,771,936 | 6.78 M | 80.9 ms |

Source: H. Jiang, M. Cui, D. W. K. Ng and L. Dai, "Accurate channel prediction based on transformer: making mobility
negligible", IEEE JSAC 40(9), 2022; in the form that the public LLM4CP version holds (github.com/liuboxun/LLM4CP): the
stack of encoders of Informer (Zhou et al., AAAI 2021, Section 3.2) with full attention. The papers do not give the
sizes. Table I is met by width 192, 512 units in the feed-forward layers, encoders of 5, 4 and 3 layers with a halving
of time between layers, and 3 decoder layers. (So it is, among others, by a plain encoder-decoder of width 384 with
3 + 3 layers and 256 units; the three encoders are the cited work's and explain its latency.) Where this differs:

- Layer instead of batch normalisation in the halving: no result depends on the batch. Parameters are as many.
- Each encoder sees the end of the embedded history, as Informer's text says. In the public version the second and
  third see what the first returns.
- The convolutions do not wrap round from the newest sample to the oldest, nor lengthen the sequence.
"""

from __future__ import annotations

import math

import torch

from linksim.blocks.prediction.learned import ProblemShape
from linksim.blocks.prediction.rules import transformer_sizes
from linksim.blocks.prediction.sequences import SequencePredictor
from linksim.core.errors import ScenarioError
from linksim.core.registry import register
from linksim.core.types import Fraction, PositiveInt


def sinusoidal_positions(length: int, width: int) -> torch.Tensor:
    """Sines and cosines of Vaswani et al. (2017), Section 3.5.

    :returns: ``[length, width]``, sines in even places.
    """
    frequency = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    angle = torch.arange(length)[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(-2)[:, :width]


class SampleEmbedding(torch.nn.Module):
    """Each sample with its two neighbours in time, and its position, as a vector."""

    def __init__(self, num_features: int, width: int, length: int, dropout: float = 0.0, bias: bool = True) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv1d(num_features, width, 3, padding=1, bias=bias)
        torch.nn.init.kaiming_normal_(self.convolution.weight, nonlinearity="leaky_relu")
        self.register_buffer("positions", sinusoidal_positions(length, width), persistent=False)
        self.dropout = torch.nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[sequence, time, feature]`` to ``[sequence, time, width]``."""
        return self.dropout(self.convolution(x.mT).mT + self.positions)


class Halving(torch.nn.Module):
    """Informer's "distilling" (eq. (5)): convolution over time, ELU, the larger of neighbours at every other time."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv1d(width, width, 3, padding=1)
        self.norm = torch.nn.LayerNorm(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[sequence, time, width]`` to ``[sequence, ceil(time / 2), width]``."""
        x = torch.nn.functional.elu(self.norm(self.convolution(x.mT).mT))
        return torch.nn.functional.max_pool1d(x.mT, 3, stride=2, padding=1).mT


class TransformerNetwork(torch.nn.Module):
    """Encoder-decoder; the decoder starts from the end of the history and zeros, and fills in the zeros.

    :param num_start: history samples that the decoder is given.
    """

    def __init__(self, num_features: int, num_history: int, num_future: int, num_start: int, width: int,
                 feedforward_width: int, num_heads: int, num_encoder_layers: int, num_decoder_layers: int,
                 dropout: float) -> None:
        super().__init__()
        self.num_future, self.num_start = num_future, min(num_start, num_history)
        sizes = {"d_model": width, "nhead": num_heads, "dim_feedforward": feedforward_width, "dropout": dropout,
                 "activation": "gelu", "batch_first": True}
        self.history_embedding = SampleEmbedding(num_features, width, num_history, dropout)
        self.decoder_embedding = SampleEmbedding(num_features, width, self.num_start + num_future, dropout)
        self.encoders = torch.nn.ModuleList()
        for num_layers in range(num_encoder_layers, max(num_encoder_layers - 3, 0), -1):
            layers = [torch.nn.TransformerEncoderLayer(**sizes)]
            for _ in range(num_layers - 1):
                layers += [Halving(width), torch.nn.TransformerEncoderLayer(**sizes)]
            self.encoders.append(torch.nn.Sequential(*layers, torch.nn.LayerNorm(width)))
        self.decoder = torch.nn.ModuleList(torch.nn.TransformerDecoderLayer(**sizes)
                                           for _ in range(num_decoder_layers))
        self.output = torch.nn.Sequential(torch.nn.LayerNorm(width), torch.nn.Linear(width, num_features))
        length = self.num_start + num_future
        self.register_buffer("mask", torch.ones(length, length, dtype=torch.bool).triu(1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[sequence, num_history, feature]`` to ``[sequence, num_future, feature]``."""
        embedded = self.history_embedding(x)
        # every encoder halves once less than the one before, and begins with half the history
        memory = torch.cat([encoder(embedded[:, -max(x.shape[1] >> halvings, 1):])
                            for halvings, encoder in enumerate(self.encoders)], 1)
        start = x[:, x.shape[1] - self.num_start:]
        y = self.decoder_embedding(torch.nn.functional.pad(start, (0, 0, 0, self.num_future)))
        for layer in self.decoder:
            y = layer(y, memory, tgt_mask=self.mask)
        return self.output(y[:, -self.num_future:])


@register("predictor", "transformer", trains=True, requires=transformer_sizes)
class TransformerPredictor(SequencePredictor):
    """Encoder-decoder transformer per antenna, all steps at once; 6.77 M parameters.

    :param width: of the vector for each sample.
    :param feedforward_width: hidden units of the feed-forward layers.
    :param num_heads: attention heads; they divide ``width``.
    :param num_encoder_layers: of the first encoder; the second has one less, the third two less.
    :param num_decoder_layers: decoder layers.
    :param num_start: history samples at the start of the decoder, at most all of them.
    :param dropout: share of units dropped in training.
    """

    def __init__(self, width: PositiveInt = 192, feedforward_width: PositiveInt = 512, num_heads: PositiveInt = 8,
                 num_encoder_layers: PositiveInt = 5, num_decoder_layers: PositiveInt = 3,
                 num_start: PositiveInt = 12, dropout: Fraction = 0.05) -> None:
        super().__init__()
        if width % num_heads:
            raise ScenarioError(f"transformer: width {width} is no multiple of num_heads {num_heads}")
        self.sizes = {"num_start": num_start, "width": width, "feedforward_width": feedforward_width,
                      "num_heads": num_heads, "num_encoder_layers": num_encoder_layers,
                      "num_decoder_layers": num_decoder_layers, "dropout": dropout}

    def make_network(self, shape: ProblemShape) -> torch.nn.Module:
        return TransformerNetwork(2 * shape.num_subcarriers, shape.num_history, shape.num_future, **self.sizes)
