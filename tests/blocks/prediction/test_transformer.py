from __future__ import annotations

import pytest
import torch

from linksim.blocks.prediction.transformer import Halving, TransformerNetwork, sinusoidal_positions
from linksim.core.errors import ScenarioError
from linksim.core.registry import create


def test_a_position_and_the_next_differ_by_a_rotation_that_is_the_same_everywhere():
    even, odd = sinusoidal_positions(20, 8).unflatten(-1, (-1, 2)).unbind(-1)
    phasor = torch.complex(odd, even)
    turn = phasor[1:] * phasor[:-1].conj()
    assert torch.allclose(turn, turn[:1].expand_as(turn), atol=1e-5)
    assert torch.allclose(phasor.abs(), torch.ones(20, 4))


@pytest.mark.parametrize("length", [1, 2, 5, 16])
def test_halving_keeps_every_other_time_rounded_up(length):
    assert Halving(4)(torch.randn(3, length, 4)).shape == (3, (length + 1) // 2, 4)


def network(num_history=16, num_encoder_layers=5):
    torch.manual_seed(0)
    return TransformerNetwork(num_features=6, num_history=num_history, num_future=4, num_start=12, width=16,
                              feedforward_width=8, num_heads=2, num_encoder_layers=num_encoder_layers,
                              num_decoder_layers=1, dropout=0.0).eval()


def test_the_default_history_is_condensed_to_one_row_by_each_of_three_encoders():
    rows = []
    model = network()
    for encoder in model.encoders:
        encoder.register_forward_hook(lambda module, inputs, output: rows.append((inputs[0].shape[1], output.shape[1])))
    model(torch.randn(2, 16, 6))
    assert rows == [(16, 1), (8, 1), (4, 1)]


def test_every_history_sample_matters():
    model = network()
    x = torch.randn(1, 16, 6, requires_grad=True)
    model(x).square().sum().backward()
    assert (x.grad.abs().sum(-1) > 0).all()


def test_width_must_divide_into_heads():
    with pytest.raises(ScenarioError, match="width 30 is no multiple of num_heads 8"):
        create("predictor", "transformer", {"width": 30})
