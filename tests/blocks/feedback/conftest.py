"""Small channels of a few plane waves, as reports see them: one instant."""

from __future__ import annotations

import math

import pytest
import torch

from linksim.core.csi import Csi, Panel

PANEL = Panel(rows=2, columns=4, polarizations=2)


def one_instant(h: torch.Tensor, panel: Panel = PANEL) -> Csi:
    """``[batch, user, ue_ant, bs_ant, 1, subcarrier]`` with a grid around it."""
    batch, user, subcarrier = *h.shape[:2], h.shape[-1]
    return Csi(
        h=h, time_s=torch.zeros(1, dtype=torch.float64),
        frequency_hz=2.4e9 + 180e3 * torch.arange(subcarrier, dtype=torch.float64),
        noise_variance=torch.zeros(batch, user), panel=panel, max_doppler_hz=torch.full((batch, user), 50.0),
    )


def plane_waves(batch: int = 3, user: int = 2, ue_ant: int = 2, num_paths: int = 5, num_subcarriers: int = 16,
                panel: Panel = PANEL, seed: int = 0) -> Csi:
    """Unit power; delays up to 1.5 us, directions and gains at random."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, user, num_paths)
    gain = torch.randn(*shape, ue_ant, panel.polarizations, generator=generator, dtype=torch.complex128)
    delay_s = 1.5e-6 * torch.rand(shape, generator=generator, dtype=torch.float64)
    column, row = 2 * torch.rand((2, *shape), generator=generator, dtype=torch.float64) - 1

    def steer(sine: torch.Tensor, count: int) -> torch.Tensor:
        return torch.exp(1j * math.pi * sine[..., None] * torch.arange(count))

    h = torch.einsum(
        "buqnp,buqc,buqr,buqk->bunpcrk", gain, steer(column, panel.columns), steer(row, panel.rows),
        torch.exp(-2j * math.pi * delay_s[..., None] * 180e3 * torch.arange(num_subcarriers)),
    ).flatten(3, 5).unsqueeze(-2)
    h = h / h.abs().square().mean((2, 3, 4, 5), keepdim=True).sqrt()
    return one_instant(h.to(torch.complex64), panel)


@pytest.fixture(scope="session", name="plane_waves")
def _plane_waves():
    return plane_waves


@pytest.fixture(scope="session", name="one_instant")
def _one_instant():
    return one_instant
