"""Recording leaves Sionna's model as it was, and the rays say what Sionna drew."""

import pytest
import torch
from sionna.phy.channel import cir_to_ofdm_channel
from sionna.phy.channel.tr38901 import PanelArray

from linksim.channel.antenna_arrays import array_layout
from linksim.channel.rays import Rays
from linksim.channel.response import frequency_response
from linksim.channel.statistical.drops import build_model, draw_rays, draw_topology
from linksim.channel.statistical.sionna_rays import sample_rays
from linksim.core.seeding import sionna_seed
from linksim.scenario.channel import BsArray, Channel, UeArray

CHANNEL = Channel(num_users=2, speed_kmh=50, bs_array=BsArray(rows=2, columns=3), ue_array=UeArray(num_antennas=2))


def drawn(channel=CHANNEL, batch=3):
    with sionna_seed(1):
        return draw_rays(channel, batch, "cpu")


def test_the_model_is_left_as_it_was():
    model = build_model(CHANNEL, "cpu")
    model.set_topology(**draw_topology(CHANNEL, 2, "cpu"))
    model.return_rays = True
    with sionna_seed(3):
        before = model(2, 1e3)[0]
    sample_rays(model)
    assert model.return_rays is True
    with sionna_seed(3):
        assert torch.equal(model(2, 1e3)[0], before)


def test_a_failing_draw_leaves_the_model_as_it_was():
    model = build_model(CHANNEL, "cpu")
    sampler = model._cir_sampler
    with pytest.raises((AttributeError, RuntimeError, TypeError)):
        sample_rays(model)  # no topology
    assert model._cir_sampler is sampler


def test_rays_of_a_path_share_its_delay_and_the_line_of_sight_comes_with_the_first():
    rays = drawn(Channel(num_users=4, los="los"), 5)
    assert sum(rays.path_lengths) == rays.amplitude.shape[-1]
    assert rays.delay_s.shape == rays.amplitude.shape
    used = rays.amplitude > 0
    first = rays.delay_s.masked_fill(~used, torch.inf)[..., :-1].amin(-1)
    assert torch.equal(rays.path_delay_s[..., -1], first)
    assert float(rays.delay_s.max()) < 1e-4  # no unused cluster at 1 s


def test_sub_clusters_are_those_of_table_7_5_5():
    rays = drawn(Channel(num_users=2, los="nlos"))
    assert rays.path_lengths[-7:] == (10,) * 7
    offset = rays.path_delay_s[..., -5:-1] - rays.path_delay_s[..., [-7, -6, -7, -6]]
    torch.testing.assert_close(offset[..., 2:], 2 * offset[..., :2], rtol=1e-4, atol=1e-12)
    power = rays.amplitude.square()
    strong = power[..., -70:-10].unflatten(-1, (3, 2, 10)).sum(-1)  # sub-cluster, cluster
    share = (strong / strong.sum(-2, keepdim=True)).mean((0, 1, 3))
    torch.testing.assert_close(share, torch.tensor([10.0, 6.0, 4.0]) / 20)
    others = power[..., :-70].unflatten(-1, (-1, 20)).sum(-1).amax(-1)
    assert (strong.sum(-2).amin(-1) >= others * 0.999).all()


def test_angles_doppler_and_positions_are_physical():
    rays = drawn()
    for end in (rays.ue, rays.bs):
        torch.testing.assert_close(end.direction.norm(dim=-1), torch.ones(rays.amplitude.shape))
    azimuth, zenith = rays.departure_angles
    x = zenith.sin() * azimuth.cos()
    torch.testing.assert_close(x, rays.bs.direction[..., 0], atol=1e-5, rtol=1e-4)
    limit = rays.speed_m_s.unsqueeze(-1) * 2.4e9 / 299792458
    assert (rays.doppler_hz(2.4e9).abs() <= limit * 1.0001).all()
    assert rays.position_user_m.shape == (3, 2, 3)


def test_line_of_sight_points_from_the_base_station_to_the_user():
    rays = drawn(Channel(num_users=4, los="los"), 3)
    toward = torch.nn.functional.normalize(rays.position_user_m - rays.position_bs_m, dim=-1)
    torch.testing.assert_close(rays.bs.direction[..., -1, :], toward, atol=2e-4, rtol=0)
    torch.testing.assert_close(rays.ue.direction[..., -1, :], -toward, atol=2e-4, rtol=0)


def test_names_survive_a_round_trip_and_drops_are_picked():
    rays = drawn()
    again = Rays.from_dict(rays.to_dict())
    grid = (2.4e9, torch.arange(2) * 1e-3, torch.arange(3) * 1e5)
    h = frequency_response(rays, *grid)
    assert torch.equal(frequency_response(again, *grid), h)
    torch.testing.assert_close(frequency_response(rays.drops(slice(1, 3)), *grid), h[1:3])
    for name, tensor in rays.to_dict().items():
        if name not in Rays.SHARED:
            assert tensor.shape[:2] == (3, 2), name


@pytest.mark.parametrize("panels", [1, 2])
@pytest.mark.parametrize("polarization", [("single", "V"), ("dual", "cross")])
def test_layout_gives_back_every_antenna_position(panels, polarization):
    array = PanelArray(num_rows_per_panel=3, num_cols_per_panel=2, num_rows=panels, num_cols=panels,
                       polarization=polarization[0], polarization_type=polarization[1], antenna_pattern="omni",
                       carrier_frequency=3e9, device="cpu")
    layout = array_layout(array)
    position = layout.port_m[:, None, None] + layout.column_m[:, None] + layout.row_m
    torch.testing.assert_close(position.flatten(0, 2)[layout.order], array.ant_pos, atol=1e-7, rtol=0)
    assert layout.in_order == (panels == 1)


def test_steering_is_the_response_of_a_single_ray():
    """One ray at a time, computed from antenna positions, gives Sionna's coefficients."""
    channel = Channel(model="uma", los="nlos", bs_array=BsArray(rows=2, columns=2), ue_array=UeArray(num_antennas=2))
    with sionna_seed(6):
        model = build_model(channel, "cpu", "double")
        model.set_topology(**draw_topology(channel, 1, "cpu", "double"))
        coefficients, delays = model(1, 1.0)
    with sionna_seed(6):
        model = build_model(channel, "cpu", "double")
        model.set_topology(**draw_topology(channel, 1, "cpu", "double"))
        rays = sample_rays(model)
    ue, bs = rays.steering(2.4e9)
    transfer = rays.amplitude[..., None, None] * torch.polar(rays.coupling, rays.phase)
    h = (ue @ transfer.to(ue) @ bs.mT).sum(-3)[0, 0, 0]
    reference = cir_to_ofdm_channel(torch.zeros(1, dtype=torch.float64), coefficients, delays)[0, 0, :, 0, :, 0, 0]
    torch.testing.assert_close(h, reference)
