"""What symbols carry is what a demodulator finds, below capacity."""

from __future__ import annotations

import math

import pytest
import torch

from linksim.mimo.noise import complex_normal
from linksim.nr.modulation import demodulate, modulate
from linksim.nr.short_block_plan import best_modulation, symbol_information
from linksim.nr.slots import ORDERS


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("snr_db", [0.0, 12.0])
def test_information_is_what_the_demodulator_finds(order, snr_db):
    bits = torch.randint(0, 2, (40_000 * order,), generator=torch.Generator().manual_seed(0)).float()
    symbols = modulate(bits, order)
    variance = 10 ** (-snr_db / 10)
    noise = variance**0.5 * complex_normal(symbols.shape, torch.Generator().manual_seed(1))
    ratios = demodulate(symbols + noise, torch.full(symbols.shape, variance), order)
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
