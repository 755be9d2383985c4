"""What every channel predictor is: one verb, no state between calls."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch

from linksim.core.csi import Csi


class Predictor(torch.nn.Module, ABC):
    """Predicts CSI at later times (and, in FDD, on other subcarriers) from a noisy history.

    The output for one user never depends on its batch neighbours.
    """

    block_name: str = ""

    whole_periods: bool = False
    """Whether it steps from CSI period to CSI period and can say nothing of instants between them."""

    @abstractmethod
    def predict(self, history: Csi, time_s: torch.Tensor, frequency_hz: torch.Tensor) -> Csi:
        """Predict the channel.

        :param history: ``h`` is ``[batch, user, ue_ant, bs_ant, time, subcarrier]`` with its noise variance.
        :param time_s: ``[horizon]``, seconds on the history's clock, after its last sample.
        :param frequency_hz: ``[target subcarrier]``, absolute, Hz; the history's own in TDD.
        :returns: CSI with ``h`` ``[batch, user, ue_ant, bs_ant, horizon, target subcarrier]``.
        """
