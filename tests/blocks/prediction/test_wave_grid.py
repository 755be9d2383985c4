from __future__ import annotations

import math

import pytest
import torch

from linksim.blocks.prediction.wave_grid import GridSize, delay_cells, delay_sizes, doppler_cells, num_doppler_cells

HISTORY_S = torch.arange(16, dtype=torch.float64) * 5e-3
TARGET_S = 75e-3 + torch.arange(1, 5, dtype=torch.float64) * 5e-3


def cells_of(doppler_hz: float, history_s=HISTORY_S, target_s=TARGET_S, least: int = 16):
    doppler_hz = torch.tensor([doppler_hz], dtype=torch.float64)
    number, aliased = num_doppler_cells(doppler_hz, history_s, target_s, least)
    return doppler_cells(doppler_hz, history_s, int(number), bool(aliased))


@pytest.mark.parametrize("doppler_hz", [0.0, 5.0, 89.0, 99.0])
def test_cells_correlate_as_clarkes_spectrum_over_the_whole_window(doppler_hz):
    time_s = torch.linspace(0, float(TARGET_S[-1]), 200, dtype=torch.float64)
    cells = cells_of(doppler_hz)
    found = (cells.waves(time_s)[0] * cells.share[0]).sum(-1)
    expected = torch.special.bessel_j0(2 * math.pi * doppler_hz * time_s)
    assert (found - expected).abs().max() < 1e-3


@pytest.mark.parametrize("doppler_hz", [101.0, 583.7, 4000.0])
def test_aliased_cells_fill_the_circle_and_fade_between_samples(doppler_hz):
    cells = cells_of(doppler_hz)
    assert cells.shift_hz.abs().max() < 100  # half the sampling frequency
    torch.testing.assert_close(cells.share.sum(), torch.tensor(1.0, dtype=torch.float64))
    at_samples = cells.waves(HISTORY_S)
    assert torch.allclose(at_samples.abs(), torch.ones((), dtype=torch.float64), atol=1e-9)
    quarter_s = torch.linspace(0, 2.5e-3, 11, dtype=torch.float64)
    found = (cells.waves(quarter_s)[0] * cells.share[0]).sum(-1)
    # a cell's own width is neglected, a twentieth of a sampling frequency
    assert (found - torch.special.bessel_j0(2 * math.pi * doppler_hz * quarter_s)).abs().max() < 0.02


def test_a_faster_terminal_and_a_longer_window_need_more_cells():
    doppler_hz = torch.tensor([1.0, 20.0, 60.0, 99.0, 101.0, 1e6], dtype=torch.float64)
    number, aliased = num_doppler_cells(doppler_hz, HISTORY_S, TARGET_S, 16)
    assert number.tolist() == [16, 16, 40, 64, 40, 40]
    assert aliased.tolist() == [False] * 4 + [True] * 2
    longer, _ = num_doppler_cells(doppler_hz, HISTORY_S, TARGET_S + 0.1, 16)
    assert (longer >= number).all()
    assert (longer > number)[1:].all()


def test_released_sizes_hold_up_to_100_kmh_at_2400_mhz():
    history_s = torch.arange(16, dtype=torch.float64) * 5e-4
    target_s = history_s[-1] + torch.arange(1, 5, dtype=torch.float64) * 5e-4
    doppler_hz = torch.tensor([100 / 3.6 * 2.4e9 / 299792458], dtype=torch.float64)
    number, aliased = num_doppler_cells(doppler_hz, history_s, target_s, GridSize().num_dopplers)
    assert number.tolist() == [16]
    assert not aliased.any()


def test_delays_and_directions_are_as_many_as_noise_does_not_hide():
    profile = torch.zeros(2, 400, dtype=torch.float64)
    profile[0, :5] = 0.2  # five cells hold everything
    profile[1] = 1 / 400  # none stands out
    noise = torch.tensor([0.01, 0.01], dtype=torch.float64)
    size = GridSize(num_delays=16, frequency_rank=8)
    delays, directions = delay_sizes(profile, profile[:, :50].sort(-1).values, noise, size)
    assert delays.tolist() == [16, 400]
    assert directions.tolist() == [8, 50]
    loud, _ = delay_sizes(profile, profile[:, :50].sort(-1).values, noise * 50, size)
    assert loud.tolist() == [16, 208]  # half the power may be lost in the noise


def test_one_subcarrier_tells_no_delays():
    assert delay_cells(torch.zeros(1, dtype=torch.float64)).tolist() == [0.0]
