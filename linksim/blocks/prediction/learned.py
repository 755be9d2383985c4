"""What a predictor that learns adds: it is shaped for a problem, then fitted on training drops."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from linksim.blocks.prediction.base import Predictor
from linksim.core.csi import Csi
from linksim.core.places import Places


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
class AllPairs:
    """Powers of all antenna pairs of each user, where a batch holds only some of them.

    :param history: mean |h|^2 of the acquired history's entries, its noise included, ``[batch, user]``.
    :param future: that of the true future.
    """

    history: torch.Tensor
    future: torch.Tensor

    def each(self, function: Callable[[torch.Tensor], torch.Tensor]) -> AllPairs:
        """A function of both."""
        return AllPairs(function(self.history), function(self.future))


@dataclass(frozen=True)
class TrainingBatch:
    """One chunk of training drops, labels noiseless.

    :param history: the acquired uplink history.
    :param future: the true downlink future.
    :param uplink_future: the true uplink at the same times, for blocks that predict before changing band.
    :param places: where the terminals stand, of ray-traced drops that are drawn with them.
    :param prepared: what the block's ``prepared`` made of each drop's history; None if it was not asked.
    :param all_pairs: where the CSI are of some antenna pairs of each user, ``h`` then ``[batch, user, 1, pair, time,
        subcarrier]``; None where they are whole.
    """

    history: Csi
    future: Csi
    uplink_future: Csi
    places: Places | None = None
    prepared: list[Any] | None = None
    all_pairs: AllPairs | None = None


class FittedPredictor(Predictor):
    """A predictor with parameters. ``version`` changes whenever old checkpoints must not be used any more."""

    version: int = 1

    any_history: bool = False
    """Histories of other lengths, and other times to predict, than it was trained on are no other problem."""

    @abstractmethod
    def prepare(self, shape: ProblemShape) -> None:
        """Make parameters and buffers of the right size, untrained."""


class LearnedPredictor(FittedPredictor):
    """Fitted by gradient descent in the shared trainer, `linksim.training.trainer`; it never writes its own loop.

    `predict` must be differentiable in the parameters and treat every user on its own. A block that another one can
    teach has a method ``learn_from(teacher)``; the teacher is trained by then, in evaluation mode and on the training's
    device.
    """

    sees_antenna_pairs: bool = False
    """It sees each antenna pair by itself: a training batch has ``training.antenna_pairs`` of each user, drawn anew in
    every pass; one for validation the same ones always."""

    def prepared(self, batch: TrainingBatch) -> list[Any] | None:
        """What the block makes of each drop's history before any weight comes in, one entry a drop; None: nothing.

        The trainer asks for it once for each history, and keeps it as long as the history is the same: see
        ``training.fresh_noise``.
        """
        return None

    def prepared_options(self) -> dict[str, Any]:
        """What `prepared` depends on beside the batch, as JSON can hold it, where `packed` and `unpacked` take what it
        makes to files and back; by default there is none of it, and it stays in memory."""
        return {}

    def training_loss(self, batch: TrainingBatch) -> torch.Tensor:
        """What is minimised on a batch: by default the NMSE, mean over users of the per-user ratio."""
        predicted = self.predict(batch.history, batch.future.time_s, batch.future.frequency_hz)
        return normalized_error(predicted.h, batch.future.h)

    def validation_errors(self, batch: TrainingBatch) -> torch.Tensor:
        """What chooses the best epoch: by default the NMSE of each drop, linear, users averaged: ``[batch]``."""
        predicted = self.predict(batch.history, batch.future.time_s, batch.future.frequency_hz)
        return normalized_errors(predicted.h, batch.future.h).mean(-1)

    def saved_state(self) -> dict[str, torch.Tensor]:
        """What a checkpoint holds: trainable parameters and buffers, not a pretrained backbone."""
        frozen = {name for name, parameter in self.named_parameters() if not parameter.requires_grad}
        return {name: tensor for name, tensor in self.state_dict().items() if name not in frozen}


def normalized_error(h_hat: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Mean over batch and user of squared error over squared norm, linear and differentiable.

    :param h_hat: complex, ``[batch, user, ...]``; ``h`` likewise.
    """
    return normalized_errors(h_hat, h).mean()


def normalized_errors(h_hat: torch.Tensor, h: torch.Tensor) -> torch.Tensor:
    """Squared error over squared norm of each user, ``[batch, user]``, linear and differentiable.

    :param h_hat: complex, ``[batch, user, ...]``; ``h`` likewise.
    """
    error, power = (torch.view_as_real(t).square().flatten(2).sum(-1) for t in (h_hat - h, h))
    return error / power.clamp_min(torch.finfo(power.dtype).tiny)


class ClosedFormPredictor(FittedPredictor):
    """Fitted from sums over training drops, with hyper-parameters chosen on validation drops."""

    @abstractmethod
    def observe(self, batch: TrainingBatch, validation: bool) -> None:
        """Add a batch to the sums."""

    @abstractmethod
    def solve(self) -> float:
        """Fit, choose by validation, drop the sums.

        :returns: the validation NMSE, linear.
        """
