"""Ways along streets: the channel is that of where the terminal is, however far it has gone."""

import math

import pytest
import torch

from linksim.channel.ray_traced import tracks
from linksim.channel.ray_traced.drops import ray_traced_drops
from linksim.channel.ray_traced.table import PathTable
from linksim.channel.ray_traced.tracks import TrackTable, chosen_tracks, track_table, way_m
from linksim.core.errors import ScenarioError
from linksim.loading.load import load_scenario

LIGHT = 299792458.0
CARRIER_HZ = 3.4e9
BS = torch.tensor([0.0, 0.0, 25.0], dtype=torch.float64)


def _direct(position_m):
    """Line of sight to every position."""
    way = position_m - BS
    length = way.norm(dim=-1)
    x, y, z = (way / length[:, None]).unbind(-1)
    gain = LIGHT / CARRIER_HZ / (4 * math.pi * length)
    return PathTable(
        position_m=position_m, bs_position_m=BS, transfer=(gain[:, None, None, None] * torch.tensor(
            [[1.0, 0], [0, -1]])).to(torch.complex64), delay_s=(length / LIGHT)[:, None],
        departure=torch.stack([z.acos(), torch.atan2(y, x)], -1)[:, None],
        arrival=torch.stack([(-z).acos(), torch.atan2(-y, -x)], -1)[:, None],
        num_paths=torch.ones(len(way), dtype=torch.long), line_of_sight=torch.ones(len(way), dtype=torch.bool),
        total_gain=gain**2)


@pytest.fixture
def walking(make_channel, monkeypatch, tmp_path):
    """A channel of ways past a base station, and the table behind it."""
    monkeypatch.setenv("LINKSIM_CACHE", str(tmp_path))

    def make(spacing_m=0.25, num_ways=40, **changes):
        channel = make_channel(**{"ray_traced": {"track_spacing_m": spacing_m, "num_tracks": num_ways,
                                                 "synchronized": False},
                                  "speed_kmh": 36, "csi_period_ms": 20, "num_history": 12, "num_future": 3,
                                  "precision": "double", **changes})
        num_points = round(way_m(channel) / spacing_m) + 1
        draw = torch.Generator().manual_seed(1)
        start = torch.cat([200 * torch.rand(num_ways, 2, generator=draw, dtype=torch.float64) - 100,
                           torch.full((num_ways, 1), 1.5, dtype=torch.float64)], 1)
        heading = 2 * math.pi * torch.rand(num_ways, generator=draw, dtype=torch.float64)
        along = spacing_m * torch.arange(num_points, dtype=torch.float64)[None, :, None]
        step = torch.stack([heading.cos(), heading.sin(), 0 * heading], -1)[:, None]
        kept = TrackTable(_direct((start[:, None] + along * step).flatten(0, 1)), heading, num_points)
        monkeypatch.setattr(tracks, "_traced", lambda *_: {**kept.paths.to_tensors(), "heading": kept.heading})
        return channel

    yield make
    tracks._TABLES.clear()


def test_phases_go_on_from_point_to_point_as_the_terminal_moves(walking):
    """Ways of 2.8 m past a base station: traced every 25 cm, or 5 cm, the channel is the same."""
    coarse, fine = (ray_traced_drops(walking(spacing), 10, 3, split="training") for spacing in (0.25, 0.05))
    for name in ("history", "future"):
        first, second = getattr(coarse, name).h, getattr(fine, name).h
        assert ((first - second).norm() / second.norm()) < 0.02


def test_paths_that_stay_are_wrong_by_the_end_of_the_way(walking, monkeypatch):
    channel = walking()
    moved = ray_traced_drops(channel, 10, 3, split="training")
    kept = moved.response(moved.future.time_s).h
    error = (kept - moved.future.h).norm() / moved.future.h.norm()
    assert error > 0.2, "a straight line is not an arc"


def test_the_channel_is_that_of_the_place(walking):
    """A way of one antenna in free space: gain and phase are those of the distance at each time."""
    channel = walking(bs_array={"rows": 1, "columns": 1, "polarization": "single", "pattern": "omni",
                                "downtilt_deg": 0}, normalization="none", num_subcarriers=1)
    drops = ray_traced_drops(channel, 8, 3, split="training")
    table = chosen_tracks(channel, "training")
    start = drops.uplink_rays.position_user_m[:, 0]
    for drop in range(8):
        way = int((table.start_m - start[drop]).norm(dim=1).argmin())
        step = torch.tensor([table.heading[way].cos(), table.heading[way].sin(), 0.0])
        place = start[drop] + 10.0 * drops.future.time_s[:, None].cpu() * step
        distance = (place - BS).norm(dim=1)
        h = drops.future.h[drop, 0, 0, 0, :, 0]
        assert (h.abs() * distance / (h.abs() * distance).mean()).tolist() == pytest.approx([1] * 3, abs=0.05)
        turned = (h[1:] * h[:-1].conj()).angle()
        expected = -2 * math.pi * (distance[1:] - distance[:-1]) * CARRIER_HZ / LIGHT
        assert torch.polar(torch.ones(2, dtype=torch.float64), turned - expected).real.min() > 0.95


def test_same_seed_same_drops_and_sets_begin_apart(walking):
    channel = walking(num_ways=200)
    first, second = (ray_traced_drops(channel, 4, 9) for _ in range(2))
    assert torch.equal(first.history.h, second.history.h)
    starts = {name: {tuple(place) for place in chosen_tracks(channel, name).start_m.tolist()}
              for name in ("training", "validation", "test")}
    assert not starts["training"] & starts["test"]
    assert all(starts.values())


def test_a_terminal_that_stands_still_has_one_point(walking):
    channel = walking(speed_kmh=0)
    assert track_table(channel, print).num_points == 1
    h = ray_traced_drops(channel, 3, 1, split="training").history.h
    torch.testing.assert_close(h[..., :1, :].expand_as(h), h)


def test_too_few_ways_is_one_line(walking):
    with pytest.raises(ScenarioError, match=r"channel\.ray_traced: \d+ ways for test in munich, too few"):
        ray_traced_drops(walking(num_ways=3, num_users=4), 1, 1)


@pytest.mark.parametrize(("changes", "said"), [
    ({"channel.duplex": "fdd_adjacent"}, "ways are traced for one band"),
    ({"channel.ray_traced": {"scene": "procedural", "num_areas": 2, "track_spacing_m": 1}}, "one scene or area at a"),
    ({}, "bounds: genie_lmmse: needs rays that stay"),
])
def test_what_does_not_go_with_ways(scenario_file, changes, said):
    path = scenario_file({"channel.source": "ray_traced", "channel.ray_traced": {"track_spacing_m": 0.5},
                          "bounds": ["genie_lmmse"], **changes})
    with pytest.raises(ScenarioError, match=said):
        load_scenario(path)


@pytest.mark.slow
def test_free_ways_end_at_walls(sionna_rt):
    from linksim.channel.ray_traced.area import make_area
    from linksim.channel.ray_traced.scene import candidate_positions, free_ways, load_scene
    from linksim.scenario.ray_traced import RayTraced

    options = RayTraced(scene="procedural", first_area=2, positions_per_area=30)
    scene = load_scene(options, CARRIER_HZ)
    places = candidate_positions(scene, options)
    heading, free = free_ways(scene, places)
    area = make_area(2)
    for place, turn, far in zip(places, heading, free):
        steps = [distance for distance in range(0, int(min(far, 100)))]
        x, y = (place[axis] + torch.tensor(steps).numpy() * (math.cos, math.sin)[axis](turn) for axis in (0, 1))
        assert (area.height_m(x, y) == 0).all()
