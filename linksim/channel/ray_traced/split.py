"""Which positions of a scene are for training, which for validation and which for test.

Neighbouring positions see nearly the same paths, so a split by position lets a trained block recall what it is tested
on. By default square blocks of the ground are dealt instead, each by a hash of its place and a seed, and positions near
the border to a stricter set are left out of the laxer one. Several areas can be dealt as a whole.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from linksim.scenario.ray_traced import RayTraced
from linksim.seeding import stream_seed

SETS = ("test", "validation", "training")
"""The strictest first: a set gives way to those before it."""

_APART_M = 1e5


def positions_of(name: str, position_m: np.ndarray, options: RayTraced, area: np.ndarray | None = None) -> np.ndarray:
    """Which positions belong to a set.

    :param name: one of `SETS`.
    :param position_m: ``[position, 3]``.
    :param area: number of each one's area, ``[position]``; all stand in one without.
    :returns: ``[position]``, bool. Of blocks: no position of a set lies within ``guard_m`` (horizontally) of one of
        another set.
    """
    area = np.zeros(len(position_m), dtype=int) if area is None else area
    if options.split != "blocks":
        return _dealt_alone(area, options) == SETS.index(name)
    # areas lie far apart
    place = position_m[:, :2] + _APART_M * area[:, None]
    dealt = _dealt(place, options)
    kept = np.zeros(len(place), dtype=bool)
    for number in range(SETS.index(name) + 1):
        mine = dealt == number
        if options.guard_m and kept.any() and mine.any():
            distance, _ = cKDTree(place[kept]).query(place[mine])
            mine[np.flatnonzero(mine)[distance < options.guard_m]] = False
        last, kept = mine, kept | mine
    return last


def _dealt_alone(area: np.ndarray, options: RayTraced) -> np.ndarray:
    """The number of the set of each position, dealt one by one or with its area."""
    if options.split == "areas":
        areas, of_area = np.unique(area, return_inverse=True)
        return _set_of(np.array([_share(options, "area", number) for number in areas.tolist()]), options)[of_area]
    draw = np.random.default_rng(stream_seed(options.split_seed, "positions"))
    return _set_of(draw.random(len(area)), options)


def _share(options: RayTraced, *what: str | int) -> float:
    return stream_seed(options.split_seed, *what) / 2**63


def _set_of(share: np.ndarray, options: RayTraced) -> np.ndarray:
    return np.searchsorted(np.cumsum([options.test_share, options.validation_share]), share, side="right")


def _dealt(place: np.ndarray, options: RayTraced) -> np.ndarray:
    """The number of the set of each position's block."""
    blocks, block = np.unique(np.floor(place / options.block_m).astype(int), axis=0, return_inverse=True)
    return _set_of(np.array([_share(options, "block", *pair) for pair in blocks.tolist()]), options)[block.ravel()]
