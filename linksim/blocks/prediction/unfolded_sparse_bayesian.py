r"""Sparse Bayesian learning, unfolded into a few steps that are learned.

`sparse_bayesian` multiplies each plane wave's power by what was seen over what was expected, shared between beams in a
fixed proportion, until it converges. Here the multiplier is a small network's: of the same ratios, seen from the plane
wave itself and from its neighbours in columns and rows of beams, Doppler and delay, and of how strong and how well
determined it is. Every step has a network of its own, alike for all plane waves, with some 2000 weights; with all of
their last layers zero the block is `sparse_bayesian`, and it can be told from it by what was learned alone. The rest,
from beams to the conditional mean, is the physics of `plane_waves`.

Idea: K. Gregor and Y. LeCun, "Learning fast approximations of sparse coding", ICML 2010; V. Monga, Y. Li and Y. C.
Eldar, "Algorithm unrolling", IEEE Signal Processing Magazine 38(2), 2021. The architecture is ours.
"""

from __future__ import annotations

import math
from typing import Literal

import torch

from linksim.blocks.prediction.learned import LearnedPredictor, ProblemShape, TrainingBatch, normalized_errors
from linksim.blocks.prediction.plane_waves import (
    DELAY_UNCERTAINTY_S,
    Evidence,
    PlaneWaves,
    predict_by_waves,
)
from linksim.blocks.prediction.rules import band_in_reach
from linksim.blocks.prediction.sparse_bayesian import neighbours
from linksim.blocks.prediction.wave_grid import GridSize
from linksim.core.csi import Csi, Panel
from linksim.core.registry import register
from linksim.core.types import PositiveInt

_BEAM_SHARING = 0.5
"""Beam sharing of `sparse_bayesian`, where every step starts from."""

_LARGEST_FACTOR = 5.0
"""A step multiplies no power by more than exp of this, nor divides it by more."""


class PowerUpdate(torch.nn.Module):
    """One step: from powers and the evidence under them to new powers."""

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
        change = features[..., 0] + self.network(features)[..., 0]
        return power * change.clamp(-_LARGEST_FACTOR, _LARGEST_FACTOR).exp()

    def features(self, power: torch.Tensor, evidence: Evidence, waves: PlaneWaves, panel: Panel) -> torch.Tensor:
        """``[user, beam, doppler, delay, feature]``; the first is the logarithm of `sparse_bayesian`'s multiplier."""
        seen, expected = evidence.seen * power, evidence.expected * power
        seen_columns, seen_rows = neighbours(seen, panel)
        expected_columns, expected_rows = neighbours(expected, panel)
        noise = waves.noise[:, None, None, None]
        crowd = power.shape[2] / self.num_dopplers  # a finer grid holds less in a cell
        largest_doppler = waves.doppler.shift_hz.abs().amax(-1).to(power.dtype)[:, None, None, None]
        found = [
            _log_ratio(seen + _BEAM_SHARING * (seen_columns + seen_rows),
                       expected + _BEAM_SHARING * (expected_columns + expected_rows)),
            _log_ratio(seen, expected),
            _log_ratio(seen_columns, expected_columns),
            _log_ratio(seen_rows, expected_rows),
            _log_ratio(seen.sum(1, True), expected.sum(1, True)),
            _log_ratio(_beside(seen, 2), _beside(expected, 2)),
            _log_ratio(_beside(seen, 3), _beside(expected, 3)),
            _log_ratio(seen.sum(2, True), expected.sum(2, True)),
            _level(crowd * expected) / 3,
            _level(crowd * power / noise) / 5,
            _level(power.sum(2, True) / noise) / 5,
            _level(crowd * power.sum(1, True) / noise) / 5,
            _level(power.sum((1, 2), True) / noise) / 5,
            noise.log() / 3 + 1,
            (largest_doppler / 100 + 0.1).log(),
        ]
        return torch.stack([feature.expand_as(power) for feature in found], -1)


@register("predictor", "unfolded_sparse_bayesian", trains=True, min_history=2, requires=band_in_reach)
class UnfoldedSparseBayesianPredictor(LearnedPredictor):
    """Sparse Bayesian learning of angle, delay and Doppler in a few learned steps: this project's own predictor.

    :param num_steps: learned updates of the powers.
    :param hidden_size: of each step's network.
    :param doppler: maximum Doppler shift "known" (the terminal's speed) or "estimated" from the history.
    """

    any_history = True

    def __init__(self, num_steps: PositiveInt = 4, hidden_size: PositiveInt = 32,
                 doppler: Literal["known", "estimated"] = "known", size: GridSize = GridSize()) -> None:
        super().__init__()
        self.num_steps = num_steps
        self.hidden_size = hidden_size
        self.doppler = doppler
        self.size = size

    def prepare(self, shape: ProblemShape) -> None:
        # nothing depends on the sizes of the problem: a network sees one plane wave and its neighbours
        self.steps = torch.nn.ModuleList(
            PowerUpdate(self.hidden_size, self.size.num_dopplers) for _ in range(self.num_steps))
        self.log_noise_factor = torch.nn.Parameter(torch.zeros(self.num_steps + 1))
        self.log_delay_uncertainty_s = torch.nn.Parameter(torch.tensor(math.log(DELAY_UNCERTAINTY_S)))

    def predict(self, history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor) -> Csi:
        def estimate(waves: PlaneWaves) -> tuple[torch.Tensor, torch.Tensor]:
            power = waves.first_power
            for step, factor in zip(self.steps, self.log_noise_factor.exp(), strict=False):
                power = step(power, waves.evidence(power, factor * waves.noise), waves, history.panel)
            return power, self.log_noise_factor[-1].exp() * waves.noise

        return predict_by_waves(history, time_s, frequency_hz, self.size, self.doppler, estimate,
                                self.log_delay_uncertainty_s.exp())

    def training_loss(self, batch: TrainingBatch) -> torch.Tensor:
        """The logarithm of each user's NMSE: what is hard to predict does not outweigh what is easy."""
        predicted = self.predict(batch.history, batch.future.time_s, batch.future.frequency_hz)
        return normalized_errors(predicted.h, batch.future.h).clamp_min(1e-9).log().mean()


def _log_ratio(seen: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    return (seen.clamp_min(1e-12) / expected.clamp_min(1e-12)).log().clamp(-6, 6)


def _level(x: torch.Tensor) -> torch.Tensor:
    return x.clamp_min(1e-9).log()


def _beside(x: torch.Tensor, dim: int) -> torch.Tensor:
    """Sum of the two neighbours along a dimension, none beyond its ends."""
    nothing = torch.zeros_like(x.narrow(dim, 0, 1))
    inner = x.shape[dim] - 1
    return torch.cat([nothing, x.narrow(dim, 0, inner)], dim) + torch.cat([x.narrow(dim, 1, inner), nothing], dim)
