"""Slots on the channel's grid, and what overhead costs. No torch here: the rules of a scenario ask, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from linksim.scenario.channel import Channel
from linksim.scenario.coding import NUM_SYMBOLS, Coding

if TYPE_CHECKING:
    import torch

    from linksim.scenario.resolved import ResolvedScenario
    from linksim.scenario.schema import Scenario

_RESOURCE_BLOCK = 12


@dataclass(frozen=True)
class SlotFormat:
    """A slot of the scenario.

    :param num_tones: of the channel; ``subcarriers``, of the data in a tone.
    :param data_symbols: of `NUM_SYMBOLS`.
    """

    num_tones: int
    subcarriers: int
    data_symbols: int
    num_streams: int

    @classmethod
    def of(cls, scenario: Scenario | ResolvedScenario) -> SlotFormat:
        channel, coding = scenario.channel, scenario.link.coding
        return cls(channel.num_subcarriers, round(channel.subcarrier_spacing_khz / coding.scs_khz), coding.data_symbols,
                   scenario.link.num_streams_per_user)

    @property
    def num_resources(self) -> int:
        """Resource elements of a slot that carry data, on each stream."""
        return self.num_tones * self.subcarriers * self.data_symbols

    @property
    def num_symbols(self) -> int:
        """Symbols of a block: of all streams together."""
        return self.num_resources * self.num_streams


def csi_rs_share(channel: Channel, coding: Coding) -> float:
    """Share of the downlink's resource elements that CSI-RS of all antenna ports take, one a resource block and port in
    every CSI period.

    Source: density 1, TS 38.211, Table 7.4.1.5.3-1.
    """
    slots = channel.csi_period_ms * 1e-3 / coding.slot_s
    return channel.bs_array.num_antennas / (_RESOURCE_BLOCK * NUM_SYMBOLS) / slots


def report_rate(num_bits: torch.Tensor, channel: Channel) -> torch.Tensor:
    """What reports of so many bits take in the uplink, over the downlink's bandwidth: bit/s/Hz."""
    return num_bits / (channel.csi_period_ms * 1e-3 * _bandwidth_hz(channel))


def delivered_rate(num_bits: torch.Tensor, slot: SlotFormat, coding: Coding, channel: Channel
                   ) -> tuple[torch.Tensor, torch.Tensor]:
    """Bits delivered in a slot as bit/s/Hz: over time and bandwidth of the slot, pilots and cyclic prefixes included,
    and over its data's resource elements alone.
    """
    return num_bits / (coding.slot_s * _bandwidth_hz(channel)), num_bits / slot.num_resources


def _bandwidth_hz(channel: Channel) -> float:
    return channel.num_subcarriers * channel.subcarrier_spacing_khz * 1e3
