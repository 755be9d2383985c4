"""What terminal and base station both remember of a user's plane waves: where they are, and what they do next."""

from __future__ import annotations

from dataclasses import dataclass

import torch

_FORGETTING = 0.75
"""Share of the evidence of earlier reports that is kept from one report to the next."""

_PRIOR = 0.5
"""Reports that the evidence of a user's other waves counts for."""

_UNKNOWN = (1.0, 1.5, 2.0)
"""Squared error over power of the three ways to predict a gain, as long as no wave has told: zero, the last gain, and
the last gain turned on."""


@dataclass(eq=False)
class WaveMemory:
    """Waves of one user after a report; the same on both sides, since decoded values alone go in.

    :param cells: int64, ``[wave, 3]``.
    :param gain: decoded last, complex128, ``[wave, gain]``.
    :param turn: how far gains turned from report to report, complex128, ``[wave]``, recent ones weigh most.
    :param squared: sums of squared errors of the ways to predict a gain, ``[wave, 3]``, float64.
    :param weight: of these sums, ``[wave, 3]``.
    :param scale: code of the last step; ``num_new``, waves that the last report added; ``reports``, so far.
    """

    cells: torch.Tensor
    gain: torch.Tensor
    turn: torch.Tensor
    squared: torch.Tensor
    weight: torch.Tensor
    scale: int = 0
    num_new: int = 0
    reports: int = 0

    @classmethod
    def empty(cls, num_gains: int) -> WaveMemory:
        """Before the first report."""
        real = torch.zeros(0, 3, dtype=torch.float64)
        return cls(torch.zeros(0, 3, dtype=torch.long), torch.zeros(0, num_gains, dtype=torch.complex128),
                   torch.zeros(0, dtype=torch.complex128), real, real.clone())

    def prediction(self) -> tuple[torch.Tensor, torch.Tensor]:
        """What the gains of the next report are taken for, complex128, ``[wave, gain]``, and the root mean square of
        what these are wrong by in a real or imaginary part, ``[wave]``.

        Each wave is predicted in the way that was wrong by least in the reports before.
        """
        power = self.squared[:, 0] / self.weight[:, 0].clamp_min(1e-300)
        told = (self.weight > 0) * power[:, None] * self.weight
        share = (self.squared.sum(0) + 1e-300) / (told.sum(0) + 1e-300)
        share = torch.where(told.sum(0) > 0, share, torch.tensor(_UNKNOWN, dtype=torch.float64))
        error = (self.squared + _PRIOR * share * power[:, None]) / (self.weight + _PRIOR)
        error[:, 2] = torch.where(self.turn.abs() > 0, error[:, 2], torch.inf)
        best = error.argmin(-1)
        turned = self.gain * torch.where(self.turn.abs() > 0, self.turn / self.turn.abs().clamp_min(1e-300), 0)[:, None]
        ways = torch.stack([torch.zeros_like(self.gain), self.gain, turned], -1)
        gain = ways.gather(-1, best[:, None, None].expand(*self.gain.shape, 1))[..., 0]
        return gain, (error.amin(-1) / (2 * max(1, self.gain.shape[1]))).sqrt()

    def after(self, gain: torch.Tensor, new_cells: torch.Tensor, new_gain: torch.Tensor, scale: int, step: float,
              most: int) -> WaveMemory:
        """The memory after a report.

        :param gain: decoded, of the waves in memory, ``[wave, gain]``.
        :param new_cells: ``[new, 3]``; ``new_gain``, ``[new, gain]``, complex128.
        :param scale: code of the report's step; ``step``, what it means.
        :param most: waves that are kept, the strongest.
        """
        floor = gain.shape[1] * step**2 / 6  # what rounding leaves
        unit = torch.where(self.turn.abs() > 0, self.turn / self.turn.abs().clamp_min(1e-300), 0)[:, None]
        errors = torch.stack([gain.abs().square().sum(-1), (gain - self.gain).abs().square().sum(-1),
                              (gain - self.gain * unit).abs().square().sum(-1)], -1) + floor
        seen = torch.stack([torch.ones(len(gain), dtype=torch.float64), torch.ones(len(gain), dtype=torch.float64),
                            (self.turn.abs() > 0).double()], -1)
        turn = _FORGETTING * self.turn + (gain * self.gain.conj()).sum(-1)
        squared = torch.cat([_FORGETTING * self.squared + errors * seen, torch.stack([
            new_gain.abs().square().sum(-1) + floor, *torch.zeros(2, len(new_gain), dtype=torch.float64)], -1)])
        weight = torch.cat([_FORGETTING * self.weight + seen, torch.tensor([[1.0, 0, 0]], dtype=torch.float64)
                            .expand(len(new_gain), 3)])
        other = WaveMemory(torch.cat([self.cells, new_cells]), torch.cat([gain, new_gain]),
                           torch.cat([turn, torch.zeros(len(new_gain), dtype=torch.complex128)]), squared, weight,
                           scale, len(new_cells), self.reports + 1)
        return other._kept(most)

    def _kept(self, most: int) -> WaveMemory:
        power = self.squared[:, 0] / self.weight[:, 0]
        kept = power.argsort(descending=True, stable=True)[:most].sort().values
        return WaveMemory(self.cells[kept], self.gain[kept], self.turn[kept], self.squared[kept], self.weight[kept],
                          self.scale, self.num_new, self.reports)
