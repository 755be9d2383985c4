"""Transport blocks of every MCS of a table in a slot: their sizes and their code blocks'."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from sionna.phy.nr.utils import TransportBlockNR

from linksim.nr.slots import SlotFormat
from linksim.nr.tables import LEAST_RATE, MCS_TABLES, NUM_MCS

_LEAST_RATE_OF_LARGE, _LARGEST_OF_LOW_RATES = 1 / 3, 3840
"""Base graph 1 ends at this rate in Sionna, base graph 2 at this size."""


@dataclass(frozen=True)
class BlockSizes:
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


def block_sizes(slot: SlotFormat, mcs_table: int) -> BlockSizes:
    """Block sizes of every MCS of a table in a slot.

    Source: TS 38.214, 5.1.3.2, from the coded bits of a slot; rates below 1/5 are left out, since Sionna's code has
    none.
    """
    order, rate = torch.zeros(NUM_MCS, dtype=torch.int32), torch.zeros(NUM_MCS)
    for mcs, entry in enumerate(MCS_TABLES[mcs_table]):
        order[mcs], rate[mcs] = entry
    usable = (order > 0) & (rate >= LEAST_RATE)
    known = torch.where(usable, order, 2), torch.where(usable, rate, 0.5)
    coded = known[0] * slot.num_symbols
    num_bits, code_block, count = TransportBlockNR().transport_block_size(known[0], known[1], coded)
    true_rate = (code_block * count).double() / coded
    usable &= (true_rate > _LEAST_RATE_OF_LARGE) | (code_block <= _LARGEST_OF_LOW_RATES)
    return BlockSizes(torch.where(usable, order, 0), rate, num_bits.long(), code_block.long(), count.long(), true_rate)
