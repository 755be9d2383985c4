"""Traced paths as rays: free space by hand, Doppler, energy, bands."""

import math

import pytest
import torch

from linksim.channel.ray_traced.drops import ray_traced_drops
from linksim.channel.ray_traced.rays import mean_gain, rotation, to_rays
from linksim.channel.response import frequency_response
from linksim.scenario.channel import BsArray, UeArray
from linksim.scenario.ray_traced import RayTraced

LIGHT = 299792458.0


def rays_of(table, channel, heading=0.0, turned=0.0):
    which = torch.arange(len(table))[None]
    angle = torch.zeros(1, len(table), dtype=torch.float64)
    return to_rays(table, which, channel, angle + heading, angle + turned)


@pytest.mark.parametrize("synchronized", [True, False])
def test_line_of_sight_is_free_space(make_table, make_channel, synchronized):
    table = make_table(num=5, num_paths=1)
    channel = make_channel(ray_traced=RayTraced(synchronized=synchronized, azimuth_deg=0.0), precision="double",
                           speed_kmh=0)
    offset_hz = torch.linspace(-4e6, 4e6, 5).double()
    h = frequency_response(rays_of(table, channel), 3.4e9, torch.zeros(1).double(), offset_hz)[0, :, 0, :, 0]
    way = table.position_m - table.bs_position_m
    length = way.norm(dim=-1)
    # half-wavelength columns along y
    element = (torch.arange(4).double() - 1.5) / 2
    array = torch.exp(2j * math.pi * element * (way[:, 1] / length)[:, None])
    delay_s = torch.zeros_like(length) if synchronized else length / LIGHT
    expected = (LIGHT / 3.4e9 / (4 * math.pi * length))[:, None, None] * array[..., None] \
        * torch.exp(-2j * math.pi * length / LIGHT * 3.4e9)[:, None, None] \
        * torch.exp(-2j * math.pi * delay_s[:, None] * offset_hz)[:, None, :]
    # delays are kept in single precision: 1e-7 of some thousand periods
    torch.testing.assert_close(h, expected, rtol=0.02, atol=0)


@pytest.mark.parametrize(("heading_deg", "sign"), [(180, 1), (0, -1), (90, 0)])
def test_doppler_is_positive_on_the_way_to_the_base_station(make_table, make_channel, heading_deg, sign):
    table = make_table(num=1, num_paths=1)
    table.position_m[0, :2] = torch.tensor([300.0, 0.0])
    table.arrival[0, 0] = torch.tensor([math.pi / 2, math.pi])  # from where the base station is
    channel = make_channel(speed_kmh=36, precision="double")
    rays = rays_of(table, channel, math.radians(heading_deg))
    assert rays.doppler_hz(3.4e9).item() == pytest.approx(sign * 10 * 3.4e9 / LIGHT, abs=1e-3)
    times = torch.arange(3).double() * 1e-3
    h = frequency_response(rays, 3.4e9, times, torch.zeros(1).double())[0, 0, 0, 0, :, 0]
    turn = (h[1:] / h[:-1]).angle() / (2 * math.pi * 1e-3)
    torch.testing.assert_close(turn, torch.full((2,), sign * 10 * 3.4e9 / LIGHT).double(), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("bs_array", "ue_array"), [
    (BsArray(rows=1, columns=2, polarization="single"), UeArray()),
    (BsArray(rows=2, columns=2, polarization="dual", downtilt_deg=10), UeArray(num_antennas=2, polarization="dual")),
])
def test_energy_is_the_sum_of_the_paths_powers(make_table, make_channel, bs_array, ue_array):
    table = make_table(num=30)
    channel = make_channel(bs_array=bs_array, ue_array=ue_array, precision="double")
    rays = rays_of(table, channel)
    # averaged over antennas of one place and over a band so wide that paths do not meet
    h = frequency_response(rays, 3.4e9, torch.zeros(1).double(), torch.arange(4000).double() * 2.5e5)
    energy = h.abs().square().mean((2, 3, 4, 5))
    torch.testing.assert_close(energy, mean_gain(rays), rtol=0.05, atol=0)


def test_gains_are_one_on_average_and_the_absolute_ones_kept(make_table, make_channel, made):
    channel = make_channel(normalization="user")
    table = made(make_table(), channel)
    drops = ray_traced_drops(channel, 20, 3)
    torch.testing.assert_close(mean_gain(drops.uplink_rays), torch.ones(20, 1))
    known = {tuple(place): gain for place, gain in zip(table.position_m.float().tolist(), table.total_gain.tolist())}
    for drop in range(20):
        gain = known[tuple(drops.uplink_rays.position_user_m[drop, 0].tolist())]
        assert float(drops.path_loss_db[drop, 0]) == pytest.approx(-10 * math.log10(gain), abs=1e-3)


def test_independent_downlink_phases_keep_a_paths_polarisations_together(make_table, make_channel, made):
    channel = make_channel(duplex="fdd_gapped_independent")
    made(make_table(), channel)
    drops = ray_traced_drops(channel, 3, 1)
    change = torch.remainder(drops.downlink_rays.phase - drops.uplink_rays.phase, 2 * math.pi)
    assert change.std(2).min() > 0.1
    one = torch.polar(torch.ones_like(change), change)
    torch.testing.assert_close(one, one[..., :1, :1].expand_as(one), atol=1e-4, rtol=0)


def test_adjacent_halves_are_one_response(make_table, make_channel, made):
    adjacent, both = make_channel(duplex="fdd_adjacent", speed_kmh=0), make_channel(num_subcarriers=16, speed_kmh=0)
    made(make_table(), adjacent, both)
    halves, whole = ray_traced_drops(adjacent, 4, 2), ray_traced_drops(both, 4, 2)
    joined = torch.cat([halves.history.h[..., :1, :], halves.future.h[..., :1, :]], -1)
    torch.testing.assert_close(joined, whole.history.h[..., :1, :], rtol=1e-3, atol=1e-3)


def test_history_and_future_go_on_and_response_gives_both(make_table, make_channel, made):
    channel = make_channel(num_history=2, num_future=1, csi_period_ms=0.01)
    made(make_table(), channel)
    drops = ray_traced_drops(channel, 4, 2)
    torch.testing.assert_close(drops.response(drops.future.time_s).h, drops.future.h)
    assert (drops.future.h - drops.history.h[..., -1:, :]).abs().max() < 0.1


def test_rotation_turns_the_x_axis_to_azimuth_and_downtilt():
    turn = torch.tensor([math.radians(30), math.radians(10), 0.0]).double()
    x = rotation(turn)[:, 0]
    expected = [math.cos(math.radians(10)) * math.cos(math.radians(30)),
                math.cos(math.radians(10)) * math.sin(math.radians(30)), -math.sin(math.radians(10))]
    torch.testing.assert_close(x, torch.tensor(expected).double())
    eye = rotation(turn) @ rotation(turn).mT
    torch.testing.assert_close(eye, torch.eye(3).double())
