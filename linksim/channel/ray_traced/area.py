"""Areas of a city that is nowhere: streets, buildings and their materials, drawn from a number.

Each number is another area. An area is a square that streets divide into blocks; a block is a row of houses, a ring of
them around a yard, one large building, or a park. Nothing here needs Sionna RT.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from linksim.core.seeding import stream_seed

MATERIALS = {"concrete": 0.45, "brick": 0.3, "glass": 0.15, "marble": 0.07, "metal": 0.03}
"""Materials of walls and roofs, with the share of buildings that are made of them; names are those of ITU-R P.2040."""

GROUND = "concrete"
"""P.2040 has its soils from 1 to 10 GHz alone."""

SIDE_M = 440.0
"""Side of the square that is built up."""

VERSION = 1
"""Changes whenever the same number is another area."""

_SIZE_OF_BLOCK_M = (55.0, 110.0)
_MAIN_STREET_M, _SIDE_STREET_M = (18.0, 30.0), (9.0, 16.0)
_MAIN_ABOVE_M = 180.0
"""Blocks at least as long are divided by main streets."""
_KINDS = {"row": 0.45, "ring": 0.25, "single": 0.2, "park": 0.1}
_LOT_M = (12.0, 28.0)
_DEPTH_M = (10.0, 15.0)
_LEAST_SIDE_M = 6.0
_HEIGHT_M = (8.0, 26.0)
"""Median heights of areas."""
_HEIGHT_SPREAD = 0.3
_TOWER_SHARE = 0.03
_LOWEST_M, _HIGHEST_M = 3.5, 90.0


@dataclass(frozen=True)
class Building:
    """A box with walls, a flat roof and no floor.

    :param corners_m: of its footprint, ``[4, 2]``, counterclockwise.
    """

    corners_m: np.ndarray
    height_m: float
    material: str

    @property
    def centre_m(self) -> np.ndarray:
        return self.corners_m.mean(0)

    def covers(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Whether points of the ground lie within the footprint: bool, of the shape of ``x``."""
        inside = np.ones(np.shape(x), dtype=bool)
        for (x0, y0), (x1, y1) in zip(self.corners_m, np.roll(self.corners_m, -1, 0)):
            inside &= (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) >= 0
        return inside


@dataclass(frozen=True)
class Area:
    """Buildings on level ground around the origin.

    :param number: that it was drawn from.
    """

    number: int
    buildings: tuple[Building, ...]

    def height_m(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Height of what stands at points of the ground, 0 in the open."""
        height = np.zeros(np.shape(x))
        for building in self.buildings:
            height = np.maximum(height, np.where(building.covers(x, y), building.height_m, 0))
        return height

    def site_m(self, towards_deg: float = 0.0) -> tuple[float, float, float]:
        """Where a base station stands that looks over the area in a direction: 6 m above the best of the roofs.

        It stands a quarter of the area behind the middle, and on one of the higher buildings there.
        """
        turn = math.radians(towards_deg)
        wanted = -SIDE_M / 4 * np.array([math.cos(turn), math.sin(turn)])
        distance = np.array([np.hypot(*(building.centre_m - wanted)) for building in self.buildings])
        height = np.array([building.height_m for building in self.buildings])
        best = self.buildings[int(np.argmax(np.minimum(height, 40) - 0.4 * distance))]
        return (*map(float, best.centre_m), max(best.height_m + 6.0, 15.0))


def make_area(number: int) -> Area:
    """The area of a number."""
    draw = np.random.default_rng(stream_seed(number, "area", VERSION))
    turn = draw.uniform(0, math.pi / 2)
    median_m = math.exp(draw.uniform(*np.log(_HEIGHT_M)))
    half = SIDE_M / 2
    buildings = []
    for block in _blocks(draw, (-half, -half, half, half)):
        kind = draw.choice(list(_KINDS), p=list(_KINDS.values()))
        for x0, y0, x1, y1 in _houses(draw, block, kind):
            height = median_m * math.exp(_HEIGHT_SPREAD * draw.standard_normal())
            if draw.random() < _TOWER_SHARE:
                height *= draw.uniform(2, 3)
            corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)])
            rotation = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
            buildings.append(Building(corners @ rotation, float(np.clip(height, _LOWEST_M, _HIGHEST_M)),
                                      str(draw.choice(list(MATERIALS), p=list(MATERIALS.values())))))
    return Area(number, tuple(buildings))


Rectangle = tuple[float, float, float, float]
"""x and y of the lower and of the upper corner, m."""


def _blocks(draw: np.random.Generator, rectangle: Rectangle) -> list[Rectangle]:
    """What streets leave of a rectangle."""
    x0, y0, x1, y1 = rectangle
    width, depth = x1 - x0, y1 - y0
    if max(width, depth) <= draw.uniform(*_SIZE_OF_BLOCK_M):
        return [rectangle]
    street = draw.uniform(*(_MAIN_STREET_M if max(width, depth) > _MAIN_ABOVE_M else _SIDE_STREET_M))
    share = draw.uniform(0.35, 0.65)
    if width >= depth:
        at = x0 + share * width
        parts = (x0, y0, at - street / 2, y1), (at + street / 2, y0, x1, y1)
    else:
        at = y0 + share * depth
        parts = (x0, y0, x1, at - street / 2), (x0, at + street / 2, x1, y1)
    return [block for part in parts for block in _blocks(draw, part)]


def _houses(draw: np.random.Generator, block: Rectangle, kind: str) -> list[Rectangle]:
    """Footprints of a block."""
    x0, y0, x1, y1 = block
    if kind == "park" or min(x1 - x0, y1 - y0) < 2 * _LEAST_SIDE_M:
        return []
    if kind == "single":
        inset = draw.uniform(2, 8)
        return _large_enough([(x0 + inset, y0 + inset, x1 - inset, y1 - inset)])
    depth = min(draw.uniform(*_DEPTH_M), (x1 - x0) / 3, (y1 - y0) / 3)
    sides = [_row(draw, (x0, y0, x1, y0 + depth), along_x=True), _row(draw, (x0, y1 - depth, x1, y1), along_x=True)]
    if kind == "ring":
        sides += [_row(draw, (x0, y0 + depth, x0 + depth, y1 - depth), along_x=False),
                  _row(draw, (x1 - depth, y0 + depth, x1, y1 - depth), along_x=False)]
    return _large_enough([house for side in sides for house in side])


def _row(draw: np.random.Generator, strip: Rectangle, along_x: bool) -> list[Rectangle]:
    """Houses along a strip, with a gap here and there."""
    x0, y0, x1, y1 = strip
    begin, end = (x0, x1) if along_x else (y0, y1)
    houses = []
    while end - begin > _LEAST_SIDE_M:
        until = min(begin + draw.uniform(*_LOT_M), end)
        gap = draw.uniform(2, 6) if draw.random() < 0.35 else 0.0
        houses.append((begin, y0, until - gap, y1) if along_x else (x0, begin, x1, until - gap))
        begin = until
    return houses


def _large_enough(rectangles: list[Rectangle]) -> list[Rectangle]:
    return [part for part in rectangles if min(part[2] - part[0], part[3] - part[1]) >= _LEAST_SIDE_M]
