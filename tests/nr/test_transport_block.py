"""Sizes of transport blocks are the standard's, and what the rules of a scenario say of them holds. Blocks through CRC,
segmentation, code and redundancy versions, and back.
"""

from __future__ import annotations

import pytest
import torch
from sionna.phy.nr import TBEncoder
from sionna.phy.nr.utils import MCSDecoderNR, TransportBlockNR, calculate_tb_size

from linksim.nr.slots import LEAST_BLOCK, LEAST_RATE, MCS_TABLES, SlotFormat
from linksim.nr.transport_block import REDUNDANCY_VERSIONS, TransportBlockCode, block_sizes

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


def code_of(mcs: int, num_tones: int = 12) -> TransportBlockCode:
    slot = SlotFormat(num_tones, 6, 12, 1)
    blocks = block_sizes(slot, 1)
    order = int(blocks.order[mcs])
    return TransportBlockCode(int(blocks.num_bits[mcs]), order * slot.num_resources, float(blocks.rate[mcs]), order, 1,
    20)


def noisy(coded: torch.Tensor, snr_db: float, seed: int = 1) -> torch.Tensor:
    """LLRs of bits sent one by one over AWGN."""
    variance = 10 ** (-snr_db / 10)
    noise = torch.randn(coded.shape, generator=torch.Generator().manual_seed(seed))
    return 2 / variance * ((2 * coded - 1) + variance**0.5 * noise)


@pytest.mark.parametrize(("mcs", "num_tones"), [(4, 12), (16, 12), (22, 48), (28, 48)])
def test_blocks_come_back(mcs, num_tones):
    code = code_of(mcs, num_tones)
    bits = torch.randint(2, (3, code.num_bits), generator=torch.Generator().manual_seed(2)).float()
    coded = code.encode(bits, 0)
    assert coded.shape == (3, code.num_coded)
    found, passed = code.decode([noisy(coded, 15)], [0])
    assert passed.all()
    assert torch.equal(found, bits)


@pytest.mark.parametrize("num_tones", [12, 48])
def test_the_first_version_is_sionnas_transport_block(num_tones):
    code, slot = code_of(22, num_tones), SlotFormat(num_tones, 6, 12, 1)
    blocks = block_sizes(slot, 1)
    theirs = TBEncoder(code.num_bits, code.num_coded, float(blocks.rate[22]), 6, 1, channel_type="PDSCH")
    bits = torch.randint(2, (2, code.num_bits), generator=torch.Generator().manual_seed(3)).float()
    assert torch.equal(code.encode(bits, 0), theirs(bits))


def test_noise_passes_no_crc():
    code = code_of(10)
    _, passed = code.decode([torch.randn(20, code.num_coded, generator=torch.Generator().manual_seed(4))], [0])
    assert not passed.any()


def test_versions_together_tell_what_none_tells_alone():
    code = code_of(22)
    bits = torch.randint(2, (8, code.num_bits), generator=torch.Generator().manual_seed(5)).float()
    llr = [noisy(code.encode(bits, version), 0.5, seed) for seed, version in enumerate(REDUNDANCY_VERSIONS)]
    assert not code.decode(llr[:1], REDUNDANCY_VERSIONS[:1])[1].any()
    found, passed = code.decode(llr, REDUNDANCY_VERSIONS)
    assert passed.all()
    assert torch.equal(found, bits)


def test_new_redundancy_is_worth_more_than_repetition():
    code = code_of(25)
    bits = torch.randint(2, (20, code.num_bits), generator=torch.Generator().manual_seed(6)).float()
    lost = {}
    for versions in ((0, 0), (0, 2)):
        llr = [noisy(code.encode(bits, version), 1.2, seed) for seed, version in enumerate(versions)]
        lost[versions] = int((~code.decode(llr, versions)[1]).sum())
    assert lost[0, 2] < lost[0, 0]


def test_a_size_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"none of TS 38\.214"):
        TransportBlockCode(1001, 3456, 0.3, 2, 1, 20)
