"""Precoders that learn: trained to the highest sum rate on channels that are known as the base station knows them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch

from linksim.blocks.precoding.base import Precoder
from linksim.blocks.prediction.learned import TrainingBatch
from linksim.core.csi import by_resource
from linksim.core.registry import register
from linksim.core.types import PositiveInt
from linksim.mimo.noise import noise_variance_at
from linksim.mimo.precoding import effective_channel, equal_power, regularized_inverse
from linksim.mimo.receiver import achievable_rate, stream_sinr


@dataclass(frozen=True)
class PrecoderShape:
    """What a precoder is trained for.

    :param num_streams: per user.
    :param snr_db: least and largest link SNR of the scenario.
    """

    num_users: int
    num_streams: int
    snr_db: tuple[float, float]


class LearnedPrecoder(Precoder):
    """Trained in the shared trainer, `linksim.training.trainer`; it never writes its own loop.

    A training drop has one user; users of several drops, which are independent draws as those of one are, share a base
    station. The estimate is acquired as the scenario's histories are, at one instant; the rate is that on the truth.
    """

    version: int = 1

    def prepare(self, shape: PrecoderShape) -> None:
        """Keep what it is trained for; make parameters of the right size in `make`."""
        self.shape = shape
        self.make(shape)

    @abstractmethod
    def make(self, shape: PrecoderShape) -> None:
        """Make parameters, untrained."""

    def sum_rate(self, batch: TrainingBatch, snr_db: float) -> torch.Tensor:
        """Sum rate of every drop and the next ones as its users, bit/s/Hz, mean over subcarriers: ``[batch]``."""
        h_hat, h = (by_resource(torch.cat([csi.h.roll(-user, 0) for user in range(self.shape.num_users)], 1))
                    for csi in (batch.history, batch.future))
        noise_variance = noise_variance_at(snr_db)
        weights = self.precode(h_hat, noise_variance, self.shape.num_streams)
        return achievable_rate(stream_sinr(h, weights, noise_variance)).sum(-1).mean((1, 2))

    def training_loss(self, batch: TrainingBatch) -> torch.Tensor:
        """The mean sum rate, negative, at an SNR drawn for the batch."""
        low, high = self.shape.snr_db
        return -self.sum_rate(batch, low + (high - low) * float(torch.rand(()))).mean()

    def validation_errors(self, batch: TrainingBatch) -> torch.Tensor:
        """Two to the power of minus the rate per user, at both ends of the SNRs: -3 dB for each bit."""
        rates = [self.sum_rate(batch, snr_db) for snr_db in self.shape.snr_db]
        return torch.exp2(-sum(rates) / len(rates) / self.shape.num_users)

    def saved_state(self) -> dict[str, torch.Tensor]:
        """What a checkpoint holds."""
        return self.state_dict()


@register("precoder", "learned_rzf", trains=True)
class LearnedRzf(LearnedPrecoder):
    """Regularised zero forcing whose loading and powers a small network chooses, for CSI that is not exact.

    The network sees, stream by stream, the channel's gain, the mean gain of all streams and the noise variance. Before
    its training it is rzf.

    :param hidden_size: of the network.
    """

    def __init__(self, hidden_size: PositiveInt = 16) -> None:
        super().__init__()
        self.hidden_size = hidden_size

    def make(self, shape: PrecoderShape) -> None:
        self.network = torch.nn.Sequential(
            torch.nn.Linear(3, self.hidden_size), torch.nn.Tanh(), torch.nn.Linear(self.hidden_size, 2))
        torch.nn.init.zeros_(self.network[-1].weight)
        torch.nn.init.zeros_(self.network[-1].bias)

    def precode(self, h_hat: torch.Tensor, noise_variance: float, num_streams: int) -> torch.Tensor:
        channel = effective_channel(h_hat, num_streams)  # [..., stream, bs_ant]
        gain = channel.abs().square().sum(-1)
        tiny = torch.finfo(gain.dtype).tiny
        mean = gain.mean(-1, keepdim=True).expand_as(gain)
        seen = torch.stack([gain, mean, torch.full_like(gain, noise_variance)], -1).clamp_min(tiny).log()
        chosen = self.network(seen / 10)
        loading = channel.shape[-2] * noise_variance * chosen[..., 0].double().mean(-1).exp()
        directions = equal_power(regularized_inverse(channel, loading[..., None, None]))
        share = chosen[..., 1].softmax(-1) * channel.shape[-2]
        return directions * share.sqrt().unsqueeze(-2)
