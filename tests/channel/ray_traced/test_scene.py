"""Terminals stand on open ground, on a grid or where the user says."""

import numpy as np
import pytest

from linksim.channel.ray_traced.area import make_area
from linksim.core.errors import ScenarioError
from linksim.scenario.ray_traced import RayTraced

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def scene(sionna_rt):
    from linksim.channel.ray_traced.scene import load_scene

    return load_scene(RayTraced(scene="procedural"), 3.5e9)


def candidates(scene, **options):
    from linksim.channel.ray_traced.scene import candidate_positions

    return candidate_positions(scene, RayTraced(scene="procedural", **options))


def test_the_grid_keeps_out_of_buildings(scene):
    found = candidates(scene)
    assert len(found) > 100
    assert np.all(make_area(0).height_m(*found[:, :2].T) == 0)
    assert np.allclose(found[:, 2], 1.5)


def test_given_positions_are_taken_as_they_are(scene):
    wanted = candidates(scene)[[7, 3, 90], :2]
    assert np.allclose(candidates(scene, terminal_positions_m=wanted.tolist())[:, :2], wanted)


@pytest.mark.parametrize("where", ["inside", "beyond"])
def test_one_inside_a_building_or_off_the_ground_is_named(scene, where):
    street = candidates(scene)[0, :2].tolist()
    wrong = list(make_area(0).buildings[5].centre_m) if where == "inside" else [1e5, 0]
    with pytest.raises(ScenarioError, match=r"terminal_positions_m\.1: .*2 of 3 positions"):
        candidates(scene, terminal_positions_m=[street, wrong, wrong])
