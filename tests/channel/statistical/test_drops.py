"""What a channel section means: what is set on purpose is set, and normalisation has no fading in it."""

import math

import pytest
import torch
from pydantic import ValidationError

from linksim.channel.response import frequency_response
from linksim.channel.statistical import drops
from linksim.channel.statistical.drops import build_model, draw_rays, draw_topology
from linksim.core.seeding import sionna_seed
from linksim.scenario.channel import Channel

INDOOR = ["inh_open", "inh_mixed", "inf_sl", "inf_dl", "inf_sh", "inf_dh", "inf_hh"]


def drawn(channel, batch, seed=1, device="cpu"):
    with sionna_seed(seed):
        return draw_rays(channel, batch, device)


def test_normalised_users_have_unit_mean_gain():
    rays = drawn(Channel(num_users=3, path_loss=True, shadow_fading=True), 4)
    torch.testing.assert_close(rays.mean_gain(), torch.ones(4, 3))
    assert (rays.large_scale_gain < 1e-4).all()  # what was taken out stays known


def test_drop_normalisation_keeps_the_differences_between_users():
    gain = drawn(Channel(num_users=3, path_loss=True, normalization="drop"), 4).mean_gain()
    torch.testing.assert_close(gain.mean(1), torch.ones(4))
    assert (gain.std(1) > 0.1).all()


def test_mean_gain_is_the_mean_over_phases():
    rays = drawn(Channel(num_users=1, los="nlos", normalization="none"), 1, seed=2)
    phases = torch.Generator().manual_seed(0)
    gains = [frequency_response(rays.with_fresh_phases(phases), 2.4e9, torch.zeros(1), torch.zeros(1))
             .abs().square().mean() for _ in range(400)]
    assert float(torch.stack(gains).mean() / rays.mean_gain()) == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("speed_kmh", [0, 30, 500])
def test_every_user_moves_at_the_speed_asked_for(speed_kmh):
    topology = draw_topology(Channel(num_users=5, speed_kmh=speed_kmh), 7, "cpu")
    speed = topology["ut_velocities"].norm(dim=-1) * 3.6
    torch.testing.assert_close(speed, torch.full((7, 5), float(speed_kmh)), atol=1e-3, rtol=1e-5)
    assert (topology["ut_velocities"][..., 2] == 0).all()


def test_terminals_stand_upright_and_indoor_share_is_kept():
    topology = draw_topology(Channel(num_users=8, indoor_share=0.25), 200, "cpu")
    assert (topology["ut_orientations"][..., 1:] == 0).all()
    assert float(topology["in_state"].float().mean()) == pytest.approx(0.25, abs=0.04)


@pytest.mark.parametrize("model", ["uma", "umi", "rma", "inh_open", "inf_dl"])
@pytest.mark.parametrize(("los", "expected"), [("los", True), ("nlos", False)])
def test_line_of_sight_is_forced(model, los, expected):
    rays = drawn(Channel(model=model, los=los, num_users=4), 8)
    assert (rays.line_of_sight == expected).all()
    assert bool((rays.amplitude[..., rays.is_specular] > 0).all()) is expected


@pytest.mark.parametrize("model", INDOOR)
def test_indoor_users_stand_in_the_cell_of_the_standard(model):
    topology = draw_topology(Channel(model=model, num_users=16), 20, "cpu")
    hall = drops._HALLS[model]
    assert topology["in_state"].all()
    assert (topology["ut_loc"][..., 2] == hall.ue_height_m).all()
    assert (topology["bs_loc"][..., 2] == hall.bs_height_m).all()
    distance = topology["ut_loc"][..., :2].norm(dim=-1)
    assert (distance >= hall.min_distance_m - 1e-3).all()
    assert (distance <= hall.spacing_m).all()


def test_path_loss_of_an_open_office_is_that_of_the_standard():
    """TR 38.901 Table 7.4.1-1, InH-Office LOS: 32.4 + 17.3 log10(d) + 20 log10(f)."""
    rays = drawn(Channel(model="inh_open", los="los", num_users=8, path_loss=True, carrier_frequency_ghz=5), 10)
    distance_m = (rays.position_user_m - rays.position_bs_m).norm(dim=-1)
    expected_db = 32.4 + 17.3 * distance_m.log10() + 20 * torch.tensor(5.0).log10()
    torch.testing.assert_close(-10 * rays.large_scale_gain.log10(), expected_db, atol=0.01, rtol=0)


@pytest.mark.parametrize("channel", [
    Channel(num_users=2), Channel(num_users=2, indoor_share=0.5, path_loss=True, shadow_fading=True),
    Channel(model="rma"), Channel(model="inh_mixed"),
], ids=["uma", "indoor", "rma", "inh"])
def test_a_kept_model_draws_as_a_new_one(channel):
    """Sionna reuses what a topology leaves out from the one before; that must not leak from chunk to chunk."""
    drops._model_for.cache_clear()
    kept = [drawn(channel, batch, seed) for batch, seed in ((3, 1), (5, 2), (3, 3))]
    drops._model_for.cache_clear()
    assert torch.equal(drawn(channel, 3, 3).amplitude, kept[2].amplitude)


def test_a_model_is_built_for_each_precision():
    for precision, dtype in (("single", torch.float32), ("double", torch.float64)):
        with sionna_seed(1):
            assert draw_rays(Channel(), 1, "cpu", precision).amplitude.dtype == dtype
    assert build_model(Channel(), "cpu", "double").precision == "double"


@pytest.mark.parametrize("model", ["uma", "umi"])
def test_indoor_users_stand_on_the_floors_of_the_standard(model):
    """TR 38.901 Table 7.2-1: 3 (n - 1) + 1.5 m, n uniform over 1 to N floors, N uniform over 4 to 8: mean 9 m."""
    with sionna_seed(3):
        topology = draw_topology(Channel(model=model, num_users=8, indoor_share=0.5), 2000, "cpu")
    height, indoor = topology["ut_loc"][..., 2], topology["in_state"]
    assert (height[~indoor] == 1.5).all()
    floor = (height[indoor] - 1.5) / 3 + 1
    shares = torch.stack([(floor == number).double().mean() for number in range(1, 9)])
    expected = torch.tensor([sum(1 / floors for floors in range(4, 9) if number <= floors) / 5
                             for number in range(1, 9)]).double()
    assert float(shares.sum()) == pytest.approx(1)
    torch.testing.assert_close(shares, expected, atol=0.015, rtol=0)
    assert float(height[indoor].mean()) == pytest.approx(9.0, abs=0.2)


def test_outdoor_users_are_drawn_as_if_nobody_stood_on_a_floor():
    with sionna_seed(3):
        mixed = draw_topology(Channel(num_users=8, indoor_share=1e-9), 50, "cpu")
    with sionna_seed(3):
        outdoors = draw_topology(Channel(num_users=8), 50, "cpu")
    assert all(torch.equal(mixed[name], outdoors[name]) for name in outdoors if name != "los")


@pytest.mark.parametrize(("loss", "carrier_ghz", "wall_db", "spread_db"), [
    ("auto", 3.5, 20.0, 0.0), ("fixed", 3.5, 20.0, 0.0), ("low", 3.5, None, 4.4), ("high", 3.5, None, 6.5),
    ("auto", 28, None, 4.4), ("low", 28, None, 4.4), ("high", 28, None, 6.5),
])
def test_penetration_loss_is_that_of_the_model_asked_for(loss, carrier_ghz, wall_db, spread_db):
    """TR 38.901 Tables 7.4.3-1 to 7.4.3-3: wall, 0.5 dB a metre inside, a normal term of each user."""
    channel = Channel(model="umi", carrier_frequency_ghz=carrier_ghz, indoor_share=1, path_loss=True, num_users=8,
                      o2i_penetration_loss=loss)
    glass, insulated, concrete = 2 + 0.2 * carrier_ghz, 25.4 + 0.11 * carrier_ghz, 5 + 4 * carrier_ghz
    shares = ((0.7, insulated), (0.3, concrete)) if spread_db == 6.5 else ((0.3, glass), (0.7, concrete))
    if wall_db is None:
        wall_db = 5 - 10 * math.log10(sum(share * 10 ** (-one / 10) for share, one in shares))
    model = build_model(channel, "cpu", "double")
    with sionna_seed(1):
        model.set_topology(**draw_topology(channel, 250, "cpu", "double"))
        scenario = model._scenario
        rest_db = model._lsp_sampler.sample_pathloss() - scenario.basic_pathloss - 0.5 * scenario.distance_2d_in
    assert float(rest_db.mean()) == pytest.approx(wall_db, abs=0.6)
    assert float(rest_db.std()) == pytest.approx(spread_db, abs=0.35)


@pytest.mark.parametrize(("fields", "words"), [
    ({"model": "rma", "o2i_penetration_loss": "high", "path_loss": True}, "low loss alone"),
    ({"model": "inh_open", "o2i_penetration_loss": "low", "path_loss": True}, "no way from outdoors"),
    ({"carrier_frequency_ghz": 6, "o2i_penetration_loss": "fixed", "path_loss": True}, "carriers below 6 GHz"),
    ({"o2i_penetration_loss": "high"}, "write path_loss: true"),
])
def test_a_penetration_loss_that_would_not_count_is_refused(fields, words):
    with pytest.raises(ValidationError, match=words):
        Channel(**fields)
