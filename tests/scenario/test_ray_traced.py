"""The ray_traced section: faults in one line, and scenarios without it are what they were."""

import pytest

from linksim.channel.ray_traced.table import table_name
from linksim.core.errors import ScenarioError
from linksim.loading.load import load_scenario, scenario_from_dict
from linksim.scenario.channel import Channel
from linksim.scenario.identity import chosen_fields, scenario_hash, stream_fields

TRACED = {"channel.source": "ray_traced", "channel.carrier_frequency_ghz": 3.4}


@pytest.mark.parametrize(("changes", "fault"), [
    ({"channel.ray_traced.scene": "munch"}, r"none is called 'munch' .*: did you mean 'munich'\?"),
    ({"channel.ray_traced.scene": "mine.xml", "channel.ray_traced.position_m": [0, 0, 30]}, "no such file"),
    ({"channel.model": "umi"}, "ray_traced, which has no model"),
    ({"channel.indoor_share": 0.5}, "has no indoor_share"),
    ({"channel.bs_array.height_m": 20}, "position_m"),
    ({"channel.carrier_frequency_ghz": 0.7}, "at least 1"),
    ({"channel.ray_traced.max_depht": 3}, "did you mean 'max_depth'"),
    ({"channel.ray_traced.test_share": 0.8, "channel.ray_traced.validation_share": 0.3}, "exceed 1"),
    ({"channel.ray_traced.edge_diffraction": True, "channel.ray_traced.diffraction": False}, "needs diffraction"),
    ({"channel.ray_traced.min_distance_m": 400}, "must be below radius_m"),
    ({"channel.ray_traced.terminal_positions_m": [[1, 2]], "channel.ray_traced.radius_m": 50}, "leave one of them out"),
    ({"channel.ray_traced.terminal_positions_m": [[1, 2, 3]]}, r"terminal_positions_m\.0"),
    ({"channel.ray_traced.terminal_positions_m": []}, "at least 1"),
    ({"channel.files.path": "a.h5"}, "files are given, but source is ray_traced"),
])
def test_a_fault_is_one_line_with_its_place(command, scenario_file, tmp_path, changes, fault):
    path = scenario_file(TRACED | changes)
    outcome = command("run", path, "--output", tmp_path / "out")
    assert outcome.code == 2
    assert "small.yaml" in outcome.line
    with pytest.raises(ScenarioError, match=fault):
        load_scenario(path)
    assert not (tmp_path / "out").exists()


def test_the_short_form_is_the_same_scenario(scenario_file):
    short = load_scenario(scenario_file({"channel.source": "ray_tracing", "channel.scene": "etoile",
                                         "channel.ray_traced.grid_spacing_m": 4}))
    assert short == load_scenario(scenario_file(TRACED | {
        "channel.carrier_frequency_ghz": short.channel.carrier_frequency_ghz, "channel.ray_traced.scene": "etoile",
        "channel.ray_traced.grid_spacing_m": 4}))


@pytest.mark.parametrize(("changes", "fault"), [
    ({"channel.scene": "munch"}, "did you mean 'munich'"),
    ({"channel.scene": "munich", "channel.ray_traced.scene": "etoile"}, "did you mean 'channel.ray_traced.scene'"),
])
def test_a_fault_of_the_short_form_is_named(scenario_file, changes, fault):
    with pytest.raises(ScenarioError, match=fault):
        load_scenario(scenario_file({"channel.source": "ray_tracing"} | changes))


def test_a_scene_of_the_short_form_lies_beside_its_scenario(scenario_file, tmp_path):
    (tmp_path / "mine.xml").write_text("<scene/>")
    channel = load_scenario(scenario_file({"channel.source": "ray_tracing", "channel.scene": "mine.xml",
                                           "channel.ray_traced.position_m": [0, 0, 30]})).channel
    assert channel.ray_traced.scene == str(tmp_path / "mine.xml")


def test_options_of_another_source_are_refused(tiny):
    with pytest.raises(ScenarioError, match="write source: ray_traced"):
        scenario_from_dict(tiny({"channel.ray_traced.scene": "etoile"}))


def test_a_scene_of_the_user_counts_by_content(scenario_file, tmp_path):
    changes = TRACED | {"channel.ray_traced.scene": "mine.xml", "channel.ray_traced.position_m": [0, 0, 30]}
    scene = '<scene><shape type="ply"><string name="filename" value="a.ply"/></shape></scene>'
    (tmp_path / "mine.xml").write_text(scene)
    (tmp_path / "a.ply").write_text("one")
    first = load_scenario(scenario_file(changes))
    assert first.channel.ray_traced.scene == str(tmp_path / "mine.xml")
    (tmp_path / "a.ply").write_text("two")
    second = load_scenario(scenario_file(changes))
    assert scenario_hash(first) != scenario_hash(second)
    moved = first.model_copy(update={"channel": first.channel.model_copy(update={
        "ray_traced": first.channel.ray_traced.model_copy(update={"scene": "/elsewhere/mine.xml"})})})
    assert scenario_hash(moved) == scenario_hash(first)


def test_given_positions_are_another_table():
    first = Channel(source="ray_traced", ray_traced={"terminal_positions_m": [[1, 2]]})
    second = Channel(source="ray_traced", ray_traced={"terminal_positions_m": [[1, 3]]})
    assert len({table_name(channel) for channel in (first, second, Channel(source="ray_traced"))}) == 3
    assert "terminal_positions_m" not in chosen_fields(Channel(source="ray_traced").ray_traced)


def test_models_do_not_know_the_section():
    assert "ray_traced" not in stream_fields(Channel())
    assert "ray_traced" in stream_fields(Channel(source="ray_traced"))
