"""Effective SINR and block errors: against Sionna's EESM and the points of its tables, and the physics they must have.
Link adaptation: at its target in the long run, whatever the base station believes, and without looking ahead.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sionna.sys
import torch
from scipy import stats
from sionna.sys import EESM

from linksim.mimo.noise import complex_normal
from linksim.nr.link_adaptation import adapt, block_error_rate, curve_at, effective_sinr, inner_loop, thresholds_db
from linksim.nr.modulation import demodulate, modulate
from linksim.nr.slots import NUM_MCS, SlotFormat
from linksim.nr.transport_block import block_sizes, code_of
from linksim.scenario.coding import Coding

SLOT = SlotFormat(num_tones=48, subcarriers=6, data_symbols=12, num_streams=1)
TABLE = json.loads((Path(sionna.sys.__file__).parent / "bler_tables/PDSCH_table1.json").read_text())


@pytest.mark.parametrize("table", [1, 2])
def test_effective_sinr_is_sionnas(table):
    sinr = torch.rand(5, 40, generator=torch.Generator().manual_seed(1)) * 30
    ours = effective_sinr(sinr, table)
    for mcs in (4, 12, 20, 27):
        theirs = EESM()(sinr[:, None, :, None, None], torch.full((5, 1), mcs), mcs_table_index=table)[:, 0]
        torch.testing.assert_close(ours[:, mcs], theirs.double(), rtol=1e-3, atol=1e-3)


def test_effective_sinr_of_a_flat_channel_is_its_own_and_fading_costs():
    flat = effective_sinr(torch.full((1, 20), 4.0), 1)
    torch.testing.assert_close(flat, torch.full_like(flat, 4.0))
    assert (effective_sinr(torch.tensor([[1.0, 7.0]]), 1) < 4).all()


@pytest.mark.parametrize("mcs", [4, 10, 16, 22])
def test_errors_are_those_that_sionna_has_simulated(mcs):
    """Its points stand 1.8 dB apart: each that lies in the waterfall tells where this is to within a fraction of a
    dB."""
    entries = TABLE["category"]["1"]["index"]["1"]["MCS"][str(mcs)]
    blocks = block_sizes(SLOT, 1)
    told = 0
    for size in (500, 1000, 2000):
        middle, width = curve_at(int(blocks.order[mcs]), float(blocks.rate[mcs]), size)
        for snr_db, bler in zip(entries["SNR_db"], entries["CBS"][str(size)]["BLER"]):
            if 0.01 <= bler <= 0.99:
                told += 1
                assert middle + width * stats.norm.isf(bler) == pytest.approx(snr_db, abs=0.2)
            elif bler < 0.001:
                assert stats.norm.sf((snr_db - middle) / width) < 0.02
            elif bler > 0.999:
                assert stats.norm.sf((snr_db - middle) / width) > 0.98
    assert told > 0


def test_errors_fall_with_sinr_and_rise_with_mcs():
    blocks = block_sizes(SLOT, 1)
    rate = block_error_rate((10 ** (torch.arange(-50, 300) / 100))[:, None].expand(-1, 29), blocks)
    assert (rate.diff(dim=0) <= 0).all()
    assert (rate[:, :3] == 1).all()  # below the least code rate
    at_target = (rate <= 0.1).long().argmax(0)[3:]
    # 9 to 10 and 16 to 17 change the modulation at nearly the same number of bits
    assert (at_target.diff() > -30).all()
    assert at_target[-1] > at_target[0]


def test_no_code_beats_capacity():
    blocks = block_sizes(SLOT, 1)
    for mcs in blocks.usable.nonzero().flatten().tolist():
        middle, _ = curve_at(int(blocks.order[mcs]), float(blocks.true_rate[mcs]), int(blocks.code_block[mcs]))
        bits = int(blocks.order[mcs]) * float(blocks.true_rate[mcs])
        assert middle > 10 * torch.tensor(2**bits - 1).log10()
        assert middle < 10 * torch.tensor(2**bits - 1).log10() + 3


def test_several_code_blocks_are_lost_more_often_than_one():
    blocks = block_sizes(SLOT, 1)
    single = block_error_rate(torch.full((29,), 30.0), blocks.__class__(
        **{**vars(blocks), "num_code_blocks": torch.ones_like(blocks.num_code_blocks)}))
    assert (block_error_rate(torch.full((29,), 30.0), blocks) >= single).all()


@pytest.mark.parametrize("mcs", [4, 22, *(pytest.param(mcs, marks=pytest.mark.slow) for mcs in (10, 16))])
def test_blocks_over_awgn_are_lost_as_the_curves_say_to_within_a_fifth_of_a_decibel(mcs):
    slot = SlotFormat(num_tones=12, subcarriers=6, data_symbols=12, num_streams=1)
    sizes, random = block_sizes(slot, 1), torch.Generator().manual_seed(mcs)
    order = int(sizes.order[mcs])
    middle, width = curve_at(order, float(sizes.true_rate[mcs]), int(sizes.code_block[mcs]))
    at_a_tenth_db = middle + 1.2816 * width
    code, lost = code_of(sizes, mcs, slot, 20), {}
    for off_db in (-0.2, 0.2):
        bits = torch.randint(2, (150, code.num_bits), generator=random).float()
        points = modulate(code.encode(bits, 0), order)
        variance = 10 ** (-(at_a_tenth_db + off_db) / 10)
        heard = points + variance**0.5 * complex_normal(points.shape, random)
        _, passed = code.decode([demodulate(heard, torch.full(heard.shape, variance), order)], [0])
        lost[off_db] = float((~passed).double().mean())
    assert lost[0.2] < 0.1 < lost[-0.2]


BLOCKS = block_sizes(SlotFormat(num_tones=48, subcarriers=6, data_symbols=12, num_streams=1), 1)


def adapted(wrong_db: float, passes: int, coding: Coding | None = None, snr_db: float = 12.0):
    """Blocks of 30 drops, 20 slots and 2 users over fading; the base station is wrong by so much."""
    coding = coding or Coding()
    random = torch.Generator().manual_seed(1)
    true_db = snr_db + 3 * torch.randn(30, 20, 2, 1, generator=random).double().expand(-1, -1, -1, NUM_MCS)
    loss = block_error_rate(10 ** (true_db / 10), BLOCKS)
    draws = torch.rand(passes + 1, 30, 20, 2, generator=random)
    return adapt(true_db + wrong_db, loss, draws, thresholds_db(BLOCKS, coding), coding)


def test_a_base_station_that_knows_the_channel_stays_below_its_target():
    _, lost = adapted(0.0, passes=0)
    assert lost.double().mean() < 0.1


@pytest.mark.parametrize("wrong_db", [-4.0, 0.0, 4.0])
def test_the_outer_loop_finds_the_target_whatever_is_believed(wrong_db):
    _, lost = adapted(wrong_db, passes=30)
    assert 0.06 < lost.double().mean() < 0.14


def test_without_an_outer_loop_too_good_a_promise_loses_all():
    _, lost = adapted(4.0, passes=0)
    assert lost.double().mean() > 0.9


def test_the_inner_loop_sees_promises_alone():
    threshold = thresholds_db(BLOCKS, Coding())
    promised = torch.linspace(-10, 30, 60).double()[:, None].expand(-1, NUM_MCS)
    mcs = inner_loop(promised, torch.zeros(60, dtype=torch.float64), threshold)
    assert (mcs.diff() >= 0).all()
    assert int(mcs[0]) == 3  # the lowest there is
    assert int(mcs[-1]) == 28
    reached = threshold[mcs[20:]] <= promised[20:, 0]
    assert reached.all()


def test_a_stricter_target_takes_lower_mcs():
    usual, _ = adapted(0.0, passes=20)
    strict, lost = adapted(0.0, passes=20, coding=Coding(bler_target=0.01))
    assert strict.double().mean() < usual.double().mean()
    assert lost.double().mean() < 0.03
