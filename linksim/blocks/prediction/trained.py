"""What a predictor that learns adds: it is shaped for a problem, then fitted on training drops."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from linksim.blocks.prediction.base import Predictor
from linksim.csi import Csi


@dataclass(frozen=True)
class ProblemShape:
    """Sizes and ranges that a trained block's parameters depend on.

    :param max_doppler_cycles: largest Doppler shift in training, cycles per CSI period.
    """

    num_history: int
    num_future: int
    num_subcarriers: int
    max_doppler_cycles: float


@dataclass(frozen=True)
class TrainingBatch:
    """One chunk of training drops, labels noiseless.

    :param history: the acquired uplink history.
    :param future: the true downlink future.
    :param uplink_future: the true uplink at the same times, for blocks that predict before changing band.
    """

    history: Csi
    future: Csi
    uplink_future: Csi


class TrainedPredictor(Predictor):
    """A predictor with parameters. ``version`` changes whenever old checkpoints must not be used any more."""

    version: int = 1

    @abstractmethod
    def prepare(self, shape: ProblemShape) -> None:
        """Make parameters and buffers of the right size, untrained."""


class ClosedFormPredictor(TrainedPredictor):
    """Fitted from sums over training drops, with hyper-parameters chosen on validation drops."""

    @abstractmethod
    def observe(self, batch: TrainingBatch, validation: bool) -> None:
        """Add a batch to the sums."""

    @abstractmethod
    def solve(self) -> float:
        """Fit, choose by validation, drop the sums.

        :returns: the validation NMSE, linear.
        """
