"""A scene of Sionna RT, and where in it terminals may stand: outdoors, under the open sky."""

from __future__ import annotations

import hashlib
import math
import re
import tempfile
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from linksim.channel.ray_traced.area import GROUND, SIDE_M, Area, Building, make_area
from linksim.channel.ray_traced.runtime import import_sionna_rt
from linksim.channel.ray_traced.site import site_of
from linksim.core.errors import ScenarioError
from linksim.core.seeding import stream_seed
from linksim.scenario.ray_traced import PROCEDURAL, RayTraced

_THICKNESS_M = 0.1
_GROUND_M = 2 * SIDE_M
"""Side of the ground, which goes on where the buildings end."""


def write_area(area: Area, folder: Path) -> Path:
    """Write the scene of an area.

    :param folder: is there.
    :returns: the file to load.
    """
    side = _GROUND_M / 2
    ground = np.array([(-side, -side, 0), (side, -side, 0), (side, side, 0), (-side, side, 0)])
    shapes = {"ground": (GROUND, ground, np.array([(0, 1, 2), (0, 2, 3)]))}
    for material in sorted({building.material for building in area.buildings}):
        shapes[f"buildings_{material}"] = (material, *_mesh([one for one in area.buildings
                                                             if one.material == material]))
    for name, (_, points, triangles) in shapes.items():
        _write_mesh(folder / f"{name}.ply", points, triangles)
    path = folder / "area.xml"
    path.write_text(_scene({name: material for name, (material, _, _) in shapes.items()}), encoding="utf-8")
    return path


def _mesh(buildings: list[Building]) -> tuple[np.ndarray, np.ndarray]:
    """Corners ``[point, 3]`` and triangles ``[triangle, 3]`` of walls and roofs, seen from outside."""
    box = [(0, 1, 5), (0, 5, 4), (1, 2, 6), (1, 6, 5), (2, 3, 7), (2, 7, 6), (3, 0, 4), (3, 4, 7),  # walls
           (4, 5, 6), (4, 6, 7)]  # roof
    points = [np.column_stack([building.corners_m, np.full(4, height)])
              for building in buildings for height in (0.0, building.height_m)]
    triangles = np.array(box)[None] + 8 * np.arange(len(buildings))[:, None, None]
    return np.concatenate(points), triangles.reshape(-1, 3)


def _write_mesh(path: Path, points: np.ndarray, triangles: np.ndarray) -> None:
    """In the Stanford polygon format, as text."""
    lines = ["ply", "format ascii 1.0", f"element vertex {len(points)}", *(f"property float {axis}" for axis in "xyz"),
             f"element face {len(triangles)}", "property list uchar int vertex_indices", "end_header",
             *(" ".join(f"{value:.4f}" for value in point) for point in points),
             *(" ".join(map(str, (3, *triangle))) for triangle in triangles.tolist())]
    path.write_text("\n".join(lines) + "\n", encoding="ascii")


def _scene(shapes: dict[str, str]) -> str:
    """:param shapes: material of each mesh."""
    materials = "".join(
        f'<bsdf type="itu-radio-material" id="{name}"><string name="type" value="{name}"/>'
        f'<float name="thickness" value="{_THICKNESS_M}"/></bsdf>\n' for name in sorted(set(shapes.values())))
    meshes = "".join(
        f'<shape type="ply" id="mesh-{name}"><string name="filename" value="{name}.ply"/>'
        f'<boolean name="face_normals" value="true"/><ref id="{material}" name="bsdf"/></shape>\n'
        for name, material in shapes.items())
    return f'<scene version="2.1.0">\n{materials}{meshes}</scene>\n'


_GROUND = re.compile(r"(?i).*(ground|terrain|plane|floor|street|road|lawn|grass).*")
"""Names of objects that people walk on."""

_ANY_HZ = 3.5e9
"""Heights do not depend on the carrier, but scenes have one."""

_DIRECTIONS = 48
_NOTHING_M = 1000.0
"""How far a terminal gets where nothing is in its way."""

_FLAT_M = 1.0
"""Where no object has such a name, ground is what lies this close to the lowest surface."""


def load_scene(options: RayTraced, carrier_hz: float) -> Any:
    """The scene at a carrier, without devices.

    :raises ScenarioError: it cannot be loaded, or a material is not known at this carrier.
    """
    rt = import_sionna_rt()
    try:
        if options.scene == PROCEDURAL:
            scene = _loaded_area(rt, options.first_area)
        else:
            path = options.scene if options.of_user else getattr(rt.scene, options.scene)
            scene = rt.load_scene(path, merge_shapes_exclude_regex=_GROUND.pattern)
        scene.frequency = carrier_hz
    except (OSError, RuntimeError, ValueError, ElementTree.ParseError) as error:
        said = " ".join(str(error).split())
        raise ScenarioError(f"channel.ray_traced.scene: {options.scene} cannot be used at "
                            f"{carrier_hz / 1e9:g} GHz: {said}") from None
    return scene


def _loaded_area(rt: Any, number: int) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        return rt.load_scene(str(write_area(make_area(number), Path(folder))),
                             merge_shapes_exclude_regex=_GROUND.pattern)


def candidate_positions(scene: Any, options: RayTraced) -> np.ndarray:
    """Points of a grid, or those given, at the terminals' height above ground that has nothing above it.

    :returns: ``[position, 3]``, m, float64; of an area, no more than wanted.
    :raises ScenarioError: there is none, or one of those given is elsewhere.
    """
    import drjit as dr  # optional
    import mitsuba as mi  # optional

    given = np.reshape(options.terminal_positions_m or (), (-1, 2))
    x, y = (np.concatenate(parts) for parts in zip(given.T, _grid(options), strict=True))
    nowhere = ScenarioError("channel.ray_traced: no open ground within radius_m and sector_deg of position_m "
                            f"{_text(options)} in {options.scene}: move the base station or widen them")
    if not len(x):
        raise nowhere
    hit = _from_above(scene, x, y)
    height, valid = np.array(hit.p.z, dtype=np.float64), np.array(hit.is_valid())
    ground = {item.object_id for name, item in scene.objects.items() if _GROUND.match(name)}
    if ground:
        valid &= np.isin(np.array(dr.reinterpret_array(mi.UInt32, hit.shape)), list(map(int, ground)))
    elif valid.any():
        valid &= height < height[valid].min() + _FLAT_M
    if not valid.any():
        raise nowhere
    places = np.stack([x, y, height + options.terminal_height_m], -1)
    if len(given):
        _check_outdoors(given, valid[:len(given)])
        return places[:len(given)]
    found = places[valid]
    if options.positions_per_area is not None and options.positions_per_area < len(found):
        draw = np.random.default_rng(stream_seed(options.first_area, "positions"))
        found = found[np.sort(draw.choice(len(found), options.positions_per_area, replace=False))]
    return found


def _check_outdoors(given: np.ndarray, outdoors: np.ndarray) -> None:
    wrong = np.flatnonzero(~outdoors)
    if len(wrong):
        x, y = given[wrong[0]]
        raise ScenarioError(f"channel.ray_traced.terminal_positions_m.{wrong[0]}: ({x:g}, {y:g}) is inside a building "
                            f"or off the ground ({len(wrong)} of {len(given)} positions are): move it or leave it out, "
                            "terminals stand on open ground")


def free_ways(scene: Any, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """In which direction a terminal at each position gets farthest without running into anything.

    :param positions: ``[position, 3]``, m.
    :returns: the direction, radian counterclockwise from the x axis, and how far, m; ``[position]`` each.
    """
    import mitsuba as mi  # optional

    turns = np.arange(_DIRECTIONS) * (2 * math.pi / _DIRECTIONS)
    x, y, z = (np.repeat(part, _DIRECTIONS) for part in positions.T)
    turn = np.tile(turns, len(positions))
    hit = scene.mi_scene.ray_intersect(mi.Ray3f(mi.Point3f(x, y, z), mi.Vector3f(np.cos(turn), np.sin(turn),
                                                                                np.zeros_like(turn))))
    free = np.where(np.array(hit.is_valid()), np.array(hit.t, dtype=np.float64), _NOTHING_M)
    free = free.reshape(-1, _DIRECTIONS)
    best = free.argmax(1)
    return turns[best], free[np.arange(len(free)), best]


def heights(options: RayTraced, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Height of whatever is highest at points of a scene, above the lowest of them, m; 0 where there is nothing.

    :param x: any shape; ``y`` likewise.
    :raises ScenarioError: the scene cannot be loaded.
    """
    scene = load_scene(options, _ANY_HZ)
    hit = _from_above(scene, x.ravel(), y.ravel())
    height, valid = np.array(hit.p.z, dtype=np.float64), np.array(hit.is_valid())
    lowest = height[valid].min() if valid.any() else 0.0
    return np.where(valid, height - lowest, 0.0).reshape(x.shape)


def _from_above(scene: Any, x: np.ndarray, y: np.ndarray) -> Any:
    """What rays hit that fall on points of the ground."""
    import mitsuba as mi  # optional

    top = float(scene.mi_scene.bbox().max.z) + 10
    return scene.mi_scene.ray_intersect(mi.Ray3f(mi.Point3f(x, y, np.full_like(x, top)), mi.Vector3f(0, 0, -1)))


def _grid(options: RayTraced) -> tuple[np.ndarray, np.ndarray]:
    """Points of the scene's grid within the radius and the sector. The grid itself does not move with the station."""
    (centre_x, centre_y, _), azimuth_deg = site_of(options)
    spacing, radius = options.grid_spacing_m, options.radius_m

    def line(centre: float) -> np.ndarray:
        first, last = (math.floor((centre + side * radius) / spacing) for side in (-1, 1))
        return (np.arange(first, last + 1) + 0.5) * spacing

    x, y = (part.ravel() for part in np.meshgrid(line(centre_x), line(centre_y)))
    distance = np.hypot(x - centre_x, y - centre_y)
    off_deg = np.degrees(np.arctan2(y - centre_y, x - centre_x)) - azimuth_deg
    inside = np.abs((off_deg + 180) % 360 - 180) <= options.sector_deg / 2
    keep = (distance <= radius) & (distance >= options.min_distance_m) & inside
    return x[keep], y[keep]


def _text(options: RayTraced) -> str:
    return "(" + ", ".join(f"{part:g}" for part in site_of(options).position_m) + ")"


def scene_digest(path: str | Path) -> str:
    """SHA-256 of a user's scene: its file and the meshes that it names.

    :raises ScenarioError: a file that is not there, or no XML.
    """
    path = Path(path)
    digest = hashlib.sha256()
    try:
        text = path.read_bytes()
        digest.update(text)
        for item in ElementTree.fromstring(text).iter("string"):
            if item.get("name") == "filename":
                digest.update(hashlib.sha256((path.parent / item.get("value", "")).read_bytes()).digest())
    except OSError as error:
        raise ScenarioError(f"scene: {error.filename}: {(error.strerror or str(error)).lower()}") from None
    except ElementTree.ParseError as error:
        raise ScenarioError(f"scene: {path}: not an XML file ({error})") from None
    return digest.hexdigest()
