from __future__ import annotations

import pytest
import torch

from linksim.blocks.prediction.rnn import RecurrentNetwork


@pytest.mark.parametrize("cell", [torch.nn.RNN, torch.nn.GRU, torch.nn.LSTM])
def test_roll_out_equals_one_sample_at_a_time(cell):
    torch.manual_seed(0)
    network = RecurrentNetwork(cell, num_features=6, num_future=3, hidden_size=8, num_layers=2)
    x = torch.randn(5, 7, 6)
    state, steps = None, []
    for time in range(7 + 3 - 1):
        sample = x[:, time:time + 1] if time < 7 else steps[-1]
        hidden, state = network.recurrent(network.encoder(sample), state)
        steps.append(network.decoder(hidden))
    assert torch.allclose(network(x), torch.cat(steps[-3:], 1), atol=1e-6)
