"""Which positions drops are drawn from: sets apart, the same for the same seed, errors in one line."""

import pytest
import torch
from scipy.spatial import cKDTree

from linksim.bounds.genie import genie_lmmse
from linksim.channel.ray_traced.drops import chosen_positions, drawn_positions, ray_traced_drops
from linksim.channel.ray_traced.split import SETS, positions_of
from linksim.channel.source import chunk_of_drops
from linksim.core.errors import ScenarioError
from linksim.core.seeding import generator
from linksim.metrics import nmse
from linksim.nr.acquisition import acquire
from linksim.scenario.ray_traced import RayTraced
from linksim.scenario.schema import Acquisition


def test_sets_are_apart(make_table):
    options = RayTraced(block_m=20, guard_m=5)
    place = make_table(num=5000).position_m.numpy()
    sets = {name: place[positions_of(name, place, options)][:, :2] for name in SETS}
    assert all(len(points) > 100 for points in sets.values())
    for first in SETS:
        for second in SETS:
            if first != second:
                assert cKDTree(sets[first]).query(sets[second])[0].min() >= 5
    assert len(sets["test"]) == pytest.approx(0.25 * len(place), rel=0.25)


def test_a_set_does_not_depend_on_the_other_positions_of_the_table(make_table):
    place = make_table(num=500).position_m.numpy()
    options = RayTraced(guard_m=0)
    whole = positions_of("test", place, options)
    assert (positions_of("test", place[:100], options) == whole[:100]).all()


def test_training_validation_and_test_stand_on_different_ground(make_table, make_channel, made):
    channel = make_channel()
    made(make_table(num=3000), channel)
    chunks = {split: chunk_of_drops(channel, 50, 7, 0, split=split) for split in ("test", "training", "validation")}
    stand = {name: {tuple(place) for place in drops.uplink_rays.position_user_m.flatten(0, 1).tolist()}
             for name, drops in chunks.items()}
    assert all(len(places) == 50 for places in stand.values())
    assert not stand["test"] & stand["training"]
    assert not stand["test"] & stand["validation"]
    assert not stand["training"] & stand["validation"]


def test_same_seed_same_drops_and_global_random_state_untouched(make_table, make_channel, made):
    channel = make_channel(num_users=3, normalization="drop")
    made(make_table(), channel)
    state = torch.random.get_rng_state()
    first, second, other = (ray_traced_drops(channel, 5, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first.history.h, second.history.h)
    assert torch.equal(first.future.h, second.future.h)
    assert not torch.equal(first.history.h, other.history.h)
    assert len({tuple(place) for place in first.uplink_rays.position_user_m[0].tolist()}) == 3


def test_users_of_a_drop_stand_apart_even_where_positions_are_few():
    drawn = drawn_positions(5, 40, 4, generator(1))
    assert drawn.shape == (40, 4)
    assert all(len(set(drop.tolist())) == 4 for drop in drawn)
    once = drawn_positions(100, 25, 4, generator(1))
    assert len(once.unique()) == 100


def test_too_few_positions_is_one_line(make_table, make_channel, made):
    channel = make_channel(num_users=8, bs_array={"rows": 2, "columns": 4})
    made(make_table(num=12), channel)
    with pytest.raises(ScenarioError, match=r"for test in munich.*too few for channel.num_users = 8.*radius_m"):
        chosen_positions(channel, "test")
    nlos = make_channel(los="nlos")
    made(make_table(), nlos)
    with pytest.raises(ScenarioError, match=r"^channel.ray_traced: 0 positions"):
        chosen_positions(nlos, "test")


def test_weak_positions_and_paths_are_left_out(make_table, make_channel, made):
    table = make_table(num=2000, num_paths=6)
    options = RayTraced(max_paths=3, path_range_db=9, min_path_gain_db=float(table.total_gain.median().log10() * 10))
    channel = make_channel(ray_traced=options)
    found = chosen_positions(channel, "test") if made(table, channel) else None
    assert found.num_paths.max() <= 3
    assert found.total_gain.min() >= table.total_gain.median() * 0.999
    used = found.path_gain > 0
    assert torch.all(found.path_gain[used] >= (found.path_gain[:, :1] * 10**-0.9).expand_as(found.path_gain)[used])


@pytest.mark.parametrize("duplex", ["tdd", "fdd_adjacent", "fdd_gapped_coherent"])
def test_genie_bound_lies_below_holding(make_table, make_channel, made, duplex):
    channel = make_channel(duplex=duplex, num_history=8, speed_kmh=30)
    made(make_table(), channel)
    drops = ray_traced_drops(channel, 20, 5)
    history, observation = acquire(drops.history, Acquisition(csi_snr_db=15), generator(1))
    bound = nmse(genie_lmmse(drops, observation).h, drops.future.h)
    held = nmse(history.h[..., -1:, :].expand_as(drops.future.h), drops.future.h)
    assert bound < 0.5 * held
    assert bound < 0.05
