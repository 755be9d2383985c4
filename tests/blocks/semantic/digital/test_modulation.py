"""Symbols and what they can carry."""

from __future__ import annotations

import math

import pytest
import torch
from sionna.phy.mapping import Demapper

from linksim.blocks.semantic.digital.information import best_modulation, symbol_information
from linksim.blocks.semantic.digital.modulation import ORDERS, demodulate, modulate, scrambling


def random_bits(*shape: int) -> torch.Tensor:
    return torch.randint(0, 2, shape, generator=torch.Generator().manual_seed(0)).float()


def noise(like: torch.Tensor, variance: float) -> torch.Tensor:
    draw = torch.Generator().manual_seed(1)
    parts = torch.randn(2, *like.shape, generator=draw) * (variance / 2) ** 0.5
    return torch.complex(parts[0], parts[1])


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


def test_scrambled_padding_is_balanced_and_prefixes_agree():
    sequence = scrambling(5000, torch.device("cpu"))
    assert float(sequence.mean()) == pytest.approx(0.5, abs=0.02)
    assert torch.equal(scrambling(100, torch.device("cpu")), sequence[:100])


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("snr_db", [0.0, 12.0])
def test_information_is_what_the_demodulator_finds(order, snr_db):
    bits = random_bits(40_000 * order)
    symbols = modulate(bits, order)
    variance = 10 ** (-snr_db / 10)
    ratios = demodulate(symbols + noise(symbols, variance), torch.full(symbols.shape, variance), order)
    density = (1 - torch.nn.functional.softplus(-(2 * bits - 1) * ratios) / math.log(2)).reshape(-1, order).sum(-1)
    mean, spread = (part[ORDERS.index(order)] for part in symbol_information(torch.tensor(10 ** (snr_db / 10))))
    assert float(mean) == pytest.approx(float(density.mean()), abs=0.03)
    assert float(spread) == pytest.approx(float(density.var()), abs=0.05 + 0.05 * float(spread))


def test_information_grows_with_the_snr_and_stays_below_capacity():
    sinr = 10 ** (torch.arange(-30, 45, 1.0) / 10)
    mean, spread = symbol_information(sinr)
    assert (mean.diff(dim=0) > -1e-5).all()
    assert (mean <= torch.log2(1 + sinr)[:, None] + 1e-4).all()
    assert torch.allclose(mean[-1], torch.tensor(ORDERS).float(), atol=1e-3)
    assert (spread >= 0).all()
    best, _, order = best_modulation(sinr, 8)
    assert (order.diff() >= 0).all()
    assert (best <= mean.amax(-1) + 0.05).all()
    assert (best >= 0.97 * mean.amax(-1)).all()
    assert best_modulation(sinr, 4)[2].max() == 4
