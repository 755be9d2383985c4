"""Answers are scored against the truth, and put to work on the link."""

import pytest
import torch

from linksim.blocks.universal.base import UniversalShape
from linksim.channel.ray_traced.drops import ray_traced_drops
from linksim.channel.source import places_of
from linksim.core import registry
from linksim.core.csi import Panel
from linksim.core.errors import ScenarioError
from linksim.link.measures import answers, task_link_measures, task_measures
from linksim.scenario.channel import Channel

AREAS = {"scene": "procedural", "num_areas": 5, "positions_per_area": 12, "split": "random", "min_path_gain_db": -200,
         "synchronized": False}


@pytest.fixture
def drawn(traced_areas, make_channel):
    channel = make_channel(ray_traced=AREAS, num_history=1, num_future=1, speed_kmh=0)
    drops = ray_traced_drops(channel, 12, 3, split="training")
    return drops, places_of(drops, channel), channel


def _block(name="true_channel", **sizes):
    block = registry.create("universal", name)
    block.prepare(UniversalShape(**{"num_ue_antennas": 1, "panel": Panel(1, 4, 1), "num_subcarriers": 8,
                                    "subcarrier_spacing_hz": 180e3, **sizes}))
    return block


def test_places_are_where_terminals_stand_in_the_axes_of_their_own_base_station(drawn):
    drops, places, _ = drawn
    rays = drops.uplink_rays
    distance = (rays.position_user_m - rays.position_bs_m).norm(dim=-1)
    torch.testing.assert_close(places.offset_m.norm(dim=-1), distance.float())
    assert (places.offset_m[..., 2] < 0).all()
    assert torch.equal(places.height_map, drops.area)
    assert places.maps.shape == (5, 128, 128)
    torch.testing.assert_close(places.gain_db, 10 * rays.large_scale_gain.log10().float())


def test_the_ceiling_is_the_ceiling(drawn):
    drops, places, _ = drawn
    found = answers(_block(), drops.history, drops.future, places)
    measures = task_measures(found, drops.future, places)
    assert measures["precoding_sgcs"].min() > 0.999
    assert measures["beam_top1"].min() == 1
    link = task_link_measures(found, drops.future, places, 0.1)
    assert link["beam_rate_loss_bps_hz"].abs().max() < 1e-5
    worse = {"precoding": torch.nn.functional.normalize(torch.randn(12, 4, 1, dtype=torch.complex64), dim=1),
             "beam": torch.randn(12, 4)}
    other = task_link_measures(worse, drops.future, places, 0.1)
    assert other["rate_bps_hz"].mean() < link["rate_bps_hz"].mean()
    assert (other["beam_rate_loss_bps_hz"] > -0.2).all()


def test_two_streams_share_the_power(traced_areas, make_channel):
    channel = make_channel(ray_traced=AREAS, num_history=1, num_future=1, speed_kmh=0,
                           ue_array={"num_antennas": 2})
    drops = ray_traced_drops(channel, 12, 3, split="training")
    places = places_of(drops, channel)
    one, two = ({"precoding": answers(_block(num_ue_antennas=2, num_streams=streams), drops.history, drops.future,
                                      places)["precoding"]} for streams in (1, 2))
    assert two["precoding"].shape == (12, 4, 2)
    assert task_measures(two, drops.future, places)["precoding_sgcs"].min() > 0.999
    rate = {noise: [task_link_measures(found, drops.future, places, noise)["rate_bps_hz"] for found in (one, two)]
            for noise in (1e2, 1e-6)}
    assert (rate[1e2][0] > rate[1e2][1]).all(), "power on the weaker stream is lost in noise"
    assert (rate[1e-6][0] < rate[1e-6][1]).all(), "two streams carry more where there is power for both"


def test_only_what_is_answered_is_measured(drawn):
    drops, places, _ = drawn
    measures = task_measures({"los": torch.ones(12)}, drops.future, places)
    assert list(measures) == ["los_correct"]
    assert measures["los_correct"].shape == (12, 1)
    truth = {"position": places.offset_m[..., :2].flatten(0, 1) + torch.tensor([3.0, 4.0]),
             "path_loss": -places.gain_db.flatten() + 2}
    measures = task_measures(truth, drops.future, places)
    assert measures["position_error_m"].flatten().tolist() == pytest.approx([5] * 12, abs=1e-4)
    assert measures["path_loss_squared_db"].flatten().tolist() == pytest.approx([4] * 12, abs=1e-3)


def test_places_of_drawn_channels_are_refused(drawn):
    with pytest.raises(ScenarioError, match=r"channel\.source: positions and maps are those of ray-traced"):
        places_of(drawn[0], Channel())
