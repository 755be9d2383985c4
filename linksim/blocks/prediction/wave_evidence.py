"""What a learned update of plane waves' powers looks at: evidence, levels and neighbours of every wave."""

from __future__ import annotations

import torch

from linksim.blocks.prediction.plane_waves import Evidence, PlaneWaves
from linksim.core.csi import Panel

BEAM_SHARING = 0.5
"""Beam sharing of `sparse_bayesian`, where every learned update starts from."""

_LARGEST_FACTOR = 5.0
"""An update multiplies no power by more than exp of this, nor divides it by more."""


class PowerUpdate(torch.nn.Module):
    """One learned step from powers, and the evidence under them, to new powers; at first that of `sparse_bayesian`.

    The same small network for every plane wave, which sees that wave and its neighbours.
    """

    num_features = 15

    def __init__(self, hidden_size: int, num_dopplers: int) -> None:
        super().__init__()
        self.num_dopplers = num_dopplers
        self.network = torch.nn.Sequential(
            torch.nn.Linear(self.num_features, hidden_size), torch.nn.GELU(),
            torch.nn.Linear(hidden_size, hidden_size), torch.nn.GELU(),
            torch.nn.Linear(hidden_size, 1))
        torch.nn.init.zeros_(self.network[-1].weight)
        torch.nn.init.zeros_(self.network[-1].bias)

    def forward(self, power: torch.Tensor, evidence: Evidence, waves: PlaneWaves, panel: Panel) -> torch.Tensor:
        """``[user, beam, doppler, delay]`` to the same shape."""
        features = self.features(power, evidence, waves, panel)
        return changed(power, features[..., 0] + self.network(features)[..., 0])

    def features(self, power: torch.Tensor, evidence: Evidence, waves: PlaneWaves, panel: Panel) -> torch.Tensor:
        """``[user, beam, doppler, delay, feature]``; the first is the logarithm of `sparse_bayesian`'s multiplier."""
        noise = waves.noise[:, None, None, None]
        crowd = power.shape[2] / self.num_dopplers  # a finer grid holds less in a cell
        found = [
            *of_each_wave(power, evidence, panel),
            log_ratio(*(part.sum(2, True) for part in (evidence.seen * power, evidence.expected * power))),
            level(crowd * (evidence.expected * power)) / 3,
            level(crowd * power / noise) / 5,
            level(power.sum(2, True) / noise) / 5,
            level(crowd * power.sum(1, True) / noise) / 5,
            level(power.sum((1, 2), True) / noise) / 5,
            noise.log() / 3 + 1,
            (largest_doppler_hz(waves)[:, None, None, None] / 100 + 0.1).log(),
        ]
        return torch.stack([feature.expand_as(power) for feature in found], -1)


def of_each_wave(power: torch.Tensor, evidence: Evidence, panel: Panel) -> list[torch.Tensor]:
    """Logarithms of what was seen over what was expected, of seven kinds, each broadcast to ``power``'s shape.

    The first is of a wave shared with its neighbouring beams, the logarithm of `sparse_bayesian`'s multiplier; then of
    the wave alone, its neighbours in columns and in rows of beams, all beams, its neighbours in Doppler and in delay.

    :param power: ``[user, beam, doppler, delay]``.
    """
    seen, expected = evidence.seen * power, evidence.expected * power
    seen_columns, seen_rows = neighbours(seen, panel)
    expected_columns, expected_rows = neighbours(expected, panel)
    return [
        log_ratio(seen + BEAM_SHARING * (seen_columns + seen_rows),
                  expected + BEAM_SHARING * (expected_columns + expected_rows)),
        log_ratio(seen, expected),
        log_ratio(seen_columns, expected_columns),
        log_ratio(seen_rows, expected_rows),
        log_ratio(seen.sum(1, True), expected.sum(1, True)),
        log_ratio(_beside(seen, 2), _beside(expected, 2)),
        log_ratio(_beside(seen, 3), _beside(expected, 3)),
    ]


def changed(power: torch.Tensor, change: torch.Tensor) -> torch.Tensor:
    """Powers times exp of a change, which is bounded."""
    return power * change.clamp(-_LARGEST_FACTOR, _LARGEST_FACTOR).exp()


def largest_doppler_hz(waves: PlaneWaves) -> torch.Tensor:
    """Of each user's cells, ``[user]``."""
    return waves.doppler.shift_hz.abs().amax(-1).to(waves.noise.dtype)


def neighbours(x: torch.Tensor, panel: Panel) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums over the two beams next to each one in the panel's columns, and in its rows (beams of a DFT form a ring).

    :param x: ``[user, beam, ...]``.
    """
    by_panel = x.unflatten(1, panel.shape[1:])
    columns, rows = (by_panel.roll(1, dim) + by_panel.roll(-1, dim) for dim in (1, 2))
    return columns.flatten(1, 2), rows.flatten(1, 2)


def log_ratio(seen: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """Logarithm of what was seen over what was expected, within -6 and 6."""
    return (seen.clamp_min(1e-12) / expected.clamp_min(1e-12)).log().clamp(-6, 6)


def level(x: torch.Tensor) -> torch.Tensor:
    """Logarithm of a power, of none that of a very small one."""
    return x.clamp_min(1e-9).log()


def _beside(x: torch.Tensor, dim: int) -> torch.Tensor:
    """Sum of the two neighbours along a dimension, none beyond its ends."""
    nothing = torch.zeros_like(x.narrow(dim, 0, 1))
    inner = x.shape[dim] - 1
    return torch.cat([nothing, x.narrow(dim, 0, inner)], dim) + torch.cat([x.narrow(dim, 1, inner), nothing], dim)
