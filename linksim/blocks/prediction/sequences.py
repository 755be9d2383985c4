"""CSI as real sequences, one for each antenna pair: how published learned predictors see it."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch

from linksim.blocks.prediction.learned import LearnedPredictor, ProblemShape, TrainingBatch
from linksim.core.csi import Csi


class SequencePredictor(LearnedPredictor):
    """One network for all antenna pairs, each predicted by itself; it also reaches the target band by itself.

    A subclass says which network; see `to_sequences` for what the network sees.
    """

    whole_periods = True
    sees_antenna_pairs = True

    sequences_at_once: int = 1024
    """Sequences that pass through the network together: bounds the memory of large batches."""

    sequences_in_cache: int = 128
    """As many at most where a CPU predicts: of more, what stands between two layers does not stay in its caches."""

    @abstractmethod
    def make_network(self, shape: ProblemShape) -> torch.nn.Module:
        """The untrained network.

        :returns: maps ``[sequence, num_history, 2 * num_subcarriers]`` to
            ``[sequence, num_future, 2 * num_subcarriers]``, real parts first.
        """

    def prepare(self, shape: ProblemShape) -> None:
        self.network = self.make_network(shape)
        self._trained_for = (shape.num_history, shape.num_subcarriers)

    def predict(self, history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor) -> Csi:
        """As every predictor, for the sizes that it was prepared for.

        :raises ValueError: another history, horizon or number of subcarriers.
        """
        if history.h.shape[4:] != self._trained_for:
            raise ValueError(f"{self.block_name} is made for {self._trained_for[0]} history samples of "
                             f"{self._trained_for[1]} subcarriers, but is given {history.h.shape[4]} of "
                             f"{history.h.shape[5]}")
        x, scale = to_sequences(history)
        return from_sequences(self._through(x), scale, history, time_s, frequency_hz)

    def training_loss(self, batch: TrainingBatch) -> torch.Tensor:
        """The NMSE."""
        taken = taken_sequences(batch)
        return taken.errors(self._through(taken.x)).mean()

    def validation_errors(self, batch: TrainingBatch) -> torch.Tensor:
        taken = taken_sequences(batch)
        return taken.errors(self._through(taken.x)).mean(-1)

    def _through(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.network(part) for part in self.parts(x)])

    def parts(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Sequences ``[sequence, …]`` in the parts that pass through the network together."""
        predicts_on_cpu = x.device.type == "cpu" and not torch.is_grad_enabled()
        return x.split(min(self.sequences_at_once, self.sequences_in_cache) if predicts_on_cpu
                       else self.sequences_at_once)


@dataclass(frozen=True)
class TakenSequences:
    """Sequences of a training batch, and what measures the error of predicting them.

    :param x: ``[batch * user * pair, num_history, 2 * subcarrier]``, normalised.
    :param future: ``[batch, user, pair, num_future, 2 * target subcarrier]``, real parts first, as it is.
    :param scale: ``[batch, user, 1, 1, 1]``, which takes predictions back to the size of ``future``.
    :param power: ``[batch, user]``, squared norm of the future of all pairs, times the share of pairs here.
    """

    x: torch.Tensor
    future: torch.Tensor
    scale: torch.Tensor
    power: torch.Tensor

    def errors(self, y: torch.Tensor) -> torch.Tensor:
        """NMSE of predicted sequences, ``[batch, user]``; its mean over draws of the pairs is that of all pairs."""
        error = y.float().view_as(self.future) * self.scale - self.future
        return error.square().sum((2, 3, 4)) / self.power.clamp_min(torch.finfo(self.power.dtype).tiny)

    def of(self, csi: Csi) -> torch.Tensor:
        """Other CSI of the same pairs, ``[batch * user * pair, time, 2 * subcarrier]``, as ``x``."""
        return _scaled(csi.h.flatten(2, 3), self.scale).flatten(0, 2)


def taken_sequences(batch: TrainingBatch) -> TakenSequences:
    """Sequences of the batch's antenna pairs; the scale is that of `to_sequences`, from all pairs of the user."""
    future = batch.future.h.flatten(2, 3)
    if batch.all_pairs is None:
        scale = history_scale(batch.history.h)[:, :, 0]
        power = torch.view_as_real(future).square().sum((2, 3, 4, 5))
    else:
        scale = batch.all_pairs.history.sqrt()[..., None, None, None]
        power = batch.all_pairs.future * math.prod(future.shape[2:])
    x = _scaled(batch.history.h.flatten(2, 3), scale).flatten(0, 2)
    return TakenSequences(x, torch.cat([future.real, future.imag], -1), scale, power)


def to_sequences(history: Csi) -> tuple[torch.Tensor, torch.Tensor]:
    """Real and imaginary parts over time, normalised by each user's own history.

    CSI-ALM eq. (8) takes mean and deviation over the training batch, which lets one sample's result depend on its
    batch neighbours; here each user's history is divided by its own root mean square over antennas, times and
    subcarriers. The mean of a fading channel is no constant and is left alone.

    :param history: ``h`` is ``[batch, user, ue_ant, bs_ant, time, subcarrier]``.
    :returns: ``[batch * user * ue_ant * bs_ant, time, 2 * subcarrier]``, real parts first; and the scale that
        `from_sequences` takes, ``[batch, user, 1, 1, 1, 1]``, zero for an empty history.
    """
    scale = history_scale(history.h)
    return _scaled(history.h, scale).flatten(0, 3), scale


def history_scale(h: torch.Tensor) -> torch.Tensor:
    """Root mean square of each user's history: ``[batch, user, …]`` to ``[batch, user, 1, 1, 1, 1]``."""
    norm = torch.linalg.vector_norm(torch.view_as_real(h.resolve_conj()), dim=(2, 3, 4, 5, 6))
    return (norm / math.prod(h.shape[2:]) ** 0.5)[..., None, None, None, None]


def _scaled(h: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Divided by the scale where there is one; real parts, then imaginary ones, along the subcarriers."""
    x = h / torch.where(scale > 0, scale, 1.0)
    return torch.cat([x.real, x.imag], -1)


def from_sequences(y: torch.Tensor, scale: torch.Tensor, history: Csi, time_s: torch.Tensor,
                   frequency_hz: torch.Tensor) -> Csi:
    """Inverse of `to_sequences` for predicted sequences.

    :param y: ``[sequence, horizon, 2 * target subcarrier]``.
    :returns: CSI with ``h`` ``[batch, user, ue_ant, bs_ant, horizon, target subcarrier]``.
    :raises ValueError: the predictor was made for another horizon or band.
    """
    if y.shape[1:] != (len(time_s), 2 * len(frequency_hz)):
        raise ValueError(f"made for {y.shape[1]} steps of {y.shape[2] // 2} subcarriers, but "
                         f"{len(time_s)} steps of {len(frequency_hz)} are asked for")
    real, imaginary = y.float().chunk(2, -1)
    h = torch.complex(real, imaginary).unflatten(0, history.h.shape[:4]) * scale
    return history.with_h(h, time_s, frequency_hz)
