"""Many areas: each traced by itself, dealt as a whole, users of a drop together."""

import pytest
import torch

from linksim.channel.ray_traced import path_tables
from linksim.channel.ray_traced.drops import chosen_positions, drawn_positions, ray_traced_drops
from linksim.channel.ray_traced.path_tables import path_table
from linksim.channel.ray_traced.table import table_name
from linksim.core.errors import ScenarioError
from linksim.core.seeding import generator
from linksim.scenario.identity import chosen_fields

AREAS = {"scene": "procedural", "num_areas": 12, "positions_per_area": 8, "split": "areas", "min_path_gain_db": -200}


def test_areas_are_traced_once_each_and_shared_by_sets_that_overlap(traced_areas, make_channel):
    table = path_table(make_channel(ray_traced=AREAS | {"num_areas": 4}))
    assert traced_areas == [0, 1, 2, 3]
    assert table.area.tolist() == [number for number in range(4) for _ in range(8)]
    assert len(table.bs_position_m.unique(dim=0)) == 4
    more = path_table(make_channel(ray_traced=AREAS | {"num_areas": 4, "first_area": 2}))
    assert traced_areas == [0, 1, 2, 3, 4, 5]
    assert torch.equal(more.position_m[:16], table.position_m[16:])


def test_a_single_area_has_its_own_name_in_the_cache(make_channel):
    names = {table_name(make_channel(ray_traced=options)) for options in (
        AREAS, AREAS | {"num_areas": 1}, AREAS | {"num_areas": 1, "first_area": 1},
        AREAS | {"num_areas": 1, "positions_per_area": 9}, {"scene": "munich"})}
    assert len(names) == 5
    same = make_channel(ray_traced=AREAS | {"split": "random"})
    assert table_name(make_channel(ray_traced=AREAS)) == table_name(same)


def test_areas_are_dealt_as_a_whole(traced_areas, make_channel):
    channel = make_channel(ray_traced=AREAS)
    sets = {name: set(chosen_positions(channel, name).area.tolist()) for name in ("test", "validation", "training")}
    assert sum(map(len, sets.values())) == len(set.union(*sets.values())) == 12


def test_positions_dealt_alone_are_shared_out_without_regard_to_place(traced_areas, make_channel):
    channel = make_channel(ray_traced=AREAS | {"split": "random", "num_areas": 12})
    counts = {name: len(chosen_positions(channel, name)) for name in ("test", "validation", "training")}
    assert sum(counts.values()) == 96
    assert counts["training"] > counts["test"] > counts["validation"] > 0


def test_users_of_a_drop_stand_in_one_area_and_drops_know_which(traced_areas, make_channel):
    channel = make_channel(ray_traced=AREAS, num_users=3)
    drops = ray_traced_drops(channel, 20, 5, split="training")
    assert drops.area.shape == (20, 3)
    assert (drops.area == drops.area[:, :1]).all()
    assert len(drops.area.unique()) > 1
    place = drops.uplink_rays.position_bs_m
    assert (place == place[:, :1]).all()
    which = drawn_positions(6, 40, 2, generator(1), torch.tensor([0, 0, 0, 1, 1, 2]))
    assert 5 not in which  # alone in its area


def test_more_users_than_an_area_has_positions_is_one_line(traced_areas, make_channel):
    with pytest.raises(ScenarioError, match=r"8 positions for training in areas 0 to 11"):
        ray_traced_drops(make_channel(ray_traced=AREAS, num_users=9), 2, 1, split="training")


@pytest.mark.parametrize(("options", "said"), [
    ({"scene": "munich", "num_areas": 3}, "num_areas: munich is one area"),
    ({"scene": "munich", "split": "areas"}, "split: munich is one area"),
    ({"scene": "procedural", "num_areas": 2, "position_m": [0, 0, 30]}, "position_m: every area has a roof"),
    ({"scene": "procedurall"}, "procedural"),
])
def test_options_that_do_not_go_together(make_channel, options, said):
    with pytest.raises(ValueError, match=said):
        make_channel(ray_traced=options)


@pytest.mark.slow
def test_areas_traced_side_by_side_are_those_traced_in_turn(sionna_rt, make_channel, monkeypatch, tmp_path):
    channel = make_channel(ray_traced=AREAS | {"num_areas": 2})
    tables = []
    for processes in (1, 2):
        monkeypatch.setenv("LINKSIM_CACHE", str(tmp_path / str(processes)))
        monkeypatch.setattr(path_tables, "num_processes", lambda jobs, processes=processes: processes)
        tables.append(path_table(channel))
    assert torch.equal(tables[0].transfer, tables[1].transfer)
    assert tables[0].line_of_sight.any()


def test_an_option_at_its_default_names_nothing_new(make_channel):
    assert not {"split", "num_areas", "first_area"} & set(chosen_fields(make_channel().ray_traced))
    assert chosen_fields(make_channel(ray_traced={"split": "random"}).ray_traced)["split"] == "random"
