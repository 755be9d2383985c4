"""What every precoder is: weights from the transmitter's CSI, at unit total power."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch


class Precoder(torch.nn.Module, ABC):
    """Linear multi-user precoder, the same function at every time and subcarrier."""

    block_name: str = ""

    @abstractmethod
    def precode(self, h_hat: torch.Tensor, noise_variance: float, num_streams: int) -> torch.Tensor:
        """Compute the weights.

        :param h_hat: ``[..., user, ue_ant, bs_ant]``, the channel as the transmitter knows it, finite.
        :param noise_variance: of the downlink, per complex entry, at unit transmit power.
        :param num_streams: per user.
        :returns: ``[..., bs_ant, user * num_streams]``, users outermost, squared Frobenius norm 1 (or 0 where
            the CSI is zero).
        """
