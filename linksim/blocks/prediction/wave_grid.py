"""How finely a history is described as plane waves: its cells of Doppler shift and of delay, and how many it needs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pydantic
import torch

from linksim.core.types import PositiveInt

# Cells of the delay grid per resolution cell 1 / bandwidth.
_OVERSAMPLING = 8
# Share of the unambiguous delay range given to negative delays (timing error before the first path).
_NEGATIVE_SHARE = 0.05
# Power left out of the strongest delays and of the directions over frequency at most, in units of the noise's. A cell's
# neighbours, an eighth of what the band resolves away, do for a cell that is left out.
_LEFT_OUT_OF_DELAYS, _LEFT_OUT_OF_DIRECTIONS = 1.0, 0.1
# More Doppler cells come this many at a time, more delays and more directions over frequency likewise.
_MORE_DOPPLERS, _MORE_DELAYS, _MORE_DIRECTIONS = 8, 32, 8
# Doppler cells of a window of length T are at most 1 / (2 T) wide.
_CELLS_PER_CYCLE = 2
# Fading that turns more often than this between two samples is white over any part of the time between them.
_MOST_TURNS = 1000


def polar(angle: torch.Tensor) -> torch.Tensor:
    """exp(j angle), rounded as in released results: the powers that are learnt amplify its last digit by far more than
    `linksim.mimo.phasor.unit` saves in time.
    """
    return torch.polar(torch.ones_like(angle), angle)


class GridSize(pydantic.BaseModel, frozen=True):
    """How finely a history is described at least; what it spans may ask for more.

    :param num_delays: delays kept of the grid at least, the strongest of each user; more where the band resolves more.
    :param num_dopplers: Doppler shifts of the grid, from -f_d to f_d, at least; more where the history spans more
        Doppler cycles.
    :param frequency_rank: directions over frequency that a history is reduced to at least, the strongest of each user;
        more where the band resolves more.
    """

    num_delays: PositiveInt = 64
    num_dopplers: PositiveInt = 16
    frequency_rank: PositiveInt = 24


@dataclass(frozen=True)
class DopplerCells:
    """Doppler shifts that stand for Clarke's spectrum.

    :param shift_hz: ``[user, cell]``, float64.
    :param share: of the spectrum, ``[user, cell]``; sums to 1.
    :param alias_share: of a cell's power that lies so many sampling frequencies beside it, ``[user, cell, alias]``;
        None where sampling is fast enough to tell all Doppler shifts apart.
    :param turn_hz: sampling frequency, by which aliases differ.
    :param origin_s: a time at which a sample was taken.
    """

    shift_hz: torch.Tensor
    share: torch.Tensor
    alias_share: torch.Tensor | None = None
    turn_hz: float = 0.0
    origin_s: float = 0.0

    def of(self, user: torch.Tensor) -> DopplerCells:
        """Those of some users, ``[part]`` indices."""
        alias_share = None if self.alias_share is None else self.alias_share[user]
        return DopplerCells(self.shift_hz[user], self.share[user], alias_share, self.turn_hz, self.origin_s)

    def waves(self, time_s: torch.Tensor) -> torch.Tensor:
        """What each cell does over time, complex128, ``[user, time, cell]``.

        Aliases are one wave at the samples and fade against each other between them.

        :param time_s: ``[time]``, float64.
        """
        waves = polar(2 * math.pi * time_s[:, None] * self.shift_hz[:, None])
        if self.alias_share is None:
            return waves
        most = self.alias_share.shape[-1] // 2
        alias = torch.arange(-most, most + 1, device=time_s.device, dtype=torch.float64)
        turns = 2 * math.pi * self.turn_hz * (time_s - self.origin_s)[:, None] * alias
        return waves * (polar(turns) @ self.alias_share.mT.to(waves.dtype))


def num_doppler_cells(max_doppler_hz: torch.Tensor, history_s: torch.Tensor, target_s: torch.Tensor, least: int
                      ) -> tuple[torch.Tensor, torch.Tensor]:
    r"""Doppler cells that a history and what is predicted from it need.

    :math:`2\pi f_dT` of them lie :math:`1/2T` apart in the middle of Clarke's spectrum, T being the time from the first
    sample to the last one predicted; where sampling aliases, :math:`2T` over the period are all that there are.

    :param max_doppler_hz: ``[user]``, float64.
    :param history_s: ``[time]``; ``target_s`` ``[horizon]``, float64.
    :param least: their number where fewer would do.
    :returns: int64, ``[user]``; and whether sampling aliases, bool, ``[user]``.
    """
    window_s = float(torch.cat([history_s, target_s]).max() - history_s[0])
    wanted = _CELLS_PER_CYCLE * math.pi * max_doppler_hz * window_s
    aliased = torch.zeros_like(wanted, dtype=torch.bool)
    if _evenly(history_s):
        turn_hz = float(1 / (history_s[1] - history_s[0]))
        aliased = 2 * max_doppler_hz > turn_hz
        wanted = torch.where(aliased, wanted.new_tensor(_CELLS_PER_CYCLE * turn_hz * window_s), wanted)
    return at_least(wanted.ceil().long(), least, _MORE_DOPPLERS), aliased


def doppler_cells(max_doppler_hz: torch.Tensor, history_s: torch.Tensor, num_cells: int, aliased: bool) -> DopplerCells:
    """Cells that stand for Clarke's spectrum: evenly in angle, or around the circle that samples can tell apart.

    :param max_doppler_hz: ``[user]``, float64.
    :param history_s: ``[time]``, float64; its period matters where sampling aliases.
    """
    cell = torch.arange(num_cells, device=max_doppler_hz.device, dtype=torch.float64) + 0.5
    if not aliased:
        shift = torch.cos(math.pi * cell / num_cells)  # evenly in angle: alike powers are Clarke's spectrum
        share = torch.full_like(shift, 1 / num_cells).expand(len(max_doppler_hz), -1)
        return DopplerCells(max_doppler_hz[:, None] * shift, share)
    turn_hz = float(1 / (history_s[1] - history_s[0]))
    largest = (max_doppler_hz / turn_hz).clamp_max(_MOST_TURNS)
    most = math.ceil(float(largest.max()) + 0.5)
    alias = torch.arange(-most, most + 1, device=cell.device, dtype=torch.float64)
    edge = torch.arange(num_cells + 1, device=cell.device, dtype=torch.float64)[:, None] / num_cells - 0.5 + alias
    below = torch.asin((edge / largest[:, None, None]).clamp(-1, 1)) / math.pi  # of Clarke's spectrum, less a half
    share = below.diff(dim=1)  # [user, cell, alias]
    total = share.sum(-1, keepdim=True)
    shift_hz = turn_hz * (cell / num_cells - 0.5).expand(len(largest), -1)
    return DopplerCells(shift_hz, total[..., 0], share / total, turn_hz, float(history_s[0]))


def delay_cells(offset_hz: torch.Tensor) -> torch.Tensor:
    """All delays that evenly spaced subcarriers can tell apart; a single one tells none.

    :param offset_hz: ``[subcarrier]`` from the first on, float64.
    :returns: ``[cell]``, s, ascending.
    """
    if len(offset_hz) == 1:
        return torch.zeros_like(offset_hz)
    num_cells = _OVERSAMPLING * len(offset_hz)
    cell = torch.arange(num_cells, dtype=torch.float64, device=offset_hz.device)
    return (cell / num_cells - _NEGATIVE_SHARE) / float(offset_hz[1])


def delay_sizes(profile: torch.Tensor, energy: torch.Tensor, noise: torch.Tensor, size: GridSize
                ) -> tuple[torch.Tensor, torch.Tensor]:
    """How many delays and directions over frequency each user needs, so that noise hides what is left out.

    :param profile: power in every delay cell, ``[user, cell]``.
    :param energy: eigenvalues of the covariance over subcarriers that it makes, ascending, ``[user, direction]``.
    :param noise: relative to the user's power, ``[user]``.
    :returns: delays and directions, int64, ``[user]`` each.
    """
    weakest_first = profile.sort(-1).values

    def needed(power: torch.Tensor, left_out: float) -> torch.Tensor:
        share = power.cumsum(-1) / power.sum(-1, keepdim=True)
        return (share > left_out * noise[:, None]).sum(-1)

    sizes = (at_least(needed(weakest_first, _LEFT_OUT_OF_DELAYS), size.num_delays, _MORE_DELAYS),
             at_least(needed(energy, _LEFT_OUT_OF_DIRECTIONS), size.frequency_rank, _MORE_DIRECTIONS))
    return sizes[0].clamp_max(profile.shape[-1]), sizes[1].clamp_max(energy.shape[-1])


def at_least(wanted: torch.Tensor, least: int, step: int) -> torch.Tensor:
    """``least`` and as many steps as are missing to what is wanted, int64."""
    return least + step * ((wanted - least).clamp_min(0) + step - 1).div(step, rounding_mode="floor")


def _evenly(history_s: torch.Tensor) -> bool:
    period_s = history_s.diff()
    return len(period_s) > 0 and bool(torch.allclose(period_s, period_s[0], rtol=1e-3))
