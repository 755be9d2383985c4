"""Slots and transport blocks on the channel's grid: sizes, and what overhead costs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from sionna.phy.nr.utils import MCSDecoderNR, TransportBlockNR

from linksim.scenario.channel import Channel
from linksim.scenario.coding import NUM_SYMBOLS, Coding
from linksim.scenario.schema import Scenario

NUM_MCS = 29
"""Most indices of a table."""

LEAST_RATE = 0.2
"""Of the LDPC codes that Sionna has; lower ones repeat bits in NR."""

LEAST_RATE_OF_LARGE, LARGEST_OF_LOW_RATES = 1 / 3, 3840
"""Base graph 1 ends at this rate in Sionna, base graph 2 at this size."""

_CATEGORY = 1
"""PDSCH's tables in Sionna."""

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
    def of(cls, scenario: Scenario) -> SlotFormat:
        channel, coding = scenario.channel, scenario.link.coding
        return cls(channel.num_subcarriers, round(channel.subcarrier_spacing_khz / coding.scs_khz), coding.data_symbols,
                   scenario.link.num_streams_per_user)

    @property
    def num_resources(self) -> int:
        """Resource elements of a slot that carry data, on each stream."""
        return self.num_tones * self.subcarriers * self.data_symbols


@dataclass(frozen=True)
class Blocks:
    """Transport blocks by MCS, each ``[MCS]``; those that cannot be have an order of 0.

    :param order: bits of a symbol; ``rate``, target code rate.
    :param num_bits: of the block, ``code_block``, of a code block with its CRCs; ``num_code_blocks``.
    :param true_rate: of the code blocks, CRCs included: sizes of blocks are rounded.
    """

    order: torch.Tensor
    rate: torch.Tensor
    num_bits: torch.Tensor
    code_block: torch.Tensor
    num_code_blocks: torch.Tensor
    true_rate: torch.Tensor

    @property
    def usable(self) -> torch.Tensor:
        return self.order > 0


def blocks_of(slot: SlotFormat, mcs_table: int) -> Blocks:
    """Block sizes of every MCS of a table in a slot.

    Source: TS 38.214, 5.1.3.2, from the coded bits of a slot; rates below 1/5 are left out, since Sionna's code has
    none.
    """
    order, rate = mcs_entries(mcs_table)
    usable = (order > 0) & (rate >= LEAST_RATE)
    known = torch.where(usable, order, 2), torch.where(usable, rate, 0.5)
    coded = known[0] * slot.num_resources * slot.num_streams
    num_bits, code_block, count = TransportBlockNR().transport_block_size(known[0], known[1], coded)
    true_rate = (code_block * count).double() / coded
    usable &= (true_rate > LEAST_RATE_OF_LARGE) | (code_block <= LARGEST_OF_LOW_RATES)
    return Blocks(torch.where(usable, order, 0), rate, num_bits.long(), code_block.long(), count.long(), true_rate)


def mcs_entries(mcs_table: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Modulation order (int32) and code rate of every MCS, 0 where a table has none."""
    decode = MCSDecoderNR()
    order, rate = torch.zeros(NUM_MCS, dtype=torch.int32), torch.zeros(NUM_MCS)
    for mcs in range(NUM_MCS):
        try:
            one = decode(torch.tensor(mcs), torch.tensor(mcs_table), torch.tensor(_CATEGORY))
        except ValueError:
            break
        order[mcs], rate[mcs] = int(one[0]), float(one[1])
    return order, rate


def csi_rs_share(channel: Channel, coding: Coding) -> float:
    """Share of the downlink's resource elements that CSI-RS of all antenna ports take, one a resource block and port in
    every CSI period.

    Source: density 1, TS 38.211, Table 7.4.1.5.3-1.
    """
    slots = channel.csi_period_ms * 1e-3 / coding.slot_s
    return channel.bs_array.num_antennas / (_RESOURCE_BLOCK * NUM_SYMBOLS) / slots


def report_rate(num_bits: torch.Tensor, channel: Channel) -> torch.Tensor:
    """What reports of so many bits take in the uplink, over the downlink's bandwidth: bit/s/Hz."""
    bandwidth_hz = channel.num_subcarriers * channel.subcarrier_spacing_khz * 1e3
    return num_bits / (channel.csi_period_ms * 1e-3 * bandwidth_hz)


def delivered_rate(num_bits: torch.Tensor, slot: SlotFormat, coding: Coding, channel: Channel
                   ) -> tuple[torch.Tensor, torch.Tensor]:
    """Bits delivered in a slot as bit/s/Hz: over time and bandwidth of the slot, pilots and cyclic prefixes included,
    and over its data's resource elements alone.
    """
    bandwidth_hz = channel.num_subcarriers * channel.subcarrier_spacing_khz * 1e3
    return num_bits / (coding.slot_s * bandwidth_hz), num_bits / slot.num_resources
