"""Link adaptation: at its target in the long run, whatever the base station believes, and without looking ahead."""

from __future__ import annotations

import pytest
import torch

from linksim.nr.error_tables import block_error_rate
from linksim.nr.link_adaptation import adapt, inner_loop, thresholds_db
from linksim.nr.slots import SlotFormat
from linksim.nr.tables import NUM_MCS
from linksim.nr.transport_block import block_sizes
from linksim.scenario.coding import Coding

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
