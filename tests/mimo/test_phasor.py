"""Fewer exponentials, the same values."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from linksim.mimo.phasor import phasor, phasor_factors

RATE = torch.linspace(-900, 700, 11, dtype=torch.float64)


def direct(rate, grid):
    return torch.polar(torch.ones(1, dtype=torch.float64), grid.unsqueeze(-1) * rate)


@given(st.integers(1, 97), st.floats(-3, 3), st.floats(-0.1, 0.1))
def test_uniform_grids(count, start, step):
    grid = start + step * torch.arange(count, dtype=torch.float64)
    torch.testing.assert_close(phasor(RATE, grid), direct(RATE, grid), atol=1e-10, rtol=0)


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
def test_any_grid(values):
    grid = torch.tensor(values, dtype=torch.float64)
    torch.testing.assert_close(phasor(RATE, grid), direct(RATE, grid), atol=1e-10, rtol=0)


def test_a_uniform_grid_costs_few_exponentials_and_a_bent_one_all():
    grid = torch.arange(64, dtype=torch.float64)
    assert [len(part) for part in phasor_factors(RATE, grid)] == [8, 8]
    grid[5] += 1e-3
    assert [len(part) for part in phasor_factors(RATE, grid)] == [64, 1]


@pytest.mark.parametrize("count", [48, 64, 256])
def test_single_precision_loses_no_more_than_its_angles(count):
    grid = (torch.arange(count, dtype=torch.float64) - count / 2) * 180e3
    delay = torch.rand(100, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 3e-6
    error = phasor(2 * torch.pi * delay.float(), grid) - direct(2 * torch.pi * delay, grid)
    largest = float(2 * torch.pi * delay.max() * grid.abs().max())
    assert float(error.abs().max()) < 4 * largest * torch.finfo(torch.float32).eps
