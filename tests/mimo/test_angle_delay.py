"""Transforms keep power and noise, and plane waves on their grid fill one cell."""

from __future__ import annotations

import pytest
import torch

from linksim.core.csi import Panel
from linksim.mimo.angle_delay import dft_codebook, from_angle_delay, line_to_angle_delay, signal_power, to_angle_delay


def test_angle_delay_transform_is_unitary_and_invertible():
    panel = Panel(rows=4, columns=2, polarizations=2)
    h = torch.randn(2, 3, 1, 16, 5, 6, dtype=torch.complex64)
    g = to_angle_delay(h, panel)
    torch.testing.assert_close(from_angle_delay(g, panel), h)
    torch.testing.assert_close(g.abs().square().sum(), h.abs().square().sum())


def test_a_plane_wave_on_the_grid_fills_one_bin_per_polarisation():
    panel = Panel(rows=4, columns=2, polarizations=2)
    column, row, tone = torch.arange(2.0), torch.arange(4.0), torch.arange(8.0)
    wave = (torch.exp(1j * torch.pi * column)[:, None, None] * torch.exp(0.5j * torch.pi * row)[:, None]
            * torch.exp(-2j * torch.pi * 3 * tone / 8))
    h = wave.expand(2, 2, 4, 8).reshape(16, 1, 8)
    g = to_angle_delay(h, panel).unflatten(0, panel.shape)
    expected = torch.zeros(2, 2, 4, 1, 8)
    expected[:, 1, 1, 0, 3] = 8.0
    torch.testing.assert_close(g.abs(), expected, atol=1e-5, rtol=0)


def test_signal_power_takes_the_noise_off_and_is_never_negative():
    y = torch.tensor([[2.0, 1.0], [2.0, 1.0]], dtype=torch.complex64).expand(1, 1, 1, 1, 2, 2)
    power = signal_power(y, torch.tensor([[3.0]]))
    assert power.flatten().tolist() == [1.0, 0.0]


@pytest.mark.parametrize("panel", [Panel(1, 8, 2), Panel(8, 1, 2)])
def test_a_panel_of_one_line_is_a_line(panel):
    h = torch.randn(3, 2, 16, 6, dtype=torch.complex64, generator=torch.Generator().manual_seed(1))
    line = line_to_angle_delay(h, 2)
    torch.testing.assert_close(line.flatten(2, 3), to_angle_delay(h.unsqueeze(-2), panel).squeeze(-2))


@pytest.mark.parametrize("panel", [Panel(1, 8, 1), Panel(4, 2, 1), Panel(2, 3, 2)])
def test_beams_are_orthogonal_and_as_many_as_antennas(panel):
    beams = dft_codebook(panel)
    identity = torch.eye(panel.num_antennas, dtype=beams.dtype)
    torch.testing.assert_close(beams.mH @ beams, identity, atol=1e-5, rtol=0)
    if panel.polarizations == 2:  # none mixes polarisations
        half = panel.num_antennas // 2
        assert not beams[:half, half:].any()
        assert not beams[half:, :half].any()
