"""Where the base station of a ray-traced channel stands and faces."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from linksim.channel.ray_traced.area import make_area
from linksim.channel.ray_traced.imported.deepmimo import read_deepmimo
from linksim.channel.ray_traced.imported.wair_d import BS_HEIGHT_M, area_folder, read_info
from linksim.scenario.ray_traced import PROCEDURAL, SITES, RayTraced, Site


def site_of(options: RayTraced) -> Site:
    """As the options say, else the scene's own roof-top site; with several areas, that of the first."""
    given = SITES.get(options.scene, Site((0.0, 0.0, 0.0), 0.0))
    if options.scene == PROCEDURAL and options.position_m is None:
        given = Site(make_area(options.first_area).site_m(options.azimuth_deg or 0.0), 0.0)
    if options.imported:
        given = Site(bs_position_m(options.scene, options.first_area, options.base_station), 0.0)
    return Site(given.position_m if options.position_m is None else options.position_m,
                given.azimuth_deg if options.azimuth_deg is None else options.azimuth_deg)


@lru_cache(maxsize=64)
def bs_position_m(scene: str, area: int, base_station: int) -> tuple[float, float, float]:
    """Where a base station of an imported area stands, in the area's axes."""
    path = Path(scene)
    if path.is_dir():
        _, rows = read_info(area_folder(path, area))
        stations = list(dict.fromkeys(map(tuple, rows[:, :2].tolist())))
        return (*stations[min(base_station, len(stations) - 1)], BS_HEIGHT_M)
    return tuple(read_deepmimo(path)["tx_pos"].tolist())
