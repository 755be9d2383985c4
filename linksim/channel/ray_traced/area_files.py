"""A procedural area as files that Sionna RT loads: a Mitsuba scene and a mesh for each material."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from linksim.channel.ray_traced.area import GROUND, SIDE_M, Area, Building

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
