"""CSI as real sequences, one for each antenna pair: how published learned predictors see it."""

from __future__ import annotations

from abc import abstractmethod

import torch

from linksim.blocks.prediction.trained import LearnedPredictor, ProblemShape
from linksim.csi import Csi


class SequencePredictor(LearnedPredictor):
    """One network for all antenna pairs, each predicted by itself; it also reaches the target band by itself.

    A subclass says which network; see `to_sequences` for what the network sees.
    """

    sequences_at_once: int = 1024
    """Sequences that pass through the network together: bounds the memory of large batches."""

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
        y = torch.cat([self.network(part) for part in x.split(self.sequences_at_once)])
        return from_sequences(y, scale, history, time_s, frequency_hz)


def to_sequences(history: Csi) -> tuple[torch.Tensor, torch.Tensor]:
    """Real and imaginary parts over time, normalised by each user's own history.

    CSI-ALM eq. (8) takes mean and deviation over the training batch, which lets one sample's result depend on its
    batch neighbours; here each user's history is divided by its own root mean square over antennas, times and
    subcarriers. The mean of a fading channel is no constant and is left alone.

    :param history: ``h`` is ``[batch, user, ue_ant, bs_ant, time, subcarrier]``.
    :returns: ``[batch * user * ue_ant * bs_ant, time, 2 * subcarrier]``, real parts first; and the scale that
        `from_sequences` takes, ``[batch, user, 1, 1, 1, 1]``, zero for an empty history.
    """
    scale = torch.view_as_real(history.h).square().sum(-1).mean((-4, -3, -2, -1), keepdim=True).sqrt()
    x = history.h / torch.where(scale > 0, scale, 1.0)
    return torch.cat([x.real, x.imag], -1).flatten(0, 3), scale


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
