"""Strings come back, and scrambled padding is balanced. Bits become symbols of unit power and come back with their
exact likelihoods.
"""

from __future__ import annotations

import pytest
import torch
from sionna.phy.mapping import Demapper

from linksim.mimo.noise import complex_normal
from linksim.nr.modulation import demodulate, modulate, scrambling, to_strings, to_tensor
from linksim.nr.slots import ORDERS


def test_strings_come_back_filled_up_with_zeros():
    bits = to_tensor(["101", "", "11111"], 5)
    assert bits.tolist()[0] == [1, 0, 1, 0, 0]
    assert to_strings(bits) == ["10100", "00000", "11111"]
    with pytest.raises(ValueError, match="5 bits do not fit into a payload of 4"):
        to_tensor(["11111"], 4)


def test_scrambled_padding_is_balanced_and_prefixes_agree():
    sequence = scrambling(5000, torch.device("cpu"))
    assert float(sequence.mean()) == pytest.approx(0.5, abs=0.02)
    assert torch.equal(scrambling(100, torch.device("cpu")), sequence[:100])


def random_bits(*shape: int) -> torch.Tensor:
    return torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(0)).float()


def noise(like: torch.Tensor, variance: float) -> torch.Tensor:
    return variance**0.5 * complex_normal(like.shape, torch.Generator().manual_seed(1))


@pytest.mark.parametrize("order", ORDERS)
def test_bits_survive_little_noise_and_symbols_have_unit_power(order):
    bits = random_bits(4, 3000 * order)
    symbols = modulate(bits, order)
    assert symbols.shape == (4, 3000)
    assert float(symbols.abs().square().mean()) == pytest.approx(1, abs=0.02)
    received = symbols + noise(symbols, 1e-4)
    ratios = demodulate(received, torch.full(received.shape, 1e-4), order)
    assert torch.equal((ratios > 0).float(), bits)


@pytest.mark.parametrize("order", ORDERS[1:])
def test_ratios_of_two_pams_are_those_of_the_qam(order):
    symbols = modulate(random_bits(2, 5, 12 * order), order)
    received, variance = symbols + noise(symbols, 0.3), torch.linspace(0.05, 1, 12).expand(2, 5, 12)
    whole = Demapper("app", "qam", order, precision="single", device="cpu")(received, variance)
    assert torch.allclose(demodulate(received, variance, order), whole, atol=1e-3, rtol=1e-4)
