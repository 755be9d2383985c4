"""What the base station knows of the downlink from reports: estimated, encoded, sent, decoded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch

from linksim.blocks.feedback.base import FeedbackCodec, Report, history_of
from linksim.channel.drops import Drops
from linksim.core.csi import Csi, Observation
from linksim.core.seeding import generator, stream_seed
from linksim.metrics.accuracy import nmse_per_drop
from linksim.nr.acquisition import acquire
from linksim.scenario.resolved import ResolvedMethod, ResolvedScenario
from linksim.scenario.schema import Acquisition, Feedback
from linksim.training.preparation import Built


@dataclass(frozen=True)
class Reported:
    """The history as the base station has it.

    :param history: decoded CSI at the times of the reports that have arrived.
    :param num_bits: ``[batch, user]``, of one report, mean over them.
    :param num_concealed: reports that could not be decoded.
    :param directions_only: the reports tell no gains and phases: similarity and rates mean something, errors do not.
    """

    history: Csi
    num_bits: torch.Tensor
    num_concealed: int
    directions_only: bool


def downlink_at_terminal(downlink: Csi, acquisition: Acquisition, seed: int) -> tuple[Csi, Observation]:
    """The terminals' own estimate of the downlink at the history's times, and what it was made from; the noise is a
    stream of its own.
    """
    return acquire(downlink, acquisition, generator(stream_seed(seed, "downlink acquisition")))


def last_report_error(reported: Reported, downlink: Csi) -> torch.Tensor:
    """NMSE of the last report that has arrived, against the channel it tells of, ``[batch, user]``, linear.

    :param downlink: true, at the history's times.
    """
    last = len(reported.history.time_s) - 1
    at = int((downlink.time_s - reported.history.time_s[last]).abs().argmin())
    return nmse_per_drop(reported.history.h[..., last:, :], downlink.h[..., at:at + 1, :])


def report_history(estimate: Csi, codec: FeedbackCodec, feedback: Feedback, seed: int, last_only: bool = False,
                   error: float = 0.0) -> Reported:
    """Send one report for each instant of the terminals' estimate and decode what arrives.

    Where an implicit codec tells directions alone, the base station takes every channel for one of mean gain.

    :param estimate: of the downlink, ``[batch, user, ue_ant, bs_ant, time, subcarrier]``.
    :param feedback: delay and bit errors.
    :param seed: of the chunk, for the bit errors.
    :param last_only: the history's last report is enough (ignored with bit errors, where others stand in for it).
    :param error: of noiseless reports on average, relative to the channel's power: the base station adds it to the
        noise variance, as white noise, which it is not quite.
    """
    arrived = len(estimate.time_s) - feedback.delay_periods
    first = arrived - 1 if last_only and not feedback.bit_error_rate and not codec.remembers else 0
    sent = estimate.with_h(estimate.h[..., first:arrived, :], time_s=estimate.time_s[first:arrived])
    report = codec.encode_history(sent)
    num_bits = report.num_bits.double().unflatten(0, (-1, arrived - first)).mean(1)
    if feedback.bit_error_rate:
        report = with_bit_errors(report, feedback.bit_error_rate, generator(stream_seed(seed, "feedback bit errors")))
    decoded, concealed = codec.decode_history(report, arrived - first)
    history = history_of(decoded, sent.time_s)
    if error:
        power = history.h.abs().square().mean((2, 3, 4, 5))
        # of what is decoded, whose error is not correlated with it: the channel has the more power
        history = replace(history, noise_variance=history.noise_variance + error / max(1 - error, 0.01) * power)
    if codec.kind == "implicit":
        history = history.with_h(history.h * history.panel.num_antennas**0.5)
    if concealed.any():
        history = _repeated(history, concealed.unflatten(0, (-1, arrived - first)).mT)
    return Reported(history, num_bits.to(history.h.device), int(concealed.sum()),
                    codec.kind == "implicit")


def with_bit_errors(report: Report, bit_error_rate: float, errors: torch.Generator) -> Report:
    """The report as received: every bit wrong with this chance, independently."""
    payload = []
    for sent, num_bits in zip(report.payload, report.num_bits.flatten().tolist()):
        received = bytearray(sent)
        wrong = torch.rand(num_bits, generator=errors) < bit_error_rate
        for bit in wrong.nonzero().flatten().tolist():
            received[bit // 8] ^= 0x80 >> bit % 8
        payload.append(bytes(received))
    return replace(report, payload=tuple(payload), ledgers=())


def _repeated(history: Csi, concealed: torch.Tensor) -> Csi:
    """Concealed reports replaced by the ones before them.

    :param concealed: bool, ``[batch, user, time]``.
    """
    h = history.h.clone()
    for time in range(1, h.shape[-2]):
        again = concealed[:, :, time].to(h.device)[:, :, None, None, None]
        h[..., time, :] = torch.where(again, h[..., time - 1, :], h[..., time, :])
    return history.with_h(h)


class Reports:
    """Reported histories of one acquisition, each computed once."""

    def __init__(self, drops: Drops, acquisition: Acquisition, seed: int, built: Built) -> None:
        self._drops, self._acquisition, self._seed, self._built = drops, acquisition, seed, built
        self._known: dict[str, Reported] = {}

    @cached_property
    def downlink(self) -> Csi:
        """The true channel that reports tell of, at the history's times."""
        return self._drops.downlink_history()

    @cached_property
    def _at_terminal(self) -> tuple[Csi, Observation]:
        return downlink_at_terminal(self.downlink, self._acquisition, self._seed)

    @property
    def observation(self) -> Observation:
        """What the terminals' estimates of the downlink are made from."""
        return self._at_terminal[1]

    def of(self, scenario: ResolvedScenario, method: ResolvedMethod) -> Reported:
        """What the base station has of this method's reports."""
        block = method.reporting
        key = f"{block.key} {scenario.feedback!r} {method.holds}"
        if key not in self._known:
            codec = self._built.of(scenario, method, "feedback")
            error = self._built.report_errors.get(block.key, 0.0)
            with torch.inference_mode():
                self._known[key] = report_history(self._at_terminal[0], codec, scenario.feedback, self._seed,
                                                  method.holds, error)
        return self._known[key]
