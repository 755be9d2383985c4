"""The limits: genie LMMSE and sum capacity do what they promise, and nobody passes them."""

import pytest
import torch

from linksim.bounds.capacity import sum_capacity
from linksim.bounds.genie import genie_lmmse, genie_lmmse_reports
from linksim.channel.statistical.drops import draw_drops
from linksim.core import registry
from linksim.metrics import nmse
from linksim.metrics.accuracy import nmse_per_drop
from linksim.mimo.receiver import achievable_rate, stream_sinr
from linksim.nr.acquisition import acquire
from linksim.scenario.channel import BsArray, Channel, UeArray
from linksim.scenario.schema import Acquisition

SMALL = {"num_subcarriers": 16, "bs_array": BsArray(rows=2, columns=2)}


def decibel(value):
    return 10 * torch.log10(value).item()


def observed(channel, batch=10, seed=1, acquisition=None):
    drops = draw_drops(channel, batch, seed)
    history, observation = acquire(drops.history, acquisition or Acquisition(), torch.Generator().manual_seed(seed))
    return drops, history, observation


@pytest.mark.parametrize("ue_array", [UeArray(), UeArray(num_antennas=2),
                                      UeArray(num_antennas=2, polarization="dual")])
@pytest.mark.parametrize("los", ["los", "nlos"])
def test_genie_error_is_what_its_own_covariance_predicts(los, ue_array):
    """The error averaged over ray phases and noise equals the trace of the posterior covariance: the model of
    the genie is the channel's own."""
    from linksim.bounds import genie

    channel = Channel(los=los, ue_array=ue_array, num_subcarriers=6, num_history=4, num_future=2,
                      bs_array=BsArray(rows=1, columns=2), num_users=1)
    drops = draw_drops(channel, 1, 3)
    args = (drops.uplink_rays, 0, drops.uplink)
    a = [f[0] for f in genie.ray_factors(*args, drops.history.time_s, drops.reference_hz)]
    b = [f[0] for f in genie.ray_factors(*args, drops.future.time_s, drops.reference_hz)]

    def dense(factors):
        antennas, times, tones = factors
        return torch.einsum("nmc,tc,kc->nmtkc", antennas, times, tones).flatten(0, -2)

    past, future = dense(a), dense(b)
    noise_variance = 0.05
    gain = future @ past.mH @ torch.linalg.inv(past @ past.mH + noise_variance * torch.eye(len(past)))
    expected = ((future - gain @ past) @ future.mH).diagonal().real.sum()
    phases = torch.Generator().manual_seed(0)
    errors = []
    for _ in range(300):
        rays = drops.uplink_rays.with_fresh_phases(phases)
        from linksim.channel.response import frequency_response

        offset = drops.uplink.frequency_hz - drops.reference_hz
        times = torch.cat([drops.history.time_s, drops.future.time_s])
        h = frequency_response(rays, drops.uplink.carrier_hz, times, offset)[0, 0].to(torch.complex128)
        y = h[:, :, :4] + (noise_variance / 2) ** 0.5 * torch.randn(*h[:, :, :4].shape, 2, generator=phases).double() \
            .view(*h[:, :, :4].shape, 2).unbind(-1)[0]
        y = y + 1j * (noise_variance / 2) ** 0.5 * torch.randn(h[:, :, :4].shape, generator=phases).double()
        errors.append((gain @ y.flatten() - h[:, :, 4:].flatten()).abs().square().sum())
    assert float(torch.stack(errors).mean() / expected) == pytest.approx(1, abs=0.15)


def test_genie_without_noise_knows_the_future_and_with_noise_degrades():
    channel = Channel(**SMALL)
    errors = [decibel(nmse(genie_lmmse(d, o).h, d.future.h)) for d, _, o in (
        observed(channel, acquisition=Acquisition(csi_snr_db=snr)) for snr in (60, 20, 0, -20))]
    assert errors[0] < -45
    assert errors == sorted(errors)


def test_in_tdd_reports_without_a_limit_tell_what_the_uplink_tells():
    drops, _, observation = observed(Channel(**SMALL), batch=2)
    from_reports = genie_lmmse_reports(drops, observation, drops.history.h.shape[-2])
    assert torch.equal(from_reports.h, genie_lmmse(drops, observation).h)


@pytest.mark.parametrize("duplex", ["fdd_adjacent", "fdd_gapped_independent"])
def test_in_fdd_reports_tell_more_than_the_uplink_and_late_ones_less(duplex):
    drops, _, uplink = observed(Channel(**SMALL, duplex=duplex))
    _, downlink = acquire(drops.downlink_history(), Acquisition(), torch.Generator().manual_seed(2))
    errors = [decibel(nmse(csi.h, drops.future.h)) for csi in (
        genie_lmmse_reports(drops, downlink, 16), genie_lmmse_reports(drops, downlink, 13), genie_lmmse(drops, uplink))]
    assert errors[0] < errors[1] - 0.5 < errors[2] - 3


@pytest.mark.parametrize("speed_kmh", [10, 30, 60, 100])
def test_genie_lands_on_the_floor_measured_independently(speed_kmh):
    """UMa, LOS and NLOS, 2.4 GHz, 4x4 dual, 48 tones, 16 -> 4 at 0.5 ms, 18 dB: -36.4/-32.5/-27.7/-24.0 dB."""
    floor = {10: -36.4, 30: -32.5, 60: -27.7, 100: -24.0}[speed_kmh]
    drops, _, observation = observed(Channel(speed_kmh=speed_kmh), batch=24, seed=speed_kmh)
    assert decibel(nmse(genie_lmmse(drops, observation).h, drops.future.h)) == pytest.approx(floor, abs=1.5)


def test_genie_knows_nothing_of_independent_downlink_phases():
    drops, _, observation = observed(Channel(**SMALL, duplex="fdd_gapped_independent"))
    assert decibel(nmse(genie_lmmse(drops, observation).h, drops.future.h)) == pytest.approx(0)


@pytest.mark.parametrize("acquisition", [Acquisition(), Acquisition(csi_snr_db=0), Acquisition(type="pilots")])
@pytest.mark.parametrize("duplex", ["tdd", "fdd_adjacent", "fdd_gapped_coherent"])
def test_no_predictor_passes_the_genie(duplex, acquisition):
    drops, history, observation = observed(Channel(**SMALL, num_users=2, duplex=duplex), 12, acquisition=acquisition)
    bound = nmse_per_drop(genie_lmmse(drops, observation).h, drops.future.h).mean(1)
    for spec in registry.catalogue("predictor"):
        if spec.trains or not spec.source.startswith("linksim."):
            continue
        block = registry.create("predictor", spec.name)
        estimate = block.predict(history, drops.future.time_s, drops.future.frequency_hz)
        gain = bound - nmse_per_drop(estimate.h, drops.future.h).mean(1)
        interval = 2 * gain.std() / len(gain) ** 0.5
        assert gain.mean() < interval, spec.name


@pytest.mark.parametrize("ue_ant", [1, 2])
@pytest.mark.parametrize("snr_db", [-10, 10, 30])
def test_no_precoder_passes_the_sum_capacity(ue_ant, snr_db):
    generator = torch.Generator().manual_seed(0)
    h = torch.randn(30, 3, ue_ant, 8, dtype=torch.complex64, generator=generator)
    noise_variance = 10 ** (-snr_db / 10)
    capacity = sum_capacity(h, noise_variance)
    for spec in (spec for spec in registry.catalogue("precoder") if not spec.trains):
        weights = registry.create("precoder", spec.name).precode(h, noise_variance, ue_ant)
        rate = achievable_rate(stream_sinr(h, weights, noise_variance)).sum(-1)
        assert (rate <= capacity + 1e-2).all(), spec.name


def test_sum_capacity_of_orthogonal_users_is_water_filling():
    gains = torch.tensor([4.0, 1.0, 0.25], dtype=torch.float64)
    h = torch.diag(gains.sqrt()).to(torch.complex128).reshape(1, 3, 1, 3)
    # by hand at unit noise: levels mu - 1/g; only the strongest is used while 1/4 + 1 <= 1/1 + ...
    power = torch.tensor([0.875, 0.125, 0.0], dtype=torch.float64)
    expected = torch.log2(1 + gains * power).sum()
    assert float(sum_capacity(h, 1.0, num_iterations=200)) == pytest.approx(float(expected), abs=1e-4)


def test_sum_capacity_has_converged():
    generator = torch.Generator().manual_seed(1)
    h = torch.randn(20, 4, 1, 32, dtype=torch.complex64, generator=generator)
    torch.testing.assert_close(sum_capacity(h, 0.1), sum_capacity(h, 0.1, num_iterations=400), rtol=1e-4, atol=1e-4)
