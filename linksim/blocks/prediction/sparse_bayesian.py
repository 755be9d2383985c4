"""Sparse Bayesian learning of a channel's angle-delay-Doppler spectrum, then the conditional mean."""

from __future__ import annotations

from typing import Literal

import torch

from linksim.blocks.prediction.base import Predictor
from linksim.blocks.prediction.plane_waves import PlaneWaves, predict_by_waves
from linksim.blocks.prediction.rules import band_in_reach
from linksim.blocks.prediction.wave_evidence import neighbours
from linksim.blocks.prediction.wave_grid import GridSize
from linksim.core.csi import Csi, Panel
from linksim.core.registry import register
from linksim.core.types import Iterations, NonNegativeFloat


@register("predictor", "sparse_bayesian", min_history=2, requires=band_in_reach)
class SparseBayesianPredictor(Predictor):
    r"""Sparse Bayesian learning of every beam's delay-Doppler spectrum: the strongest classical method here.

    Starts from each beam's sparse delay profile and Clarke's Doppler spectrum, as the Wiener filter assumes it, and
    improves the powers by MacKay's fixed point

    .. math:: \gamma \leftarrow \gamma\,\frac{\overline{|\mathbf a^H\mathbf R^{-1}\mathbf y|^2}}
        {\mathbf a^H\mathbf R^{-1}\mathbf a}

    with numerator and denominator averaged over polarisations (snapshots of one spectrum) and, weighted by the powers,
    over neighbouring beams, which see the same scatterers. Everything is estimated from the one history; nothing is
    trained.

    Sources: M. E. Tipping, "Sparse Bayesian learning and the relevance vector machine", JMLR 1, 2001, eq. (16); D. P.
    Wipf and B. D. Rao, "An empirical Bayesian strategy for solving the simultaneous sparse approximation problem", IEEE
    TSP 55(7), 2007 (several snapshots). The sharing between beams is ours.

    :param num_iterations: of the fixed point; 0 leaves the delay profiles with Clarke's spectrum.
    :param doppler: maximum Doppler shift "known" (the terminal's speed) or "estimated" from the history.
    :param beam_sharing: weight of each of the four neighbouring beams relative to a beam's own.
    """

    def __init__(self, num_iterations: Iterations = 6, doppler: Literal["known", "estimated"] = "known",
                 beam_sharing: NonNegativeFloat = 0.5, size: GridSize = GridSize()) -> None:
        super().__init__()
        self.num_iterations = num_iterations
        self.doppler = doppler
        self.beam_sharing = beam_sharing
        self.size = size

    def predict(self, history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor) -> Csi:
        def estimate(waves: PlaneWaves) -> tuple[torch.Tensor, torch.Tensor]:
            power = waves.first_power
            for _ in range(self.num_iterations):
                evidence = waves.evidence(power, waves.noise)
                seen, expected = (self._shared(part * power, history.panel)
                                  for part in (evidence.seen, evidence.expected))
                power = power * (seen / expected.clamp_min(torch.finfo(expected.dtype).tiny))
            return power, waves.noise

        return predict_by_waves(history, time_s, frequency_hz, self.size, self.doppler, estimate)

    def _shared(self, x: torch.Tensor, panel: Panel) -> torch.Tensor:
        columns, rows = neighbours(x, panel)
        return x + self.beam_sharing * (columns + rows)
