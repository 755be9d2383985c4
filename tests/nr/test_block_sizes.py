"""Sizes of transport blocks are the standard's, and what the rules of a scenario say of them holds."""

from __future__ import annotations

import pytest
import torch
from sionna.phy.nr.utils import MCSDecoderNR, TransportBlockNR, calculate_tb_size

from linksim.nr.block_sizes import block_sizes
from linksim.nr.slots import SlotFormat
from linksim.nr.tables import LEAST_BLOCK, LEAST_RATE, MCS_TABLES

SLOT = SlotFormat(num_tones=48, subcarriers=6, data_symbols=12, num_streams=1)


def test_blocks_are_those_of_the_standard():
    blocks = block_sizes(SLOT, 1)
    for mcs in (4, 10, 16, 22, 28):
        order, rate = int(blocks.order[mcs]), float(blocks.rate[mcs])
        size, *_ = calculate_tb_size(order, rate, num_prbs=24, num_ofdm_symbols=14, num_dmrs_per_prb=24)
        assert int(blocks.num_bits[mcs]) == int(size)
        assert blocks.true_rate[mcs] == pytest.approx(rate, rel=0.03)
    assert (blocks.num_bits.double() < blocks.order * 3456)[blocks.usable].all()


def test_rates_below_a_fifth_are_left_out():
    assert [bool(usable) for usable in block_sizes(SLOT, 1).usable] == [rate >= 0.2 for _, rate in MCS_TABLES[1]]
    assert not block_sizes(SlotFormat(192, 6, 12, 2), 1).usable[4]  # more than base graph 2 holds, below base graph 1


@pytest.mark.parametrize("table", MCS_TABLES)
def test_tables_are_those_that_sionna_has(table):
    order, rate = (torch.tensor(column) for column in zip(*MCS_TABLES[table]))
    numbers = torch.arange(len(order))
    theirs = MCSDecoderNR()(numbers, torch.full_like(numbers, table), torch.ones_like(numbers))  # 1: PDSCH
    assert torch.equal(theirs[0].long(), order)
    torch.testing.assert_close(theirs[1], rate.float())
    with pytest.raises(ValueError, match="MCS index"):
        MCSDecoderNR()(torch.tensor(len(order)), torch.tensor(table), torch.tensor(1))


def test_all_blocks_but_the_smallest_are_smaller_than_what_they_are_coded_to():
    for order, rate in {entry for table in MCS_TABLES.values() for entry in table if entry[1] >= LEAST_RATE}:
        coded = order * torch.arange(1, 5000, dtype=torch.int32)
        size, *_ = TransportBlockNR().transport_block_size(
            torch.full_like(coded, order), torch.full(coded.shape, rate), coded)
        assert torch.equal(size >= coded, coded <= LEAST_BLOCK)
