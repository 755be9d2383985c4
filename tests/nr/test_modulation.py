"""Bits become symbols of unit power and come back with their exact likelihoods."""

from __future__ import annotations

import pytest
import torch
from sionna.phy.mapping import Demapper

from linksim.mimo.noise import complex_normal
from linksim.nr.modulation import demodulate, modulate
from linksim.nr.tables import ORDERS


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
