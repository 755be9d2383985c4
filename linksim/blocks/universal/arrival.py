"""The path that arrives first: its length and direction, and where it would end if it were straight."""

from __future__ import annotations

import torch
from sionna.phy import SPEED_OF_LIGHT

from linksim.blocks.universal.base import UniversalShape

BELOW_DB = (0.0, 3.0, 6.0, 9.0, 12.0, 15.0, 20.0, 25.0)
"""How far below the strongest peak the first path may be: an estimate for each."""
_FINER = 4
"""Cells of the angle-delay spectrum for each antenna and each subcarrier."""
_AT_ONCE = 256


class FirstArrival:
    """The earliest peak of the angle-delay spectrum that is not too far below the strongest.

    Hann windows, four cells for each antenna and subcarrier, parabolas through the peaks. Delays must count from
    departure (``channel.ray_traced.synchronized: false``).
    """

    def __init__(self, shape: UniversalShape) -> None:
        self._panel, self._spacing_hz = shape.panel, shape.subcarrier_spacing_hz

    def __call__(self, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The first path for each of `BELOW_DB`.

        :param h: complex, ``[sample, ue_ant, bs_ant, subcarrier]``.
        :returns: its length, m, and its direction's cosine with the axis to the left, ``[sample, below]`` each.
        """
        parts = [self._first_of(some) for some in h.split(_AT_ONCE)]
        return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])

    def _first_of(self, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        power = self._spectrum(h)
        angles, delays = power.shape[1:]
        peak = torch.ones_like(power, dtype=torch.bool)
        for dim in (1, 2):
            for shift in (1, -1):
                peak &= power >= power.roll(shift, dim)
        strongest = power.flatten(1).amax(1)
        least = strongest[:, None] * 10 ** (-torch.tensor(BELOW_DB, device=h.device) / 10)
        highest, angle = torch.where(peak, power, 0.0).max(1)  # of the peaks at each delay, [sample, delay]
        delay = (highest[:, None] >= least[..., None]).int().argmax(-1)  # the first; that of the strongest is one
        angle = angle.gather(1, delay)
        which = torch.arange(len(h), device=h.device)[:, None]

        def finer(at: list[torch.Tensor]) -> torch.Tensor:
            before, here, after = (power[which, a % angles, d % delays].clamp_min(1e-20).log() for a, d in at)
            return (0.5 * (before - after) / (before - 2 * here + after).clamp_max(-1e-9)).clamp(-0.5, 0.5)

        delay_cell = delay + finer([(angle, delay - 1), (angle, delay), (angle, delay + 1)])
        angle_cell = angle + finer([(angle - 1, delay), (angle, delay), (angle + 1, delay)])
        cosine = 2 * ((angle_cell / angles + 0.5) % 1 - 0.5)  # antennas stand half a wavelength apart
        return delay_cell * SPEED_OF_LIGHT / (delays * self._spacing_hz), cosine

    def _spectrum(self, h: torch.Tensor) -> torch.Tensor:
        """Power over the cosine with the axis to the left and the delay, ``[sample, angle, delay]``."""
        panel, subcarriers = self._panel, h.shape[-1]
        h = h.unflatten(2, (panel.polarizations, panel.columns, panel.rows))
        h = h * _hann(panel.columns, h)[:, None, None] * _hann(subcarriers, h)
        cells = torch.fft.ifft(torch.fft.fft(h, _FINER * panel.columns, dim=3), _FINER * subcarriers, dim=-1)
        return cells.abs().square().sum((1, 2, 4))


def straight(distance_m: torch.Tensor, cosine: torch.Tensor, height_m: torch.Tensor) -> torch.Tensor:
    """Metres ahead and to the left, ``[..., 2]``, of where a straight path of this length and direction ends.

    :param distance_m: of any shape; the path's length.
    :param cosine: of the direction with the axis to the left.
    :param height_m: of the base station above the terminal.
    """
    left = distance_m * cosine
    ahead = (distance_m.square() - left.square() - height_m.square()).clamp_min(0).sqrt()
    return torch.stack([ahead, left], -1)


def free_space_excess_db(distance_m: torch.Tensor, gain_db: torch.Tensor) -> torch.Tensor:
    """Received power over that of free space at this distance, dB but for a constant of the carrier.

    Source: ITU-R P.525, equation 4 (free-space basic transmission loss).

    :param distance_m: of any shape, as ``gain_db``, the gain between isotropic antennas.
    """
    return gain_db + 20 * distance_m.clamp_min(1).log10()


def _hann(count: int, like: torch.Tensor) -> torch.Tensor:
    return torch.hann_window(count + 2, periodic=False, device=like.device)[1:-1]
