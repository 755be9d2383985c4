"""Slots on the channel's grid, what overhead costs, and NR's tables; without torch, as rules of a scenario ask, too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from linksim.scenario.channel import Channel
from linksim.scenario.coding import NUM_SYMBOLS, Coding

if TYPE_CHECKING:
    import torch

    from linksim.scenario.resolved import ResolvedScenario
    from linksim.scenario.schema import Scenario


ORDERS = (1, 2, 4, 6, 8)
"""Bits of a symbol: BPSK, QPSK, 16-, 64- and 256-QAM (TS 38.211, 5.1; BPSK is on the real axis here)."""

NUM_MCS = 29
"""Most indices of a table."""

MCS_TABLES: dict[int, tuple[tuple[int, float], ...]] = {
    table: tuple((order, rate / 1024) for order, rates in parts for rate in rates)
    for table, parts in {
        1: ((2, (120, 157, 193, 251, 308, 379, 449, 526, 602, 679)), (4, (340, 378, 434, 490, 553, 616, 658)),
            (6, (438, 466, 517, 567, 616, 666, 719, 772, 822, 873, 910, 948))),
        2: ((2, (120, 193, 308, 449, 602)), (4, (378, 434, 490, 553, 616, 658)),
            (6, (466, 517, 567, 616, 666, 719, 772, 822, 873)),
            (8, (682.5, 711, 754, 797, 841, 885, 916.5, 948))),
        3: ((2, (30, 40, 50, 64, 78, 99, 120, 157, 193, 251, 308, 379, 449, 526, 602)),
            (4, (340, 378, 434, 490, 553, 616)), (6, (438, 466, 517, 567, 616, 666, 719, 772))),
        4: ((2, (120, 193, 449)), (4, (378, 490, 616)), (6, (466, 517, 567, 616, 666, 719, 772, 822, 873)),
            (8, (682.5, 711, 754, 797, 841, 885, 916.5, 948)), (10, (805.5, 853, 900.5, 948))),
    }.items()
}
"""Bits of a symbol and code rate of every MCS of PDSCH (TS 38.214, Tables 5.1.3.1-1 to -4)."""

EESM_TABLES = (1, 2)
"""MCS tables that Sionna has EESM parameters for."""

LEAST_RATE = 0.2
"""Least rate of the LDPC codes that Sionna has; lower ones repeat bits in NR."""

LEAST_BLOCK = 24
"""Bits of the smallest transport block (TS 38.214, Table 5.1.3.2-1)."""


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
