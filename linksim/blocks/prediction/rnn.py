"""Recurrent predictors: step by step through the history, then fed with their own predictions.

The sizes are those of the public LLM4CP baselines (github.com/liuboxun/LLM4CP), which reproduce Table I of CSI-ALM
(Li et al., 2025); for 48 subcarriers and 16 + 4 samples:

| block | parameters | published | published latency (RTX A6000) |
|---|---|---|---|
| rnn | 519,360 | 0.51 M | 6.72 ms |
| gru | 1,490,112 | 1.49 M | 7.74 ms |
| lstm | 1,975,488 | 1.96 M | 8.34 ms |

Sources: W. Jiang and H. D. Schotten, "Neural network-based fading channel prediction", IEEE Access 7, 2019 (RNN) and
"Deep learning for fading channel prediction", IEEE OJ-COMS 1, 2020 (LSTM); I. Helmy et al., "LSTM-GRU model-based
channel prediction", IEEE TVT 72(8), 2023 (GRU). They use shallower networks; the sizes here are the later papers'.
"""

from __future__ import annotations

import torch

from linksim.blocks.prediction.learned import ProblemShape
from linksim.blocks.prediction.sequences import SequencePredictor
from linksim.core.registry import register
from linksim.core.types import PositiveInt


class RecurrentNetwork(torch.nn.Module):
    """Linear layer, recurrent layers, linear layer: the next sample from each sample.

    The history is one call of the recurrent layers; only the predicted steps are a loop.

    :param cell: ``torch.nn.RNN``, ``GRU`` or ``LSTM``.
    """

    def __init__(self, cell: type[torch.nn.RNNBase], num_features: int, num_future: int, hidden_size: int,
                 num_layers: int) -> None:
        super().__init__()
        self.num_future = num_future
        self.encoder = torch.nn.Linear(num_features, num_features)
        self.recurrent = cell(num_features, hidden_size, num_layers, batch_first=True)
        self.decoder = torch.nn.Linear(hidden_size, num_features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``[sequence, num_history, feature]`` to ``[sequence, num_future, feature]``."""
        hidden, state = self.recurrent(self.encoder(x))
        steps = [self.decoder(hidden[:, -1:])]
        while len(steps) < self.num_future:
            # in FDD this feeds a downlink sample to layers that have seen the uplink: so do the published ones
            hidden, state = self.recurrent(self.encoder(steps[-1]), state)
            steps.append(self.decoder(hidden))
        return torch.cat(steps, 1)


class RecurrentPredictor(SequencePredictor):
    """What the three have in common.

    :param hidden_size: units of each recurrent layer.
    :param num_layers: recurrent layers, one on the other.
    """

    cell: type[torch.nn.RNNBase]
    sequences_in_cache = 1024  # one step of a layer at a time is little

    def __init__(self, hidden_size: PositiveInt = 256, num_layers: PositiveInt = 4) -> None:
        super().__init__()
        self.hidden_size = hidden_size
        self.num_layers = num_layers

    def make_network(self, shape: ProblemShape) -> torch.nn.Module:
        return RecurrentNetwork(self.cell, 2 * shape.num_subcarriers, shape.num_future, self.hidden_size,
                                self.num_layers)


@register("predictor", "rnn", trains=True)
class RnnPredictor(RecurrentPredictor):
    """Recurrent network (tanh) per antenna, autoregressive; 0.52 M parameters."""

    cell = torch.nn.RNN


@register("predictor", "gru", trains=True)
class GruPredictor(RecurrentPredictor):
    """Gated recurrent units per antenna, autoregressive; 1.49 M parameters."""

    cell = torch.nn.GRU


@register("predictor", "lstm", trains=True)
class LstmPredictor(RecurrentPredictor):
    """Long short-term memory per antenna, autoregressive; 1.98 M parameters."""

    cell = torch.nn.LSTM
