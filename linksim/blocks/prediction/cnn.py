"""Convolutional predictor: the history as a picture of times and subcarriers.

| | parameters | published (Table I of CSI-ALM) | published latency (RTX A6000) |
|---|---|---|---|
| cnn | 3,146,966 | 3.14 M | 1.38 ms |

Source: the convolutional baseline of LLM4CP and CSI-ALM, which cite W. Xia et al., "A deep learning framework for
optimization of MISO downlink beamforming", IEEE TCOM 68(3), 2020, for it; the layers are the public LLM4CP version's
(github.com/liuboxun/LLM4CP), and their parameters are Table I's. Where this differs from that version:

- No tanh after the last 3x3 convolution, which confined what the output layer sees to (-1, 1), while normalised CSI
  fades to several times its root mean square.
- The output layer runs along the subcarriers of real and of imaginary parts each, not along a list in which the two
  alternate; the number of its parameters is the same.
- Glorot initialisation for tanh; the public one is so large that tanh saturates.
"""

from __future__ import annotations

from itertools import pairwise

import torch

from linksim.blocks.prediction.learned import ProblemShape
from linksim.blocks.prediction.sequences import SequencePredictor
from linksim.core.registry import register
from linksim.core.types import PositiveInt


class ConvolutionalNetwork(torch.nn.Module):
    """3x3 convolutions that widen from 2 to ``8 * 2**(num_layers - 1)`` channels and back, then one over time.

    Channels are real and imaginary part, the picture is ``[time, subcarrier]``, and its size never changes.
    """

    def __init__(self, num_history: int, num_future: int, num_layers: int) -> None:
        super().__init__()
        widening = [2, *(8 * 2**layer for layer in range(num_layers))]
        channels = [*widening, *widening[-2::-1]]
        self.convolutions = torch.nn.ModuleList(
            torch.nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(channels))
        for layer in self.convolutions:
            torch.nn.init.xavier_uniform_(layer.weight, torch.nn.init.calculate_gain("tanh"))
            torch.nn.init.zeros_(layer.bias)
        # from times to times, along the subcarriers
        self.output = torch.nn.Conv2d(num_history, num_future, (1, 3), padding=(0, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[sequence, num_history, 2 * subcarrier]`` to ``[sequence, num_future, 2 * subcarrier]``."""
        # channels side by side in memory: a third faster on a CPU
        picture = x.unflatten(-1, (2, -1)).transpose(1, 2).contiguous(memory_format=torch.channels_last)
        for layer in self.convolutions[:-1]:
            picture = torch.tanh(layer(picture))
        picture = self.convolutions[-1](picture)
        return self.output(picture.transpose(1, 2)).flatten(-2)


@register("predictor", "cnn", trains=True)
class CnnPredictor(SequencePredictor):
    """Convolutions over times and subcarriers, per antenna; 3.15 M parameters.

    :param num_layers: widening convolutions, each doubling the channels from 8 on, and as many back; 7 reach 512
        channels at full resolution, which takes 4.8 GFLOP for each antenna.
    """

    sequences_at_once = 128
    sequences_in_cache = 32

    def __init__(self, num_layers: PositiveInt = 7) -> None:
        super().__init__()
        self.num_layers = num_layers

    def make_network(self, shape: ProblemShape) -> torch.nn.Module:
        return ConvolutionalNetwork(shape.num_history, shape.num_future, self.num_layers)
