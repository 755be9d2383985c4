"""Chunks of drops: seeds, duplex modes, one draw for history and future, and Sionna's known ageing."""

import pytest
import torch

from linksim.channel.drops import bands
from linksim.channel.statistical.drops import draw_drops
from linksim.metrics import nmse, sgcs
from linksim.scenario.channel import BsArray, Channel

SMALL = {"num_subcarriers": 12, "bs_array": BsArray(rows=2, columns=2)}


def decibel(value):
    return 10 * torch.log10(value).item()


def test_same_seed_same_drops_and_global_random_state_untouched():
    torch.manual_seed(7)
    state = torch.random.get_rng_state()
    first, second, other = (draw_drops(Channel(**SMALL), 3, seed) for seed in (1, 1, 2))
    assert torch.equal(first.history.h, second.history.h)
    assert torch.equal(first.future.h, second.future.h)
    assert not torch.equal(first.history.h, other.history.h)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_history_and_future_are_one_draw():
    channel = Channel(**SMALL, speed_kmh=3, num_history=2, num_future=1)
    drops = draw_drops(channel, 20, 1)
    last = drops.history.h[..., -1:, :]
    assert decibel(nmse(last, drops.future.h)) < -30
    torch.testing.assert_close(drops.response(drops.future.time_s).h, drops.future.h)


def test_tdd_shares_the_band_and_fdd_does_not():
    uplink, downlink = bands(Channel(duplex="tdd"))
    assert torch.equal(uplink.frequency_hz, downlink.frequency_hz)
    uplink, downlink = bands(Channel(duplex="fdd_adjacent"))
    assert downlink.frequency_hz[0] - uplink.frequency_hz[-1] == 180e3
    uplink, downlink = bands(Channel(duplex="fdd_gapped_coherent", duplex_gap_mhz=95))
    torch.testing.assert_close(downlink.frequency_hz - uplink.frequency_hz, torch.full((48,), 95e6).double())


def test_gapped_coherent_without_a_gap_is_tdd():
    tdd = draw_drops(Channel(**SMALL), 2, 5)
    gapped = draw_drops(Channel(**SMALL, duplex="fdd_gapped_coherent", duplex_gap_mhz=1e-9), 2, 5)
    torch.testing.assert_close(tdd.future.h, gapped.future.h, rtol=1e-3, atol=1e-4)


def test_independent_phases_keep_the_statistics_and_lose_the_correlation():
    drops = draw_drops(Channel(**SMALL, duplex="fdd_gapped_independent", num_users=4, speed_kmh=3), 60, 5)
    history, future = drops.history.h[..., -1:, :], drops.future.h[..., :1, :]
    assert float(future.abs().square().mean()) == pytest.approx(1, abs=0.1)
    inner = (history.conj() * future).flatten(2).sum(-1).mean().abs()
    assert inner / history.abs().square().flatten(2).sum(-1).mean() < 0.1
    # a ratio of sums: the mean of ratios has a heavy tail where the future fades
    error = (history - future).abs().square().sum() / future.abs().square().sum()
    assert decibel(error) == pytest.approx(3, abs=0.5)


@pytest.mark.parametrize(("speed_kmh", "reference_db", "similarity"), [
    (3, (-36.7, -30.7, -27.2, -24.7), 0.998), (30, (-16.9, -11.0, -7.5, -5.1), 0.829),
    (60, (-10.8, -4.9, -1.6, 0.5), 0.526), (100, (-6.8, -1.2, 1.6, 3.2), 0.438),
])
def test_hold_ages_as_sionnas_uma_does(speed_kmh, reference_db, similarity):
    """Reference: plain Sionna 2.2, UMa NLOS, 2.4 GHz, 32 antennas, 48 tones, steps of 0.5 ms.

    The similarity of a single drop has a standard deviation of 0.18, and the reference is a mean of tens of drops.
    """
    drops = draw_drops(Channel(los="nlos", speed_kmh=speed_kmh, num_history=1), 150, 11)
    held = drops.history.h.expand_as(drops.future.h)
    for step, expected in enumerate(reference_db):
        error = nmse(held[..., step:step + 1, :], drops.future.h[..., step:step + 1, :])
        assert decibel(error) == pytest.approx(expected, abs=0.6)
    assert float(sgcs(held[..., 3:, :], drops.future.h[..., 3:, :])) == pytest.approx(similarity, abs=0.075)


def test_double_precision_is_for_the_rays_and_the_chain_sees_single():
    drops = draw_drops(Channel(**SMALL, precision="double"), 2, 3)
    assert drops.uplink_rays.amplitude.dtype == torch.float64
    assert drops.history.h.dtype == torch.complex64
    assert drops.response(drops.future.time_s).h.dtype == torch.complex64


def test_instants_between_periods_are_of_the_same_draw():
    whole = draw_drops(Channel(**SMALL, csi_period_ms=2.0, num_history=4, num_future=2), 2, 1)
    split = draw_drops(Channel(**SMALL, csi_period_ms=2.0, num_history=4, num_future=4, samples_per_period=2), 2, 1)
    torch.testing.assert_close(split.future.time_s, whole.history.time_s[-1] + 1e-3 * torch.arange(1, 5).double())
    torch.testing.assert_close(split.future.h[..., 1::2, :], whole.future.h)
    late = draw_drops(Channel(**SMALL, csi_period_ms=2.0, num_history=4, num_future=2, processing_delay_ms=0.5), 2, 1)
    torch.testing.assert_close(late.future.time_s, whole.future.time_s + 0.5e-3)


def test_the_channel_within_a_slot_is_that_of_its_rays():
    drops = draw_drops(Channel(**SMALL, speed_kmh=100, duplex="fdd_adjacent"), 2, 1)
    around = drops.downlink_at(drops.future.time_s[1:2] + torch.tensor([-1e-4, 0.0, 1e-4]), 1)
    torch.testing.assert_close(around[..., 1, :], drops.future.h[..., 1, :])
    assert not torch.allclose(around[..., 0, :], around[..., 2, :], rtol=1e-2)
