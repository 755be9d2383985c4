"""Procedural areas are areas: apart, with streets between houses, each its own."""

import numpy as np
import pytest

from linksim.channel.ray_traced.area import MATERIALS, SIDE_M, make_area
from linksim.channel.ray_traced.scene import write_area


def _raster(area, cell_m=2.0):
    line = np.arange(-SIDE_M / 2, SIDE_M / 2, cell_m) + cell_m / 2
    return area.height_m(*np.meshgrid(line, line))


def test_a_number_is_one_area_and_another_number_another():
    first, again, other = make_area(3), make_area(3), make_area(4)
    assert len(first.buildings) == len(again.buildings)
    assert all(np.array_equal(a.corners_m, b.corners_m) and a.height_m == b.height_m and a.material == b.material
               for a, b in zip(first.buildings, again.buildings))
    assert not np.array_equal(_raster(first), _raster(other))


@pytest.mark.parametrize("number", range(12))
def test_buildings_cover_a_part_of_the_ground_and_never_each_other(number):
    area = make_area(number)
    assert 0.1 < (_raster(area) > 0).mean() < 0.6
    footprints = sum(np.linalg.norm(b.corners_m[1] - b.corners_m[0]) * np.linalg.norm(b.corners_m[3] - b.corners_m[0])
                     for b in area.buildings)
    assert (_raster(area, 1.0) > 0).sum() <= footprints * 1.02  # the turned square sticks out of the raster
    line = np.arange(-SIDE_M, SIDE_M, 2.0) + 0.3
    x, y = np.meshgrid(line, line)
    assert sum(building.covers(x, y).astype(int) for building in area.buildings).max() == 1
    assert {building.material for building in area.buildings} <= set(MATERIALS)


@pytest.mark.parametrize("azimuth_deg", [0, 90, 200])
def test_a_base_station_stands_above_a_roof_and_looks_over_the_area(azimuth_deg):
    for number in range(6):
        area = make_area(number)
        x, y, z = area.site_m(azimuth_deg)
        assert z >= area.height_m(np.array([x]), np.array([y]))[0] + 6 - 1e-9
        ahead = -(x * np.cos(np.radians(azimuth_deg)) + y * np.sin(np.radians(azimuth_deg)))
        assert ahead > 0  # the middle lies in front of it


def test_files_hold_every_building_and_its_material(tmp_path):
    area = make_area(1)
    text = write_area(area, tmp_path).read_text()
    points = 0
    for material in {building.material for building in area.buildings}:
        assert f'id="{material}"' in text
        head = (tmp_path / f"buildings_{material}.ply").read_text().splitlines()[:3]
        points += int(head[2].split()[-1])
    assert points == 8 * len(area.buildings)
    assert (tmp_path / "ground.ply").is_file()
