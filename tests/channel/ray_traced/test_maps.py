"""Maps of heights lie in the base station's own axes."""

import numpy as np
import pytest
import torch

from linksim.channel.ray_traced.area import make_area
from linksim.channel.ray_traced.maps import BEHIND_M, CELL_M, CELLS, cell_centres, from_scene, height_map, to_scene
from linksim.channel.ray_traced.site import site_of
from linksim.scenario.ray_traced import RayTraced


@pytest.mark.parametrize("azimuth_deg", [0, 30, -120])
def test_a_map_shows_what_stands_in_the_scene(azimuth_deg):
    options = RayTraced(scene="procedural", first_area=7, azimuth_deg=azimuth_deg)
    found = height_map(options).numpy()
    row, column = np.unravel_index(found.argmax(), found.shape)
    ahead, left = cell_centres()
    x, y = to_scene(options, ahead[row, column], left[row, column])
    assert make_area(7).height_m(np.array([x]), np.array([y]))[0] == pytest.approx(found.max())
    back = from_scene(azimuth_deg, torch.tensor([x, y, 0.0]) - torch.tensor([*site_of(options).position_m[:2], 0.0]))
    assert back[:2].tolist() == pytest.approx([ahead[row, column], left[row, column]], abs=1e-3)


def test_the_base_station_stands_on_the_map_and_on_a_roof():
    options = RayTraced(scene="procedural", first_area=2)
    here = height_map(options)[CELLS // 2, int(BEHIND_M / CELL_M)]
    assert 0 < here <= site_of(options).position_m[2] - 6 + 1e-4


@pytest.mark.slow
def test_a_scene_seen_from_above_is_its_geometry(sionna_rt, monkeypatch, tmp_path):
    from linksim.channel.ray_traced.scene import write_area

    monkeypatch.setenv("LINKSIM_CACHE", str(tmp_path))
    drawn = RayTraced(scene="procedural", first_area=3, azimuth_deg=20)
    seen = RayTraced(scene=str(write_area(make_area(3), tmp_path)),
                     position_m=site_of(drawn).position_m, azimuth_deg=20)
    assert (height_map(drawn) - height_map(seen)).abs().gt(0.1).float().mean() < 0.01
