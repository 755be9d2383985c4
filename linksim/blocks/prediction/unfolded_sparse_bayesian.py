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
from linksim.blocks.prediction.plane_waves import DELAY_UNCERTAINTY_S, PlaneWaves, predict_by_waves
from linksim.blocks.prediction.rules import band_in_reach
from linksim.blocks.prediction.wave_evidence import PowerUpdate
from linksim.blocks.prediction.wave_grid import GridSize
from linksim.core.csi import Csi
from linksim.core.registry import register
from linksim.core.types import PositiveInt


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
