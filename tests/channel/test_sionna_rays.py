"""The response computed from recorded rays is Sionna's own, and what is set on purpose is set."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sionna.phy.channel import cir_to_ofdm_channel

from linksim.channel import sionna_rays
from linksim.channel.rays import frequency_response
from linksim.scenario.schema import BsArray, Channel, UeArray
from linksim.seeding import sionna_seed

OFFSET_HZ = (torch.arange(6, dtype=torch.float64) - 3) * 180e3
PERIOD_S = 0.5e-3


def relative_error(h, reference):
    return float((h - reference).abs().square().sum() / reference.abs().square().sum())


def sionna_response(channel, batch, times, precision, seed):
    """Sionna, unmodified."""
    with sionna_seed(seed):
        model = sionna_rays.build_model(channel, "cpu", precision)
        model.set_topology(**sionna_rays.draw_topology(channel, batch, "cpu", precision))
        coefficients, delays = model(times, 1 / PERIOD_S)
    return cir_to_ofdm_channel(OFFSET_HZ.to(delays), coefficients, delays, normalize=False)[:, :, :, 0]


def our_response(channel, batch, times, precision, seed):
    with sionna_seed(seed):
        rays = sionna_rays._draw_system_level(channel, batch, "cpu", precision)
    time_s = torch.arange(times, dtype=torch.float64) * PERIOD_S
    return frequency_response(rays, channel.carrier_frequency_ghz * 1e9, time_s, OFFSET_HZ)


channels = st.builds(
    Channel,
    model=st.sampled_from(["uma", "umi", "rma"]),
    los=st.sampled_from(["mixed", "los", "nlos"]),
    carrier_frequency_ghz=st.sampled_from([0.7, 2.4, 6.5]),
    num_users=st.integers(1, 3),
    speed_kmh=st.sampled_from([0.0, 30.0, 500.0]),
    indoor_share=st.sampled_from([0.0, 0.5, 1.0]),
    path_loss=st.booleans(),
    shadow_fading=st.booleans(),
    bs_array=st.builds(BsArray, rows=st.integers(1, 3), columns=st.integers(1, 3),
                       polarization=st.sampled_from(["single", "dual"]),
                       pattern=st.sampled_from(["omni", "38.901"])),
    ue_array=st.sampled_from([UeArray(), UeArray(num_antennas=3),
                              UeArray(num_antennas=4, polarization="dual", pattern="38.901")]),
)


@settings(max_examples=15, deadline=None)
@given(channels, st.integers(0, 1000))
def test_equals_sionna_in_double_precision(channel, seed):
    reference = sionna_response(channel, 2, 3, "double", seed)
    assert relative_error(our_response(channel, 2, 3, "double", seed), reference) < 1e-20


def test_equals_sionna_in_single_precision():
    channel = Channel(num_users=4)
    reference = sionna_response(channel, 8, 20, "single", 1)
    assert relative_error(our_response(channel, 8, 20, "single", 1), reference) < 1e-9


@pytest.mark.parametrize("profile", ["cdl_a", "cdl_c", "cdl_d", "cdl_e"])
def test_cdl_equals_sionna(profile, monkeypatch):
    seen = []
    record = sionna_rays._Recorder.forward

    def record_and_contract(self, num_time_samples, sampling_frequency, k_factor, rays, topology):
        result = record(self, num_time_samples, sampling_frequency, k_factor, rays, topology)
        seen.append(self.generator(4, 1 / PERIOD_S, k_factor, rays, topology))
        return result

    monkeypatch.setattr(sionna_rays._Recorder, "forward", record_and_contract)
    with sionna_seed(3):
        rays = sionna_rays._draw_cdl(Channel(model=profile, num_users=2, speed_kmh=50), 2, "cpu", "double")
    h = frequency_response(rays, 2.4e9, torch.arange(4, dtype=torch.float64) * PERIOD_S, OFFSET_HZ)
    coefficients, delays = seen[0]  # [link, 1, 1, path, ue_ant, bs_ant, time] as Sionna's generator returns it
    reference = cir_to_ofdm_channel(OFFSET_HZ.to(delays), coefficients.permute(0, 2, 4, 1, 5, 3, 6),
                                    delays.permute(0, 2, 1, 3))[:, 0, :, 0]
    assert relative_error(h.flatten(0, 1), reference) < 1e-20


def test_normalised_users_have_unit_mean_gain():
    with sionna_seed(1):
        rays = sionna_rays.draw_rays(Channel(num_users=3, path_loss=True, shadow_fading=True), 4, "cpu")
    torch.testing.assert_close(rays.mean_gain(), torch.ones(4, 3))


def test_drop_normalisation_keeps_the_differences_between_users():
    with sionna_seed(1):
        rays = sionna_rays.draw_rays(Channel(num_users=3, path_loss=True, normalization="drop"), 4, "cpu")
    gain = rays.mean_gain()
    torch.testing.assert_close(gain.mean(1), torch.ones(4))
    assert (gain.std(1) > 0.1).all()


def test_mean_gain_is_the_mean_over_phases():
    with sionna_seed(2):
        rays = sionna_rays.draw_rays(Channel(num_users=1, los="nlos", normalization="none"), 1, "cpu")
    phases = torch.Generator().manual_seed(0)
    gains = [frequency_response(rays.with_fresh_phases(phases), 2.4e9, torch.zeros(1), torch.zeros(1))
             .abs().square().mean() for _ in range(400)]
    assert float(torch.stack(gains).mean() / rays.mean_gain()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("speed_kmh", [0, 30, 500])
def test_every_user_moves_at_the_speed_asked_for(speed_kmh):
    topology = sionna_rays.draw_topology(Channel(num_users=5, speed_kmh=speed_kmh), 7, "cpu")
    speed = topology["ut_velocities"].norm(dim=-1) * 3.6
    torch.testing.assert_close(speed, torch.full((7, 5), float(speed_kmh)), atol=1e-3, rtol=1e-5)
    assert (topology["ut_velocities"][..., 2] == 0).all()


def test_terminals_stand_upright_and_indoor_share_is_kept():
    topology = sionna_rays.draw_topology(Channel(num_users=8, indoor_share=0.25), 200, "cpu")
    assert (topology["ut_orientations"][..., 1:] == 0).all()
    assert float(topology["in_state"].float().mean()) == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize(("los", "expected"), [("los", True), ("nlos", False)])
def test_line_of_sight_is_forced(los, expected):
    with sionna_seed(1):
        rays = sionna_rays.draw_rays(Channel(los=los, num_users=4), 8, "cpu")
    assert (rays.line_of_sight == expected).all()
    assert bool((rays.amplitude[..., rays.is_specular] > 0).all()) is expected
