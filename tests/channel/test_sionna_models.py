"""What a channel section means: what is set on purpose is set, and normalisation has no fading in it."""

import pytest
import torch

from linksim.channel import sionna_models
from linksim.channel.response import frequency_response
from linksim.channel.sionna_models import build_model, draw_rays, draw_topology
from linksim.scenario.channel import Channel
from linksim.seeding import sionna_seed

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
    hall = sionna_models._HALLS[model]
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
    sionna_models._model_for.cache_clear()
    kept = [drawn(channel, batch, seed) for batch, seed in ((3, 1), (5, 2), (3, 3))]
    sionna_models._model_for.cache_clear()
    assert torch.equal(drawn(channel, 3, 3).amplitude, kept[2].amplitude)


def test_a_model_is_built_for_each_precision():
    for precision, dtype in (("single", torch.float32), ("double", torch.float64)):
        with sionna_seed(1):
            assert draw_rays(Channel(), 1, "cpu", precision).amplitude.dtype == dtype
    assert build_model(Channel(), "cpu", "double").precision == "double"
